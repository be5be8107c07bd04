"""Settings against score: parallel coordinates, and how much each setting brings."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from metapt_explore.plots.style import BLUE, GREY, finish, nothing_yet, plain

#: From the worst score to the best; told apart on white and on black, and by colour-blind readers.
SCALE = ["#D55E00", "#E69F00", "#56B4E9", "#0072B2"]
SCORE = "accuracy (%)"
#: Letters of a setting and of its values.
NAME, VALUE = 20, 16


def parallel_settings(settings: pd.DataFrame, scores: Mapping[str, float]) -> go.Figure:
    """Draws a line for each method through its settings to its score.

    Args:
        settings: A row for each method, a column for each setting (`reporting.settings.swept_settings`).
        scores: Mean score of each method, shares of 1.
    """
    shown = settings[[name in scores for name in settings.index]]
    if shown.empty:
        return nothing_yet("No method of the sweep has a score on every task yet.")
    figure = go.Figure()
    axes = [plain(str(name), NAME) for name in shown] + [SCORE]
    heights = {name: _heights(shown[name]) for name in shown}
    percent = {str(name): 100 * scores[str(name)] for name in shown.index}
    least, most = min(percent.values()), max(percent.values())
    share = {name: (value - least) / (most - least) if most > least else 0.5 for name, value in percent.items()}
    for name in sorted(percent, key=percent.__getitem__):
        row = shown.loc[name]
        told = "<br>".join(f"{plain(str(key), NAME)}: {plain(str(value), 40)}" for key, value in row.items())
        figure.add_trace(
            go.Scatter(
                x=axes,
                y=[*(heights[key][str(row[key])] for key in shown), share[name]],
                mode="lines+markers",
                line={"color": sample_colorscale(SCALE, [share[name]])[0], "width": 2},
                marker={"size": 6},
                name=plain(name, 40),
                showlegend=False,
                text=[*map(str, row), f"{percent[name]:.1f}"],
                hoveron="points",
                hovertemplate=f"{plain(name, 40)}: {percent[name]:.1f} %<br>{told}<extra></extra>",
            )
        )
    ends = {f"{least:.1f}": 0.0, f"{most:.1f}": 1.0}
    for axis, marks in zip(axes, [*heights.values(), ends], strict=True):
        figure.add_trace(
            go.Scatter(
                x=[axis] * len(marks),
                y=list(marks.values()),
                mode="text",
                text=[f"{plain(label, VALUE)}  " for label in marks],
                textposition="middle left" if axis != SCORE else "middle right",
                textfont={"size": 12},
                showlegend=False,
                hoverinfo="skip",
            )
        )
        figure.add_vline(x=axes.index(axis), line={"color": GREY, "width": 1})
    figure = finish(figure)
    figure.update_yaxes(visible=False, range=[-0.08, 1.08])
    figure.update_xaxes(type="category", side="top", range=[-1.0, len(axes) - 0.5], showgrid=False)
    figure.update_layout(height=420, margin_t=50)
    return figure


def importance_bars(shares: Mapping[str, float], rest: float) -> go.Figure:
    """Draws the share of the variance that each setting brings by itself.

    Args:
        shares: Setting to share, the largest first.
        rest: What settings bring only together.
    """
    bars = {**{plain(name, 40): share for name, share in shares.items()}, "together only": rest}
    figure = go.Figure(
        go.Bar(
            x=[100 * share for share in bars.values()],
            y=list(bars),
            orientation="h",
            marker={"color": [BLUE] * len(shares) + [GREY]},
            text=[f"{100 * share:.0f} %" for share in bars.values()],
            textposition="outside",
            name="share",
            showlegend=False,
            hovertemplate="%{y}: %{x:.0f} %<extra></extra>",
        )
    )
    figure = finish(figure)
    figure.update_xaxes(title_text="share of the variance (%)", range=[0, 110])
    figure.update_yaxes(autorange="reversed", type="category", dtick=1)
    figure.update_layout(height=100 + 32 * len(bars), margin_t=20)
    return figure


def _heights(column: pd.Series) -> dict[str, float]:
    """Where each value of a setting stands on its axis: numbers by their order, others as they come."""
    values = list(dict.fromkeys(column))
    ordered = sorted(values) if pd.api.types.is_numeric_dtype(column) else values
    return {str(value): place / max(len(ordered) - 1, 1) for place, value in enumerate(ordered)}
