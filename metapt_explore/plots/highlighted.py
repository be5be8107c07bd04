"""Curves of many methods: some in colour with their names at the end of the line, the others in grey behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.style import GREY, finish, method_colors, nothing_yet, plain, see_through
from metapt_explore.statistics.curves import start_curve
from metapt_explore.statistics.matrix import MEAN

#: Share of the height that lies at least between two names.
APART = 0.065
#: Letters of a name at the end of a line.
NAME = 24


@dataclass(frozen=True)
class _Line:
    method: str
    steps: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]
    pairs: int


def scored_steps(curves: pd.DataFrame) -> list[int]:
    """The tuning steps at which there are scores; with fewer than two there is no curve to draw.

    Example:
        >>> scored_steps(pd.DataFrame({"step": [0, 5, 5, 9], "test_accuracy": [0.1, 0.2, 0.3, None]}))
        [0, 5]
    """
    if curves.empty or "test_accuracy" not in curves:
        return []
    return sorted({int(step) for step in curves.loc[curves["test_accuracy"].notna(), "step"]})


def highlighted_curves(
    curves: pd.DataFrame, methods: Sequence[str], highlighted: Sequence[str], *, rows: str = "test", task: str = MEAN
) -> go.Figure:
    """Draws accuracy by tuning steps; the highlighted methods in colour, with intervals and their names.

    Args:
        curves: What `curves_table` returned.
        methods: All methods of the study, so that each keeps its colour.
        highlighted: Those that are looked at; the others are grey.
        rows: What scores are on, where that is not test.
        task: Of which task; the mean over tasks by default, of pairs of seeds that have all tasks.
    """
    own = curves if task == MEAN else curves[curves["task"] == task]
    if len(scored_steps(own)) < 2:
        return nothing_yet("Scored at one number of tuning steps only: there is no curve.")
    table = start_curve(own).dropna(subset=["mean"])
    present = list(dict.fromkeys(table["method"]))
    lines = {method: _line(table[table["method"] == method], method) for method in present}
    colors = method_colors([*methods, *present])
    figure = go.Figure()
    for method in [name for name in present if name not in highlighted]:
        figure.add_trace(_drawn(lines[method], see_through(GREY, 0.55), width=1))
    shown = [lines[name] for name in highlighted if name in lines]
    for line in shown:
        figure.add_trace(_band(line, colors[line.method]))
        figure.add_trace(_drawn(line, colors[line.method], width=3))
    figure = finish(figure)
    last = max(line.steps[-1] for line in lines.values())
    for line, height in zip(shown, _apart(shown, list(lines.values())), strict=True):
        figure.add_annotation(
            x=line.steps[-1],
            y=height,
            text=plain(line.method, NAME),
            font={"color": colors[line.method], "size": 13},
            showarrow=False,
            xanchor="left",
            xshift=8,
        )
    figure.update_xaxes(
        title_text="tuning steps (number)", tickvals=scored_steps(own), range=[-0.02 * last, last * 1.38]
    )
    figure.update_yaxes(title_text=f"{rows} accuracy (%), {plain(task, 30)}")
    figure.update_layout(height=400, margin_t=20)
    return figure


def _line(rows: pd.DataFrame, method: str) -> _Line:
    percent = 100 * rows[["mean", "low", "high"]]
    # Without an interval (one pair of seeds) the band has no height.
    low, high = (percent[end].fillna(percent["mean"]).to_list() for end in ("low", "high"))
    return _Line(method, rows["step"].to_list(), percent["mean"].to_list(), low, high, int(rows["pairs"].max()))


def _drawn(line: _Line, color: str, *, width: int) -> go.Scatter:
    return go.Scatter(
        x=line.steps,
        y=line.mean,
        mode="lines+markers",
        line={"color": color, "width": width},
        marker={"size": 6 if width > 1 else 4},
        name=plain(line.method, 40),
        showlegend=False,
        customdata=list(zip(line.low, line.high, strict=True)),
        hovertemplate=(
            "after %{x} steps: %{y:.1f} %, 95 % %{customdata[0]:.1f} to %{customdata[1]:.1f}, "
            f"{line.pairs} pairs of seeds"
        ),
    )


def _band(line: _Line, color: str) -> go.Scatter:
    return go.Scatter(
        x=[*line.steps, *reversed(line.steps)],
        y=[*line.high, *reversed(line.low)],
        fill="toself",
        fillcolor=see_through(color, 0.15),
        line={"width": 0},
        mode="lines",
        name=plain(line.method, 40),
        showlegend=False,
        hoverinfo="skip",
    )


def _apart(shown: Sequence[_Line], every: Sequence[_Line]) -> list[float]:
    """Heights of the names: at the ends of their lines, moved up where two would lie on one another."""
    values = [value for line in every for value in (*line.low, *line.high)]
    least = APART * max(max(values) - min(values), 0.1)
    heights = [0.0] * len(shown)
    below = float("-inf")
    for place in sorted(range(len(shown)), key=lambda place: shown[place].mean[-1]):
        below = max(shown[place].mean[-1], below + least)
        heights[place] = below
    return heights
