"""What few-shot tuning gave: from which start, and how far seeds lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots import series
from metapt_explore.plots.style import (
    GREY,
    axis_titles,
    facets,
    finish,
    method_colors,
    nothing_yet,
    place,
    plain,
    see_through,
)

#: Angle of tick labels that do not fit side by side, and the pixels that a letter of them reaches down: up to so many
#: methods, and of more.
ASLANT, UPRIGHT, FEW = (40, 4), (90, 7), 6


def tuning_curves(curves: pd.DataFrame, methods: Sequence[str] | None = None, rows: str = "test") -> go.Figure:
    """Draws mean test accuracy after 0, 1, 2 … tuning steps, with a band from worst to best seed.

    Each data seed counts at the learning rate that its dev split chose; other rates have no test score.

    Args:
        curves: What `curves_table` returned.
        methods: All methods of the study, so that each keeps its colour while some are missing.
        rows: What scores are on, where that is not test (`evaluation.scored_on`).
    """
    panels = series.tuning_curves(curves, methods)
    if not panels:
        return nothing_yet("No test score is there yet.")
    colors = method_colors(methods or [curve.method for panel in panels for curve in panel.curves])
    figure = facets([panel.task for panel in panels], same_y=False, panel_height=320)
    legend: set[str] = set()
    for index, panel in enumerate(panels):
        where = place(index, len(panels))
        for curve in panel.curves:
            name, color = plain(curve.method), colors[curve.method]
            figure.add_trace(
                go.Scatter(
                    x=[*curve.steps, *reversed(curve.steps)],
                    y=[*curve.high, *reversed(curve.low)],
                    fill="toself",
                    fillcolor=see_through(color, 0.15),
                    line={"width": 0},
                    mode="lines",
                    name=name,
                    legendgroup=name,
                    showlegend=False,
                    hoverinfo="skip",
                ),
                **where,
            )
            figure.add_trace(
                go.Scatter(
                    x=curve.steps,
                    y=curve.mean,
                    mode="lines+markers",
                    line={"color": color, "width": 2},
                    marker={"size": 6},
                    name=name,
                    legendgroup=name,
                    showlegend=curve.method not in legend,
                    customdata=list(zip(curve.low, curve.high, curve.seeds, strict=True)),
                    hovertemplate=(
                        "after %{x} steps: %{y:.1f} %, %{customdata[0]:.1f} to %{customdata[1]:.1f} % "
                        "over %{customdata[2]} seeds"
                    ),
                ),
                **where,
            )
            legend.add(curve.method)
    axis_titles(figure, len(panels), x="tuning steps (number)", y=f"{rows} accuracy (%)")
    return finish(figure)


def seed_spread(results: pd.DataFrame, methods: Sequence[str] | None = None, rows: str = "test") -> go.Figure:
    """Draws the test accuracy of every seed, method beside method: the variance across seeds.

    Each pair of a data seed and an initialisation seed is a point; a thin line joins the same pair
    from method to method, and a bar marks the mean.

    Args:
        results: What `results_table` returned.
        methods: All methods of the study, so that each keeps its colour while some are missing.
        rows: What scores are on, where that is not test (`evaluation.scored_on`).
    """
    if results.empty:
        return nothing_yet("No score is there yet.")
    order = list(methods or results["method"].unique())
    panels = series.seed_scores(results, order)
    shown = [plain(method) for method in order]
    colors = method_colors(order)
    # Names that do not fit side by side are written aslant, and take room of the row below.
    angle, letter = (0, 0) if len(shown) <= 2 else ASLANT if len(shown) <= FEW else UPRIGHT
    room = letter * max(len(name) for name in shown)
    figure = facets([panel.title for panel in panels], same_y=False, panel_height=310 + room, below=70 + room)
    legend: set[str] = set()
    for index, panel in enumerate(panels):
        where = place(index, len(panels))
        figure.add_trace(_same_seeds(panel.methods, order), **where)
        for scored in panel.methods:
            name, color = plain(scored.method), colors[scored.method]
            points = go.Scatter(
                x=[name] * len(scored.scores),
                y=scored.scores,
                mode="markers",
                marker={"color": color, "size": 9, "opacity": 0.8},
                name=name,
                legendgroup=name,
                showlegend=scored.method not in legend,
                customdata=[[data, "none" if init is None else init] for init, data in scored.pairs],
                hovertemplate="%{y:.1f} %, data seed %{customdata[0]}, initialisation seed %{customdata[1]}",
            )
            spread = "" if scored.deviation is None else f", standard deviation {scored.deviation:.1f} points"
            mean = go.Scatter(
                x=[name],
                y=[scored.mean],
                mode="markers",
                marker={
                    "symbol": "line-ew",
                    "size": 34 if len(shown) <= FEW else 18,
                    "line": {"color": color, "width": 3},
                },
                name="mean",
                legendgroup=name,
                showlegend=False,
                hovertemplate=f"mean %{{y:.1f}} % of {len(scored.scores)} seeds{spread}",
            )
            legend.add(scored.method)
            figure.add_trace(points, **where)
            figure.add_trace(mean, **where)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=shown, tickangle=angle)
    axis_titles(figure, len(panels), x="method", y=f"{rows} accuracy (%)")
    return finish(figure, ticks=room)


def _same_seeds(methods: list[series.SeedScores], order: list[str]) -> go.Scatter:
    """One trace of all lines between methods; None breaks it from pair to pair."""
    x: list[str | None] = []
    y: list[float | None] = []
    by_pair = {m.method: dict(zip(m.pairs, m.scores, strict=True)) for m in methods}
    # Baselines without initialisation belong to no pair.
    pairs = dict.fromkeys(pair for scored in methods for pair in scored.pairs if pair[0] is not None)
    for pair in pairs:
        x += [*map(plain, order), None]
        y += [*(by_pair.get(method, {}).get(pair) for method in order), None]
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": GREY, "width": 1},
        opacity=0.6,
        connectgaps=False,
        name="same seeds",
        showlegend=False,
        hoverinfo="skip",
    )
