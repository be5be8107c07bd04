"""What few-shot tuning gave: from which start, and how far seeds lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

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
from metapt_explore.statistics.curves import whole_curves

PAIR = ["data_seed", "init_seed"]
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
    scored = whole_curves(curves)
    if scored.empty:
        return nothing_yet("No test score is there yet.")
    tasks = [str(task) for task in scored["task"].unique()]
    order = list(methods or scored["method"].unique())
    colors = method_colors(order)
    figure = facets(tasks, same_y=False, panel_height=320)
    legend: set[str] = set()
    for index, task in enumerate(tasks):
        for method in order:
            cells = scored[(scored["task"] == task) & (scored["method"] == method)]
            if cells.empty:
                continue
            at = cells.groupby("step")["test_accuracy"].agg(["mean", "min", "max", "count"])
            at[["mean", "min", "max"]] *= 100
            where = place(index, len(tasks))
            steps = at.index.to_list()
            figure.add_trace(
                go.Scatter(
                    x=[*steps, *reversed(steps)],
                    y=[*at["max"], *reversed(at["min"].to_list())],
                    fill="toself",
                    fillcolor=see_through(colors[method], 0.15),
                    line={"width": 0},
                    mode="lines",
                    name=plain(method),
                    legendgroup=plain(method),
                    showlegend=False,
                    hoverinfo="skip",
                ),
                **where,
            )
            figure.add_trace(
                go.Scatter(
                    x=steps,
                    y=at["mean"].to_list(),
                    mode="lines+markers",
                    line={"color": colors[method], "width": 2},
                    marker={"size": 6},
                    name=plain(method),
                    legendgroup=plain(method),
                    showlegend=method not in legend,
                    customdata=at[["min", "max", "count"]].to_numpy(),
                    hovertemplate=(
                        "after %{x} steps: %{y:.1f} %, %{customdata[0]:.1f} to %{customdata[1]:.1f} % "
                        "over %{customdata[2]} seeds"
                    ),
                ),
                **where,
            )
            legend.add(method)
    axis_titles(figure, len(tasks), "tuning steps (number)", f"{rows} accuracy (%)")
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
    tasks = [str(task) for task in results["task"].unique()]
    order = list(methods or results["method"].unique())
    shown = [plain(method) for method in order]
    colors = method_colors(order)
    # Names that do not fit side by side are written aslant, and take room of the row below.
    angle, letter = (0, 0) if len(shown) <= 2 else ASLANT if len(shown) <= FEW else UPRIGHT
    room = letter * max(len(name) for name in shown)
    figure = facets(tasks, same_y=False, panel_height=310 + room, below=70 + room)
    legend: set[str] = set()
    for index, task in enumerate(tasks):
        own = results[results["task"] == task]
        where = place(index, len(tasks))
        figure.add_trace(_pairs(own, order, shown), **where)
        for method, name in zip(order, shown, strict=True):
            cells = own[own["method"] == method]
            if cells.empty:
                continue
            percent = 100 * cells["accuracy"]
            points = go.Scatter(
                x=[name] * len(cells),
                y=percent.to_list(),
                mode="markers",
                marker={"color": colors[method], "size": 9, "opacity": 0.8},
                name=name,
                legendgroup=plain(method),
                showlegend=method not in legend,
                customdata=cells[PAIR].astype(object).fillna("none").to_numpy(),
                hovertemplate="%{y:.1f} %, data seed %{customdata[0]}, initialisation seed %{customdata[1]}",
            )
            spread = percent.std(ddof=1)
            deviation = "" if pd.isna(spread) else f", standard deviation {spread:.1f} points"
            mean = go.Scatter(
                x=[name],
                y=[float(percent.mean())],
                mode="markers",
                marker={
                    "symbol": "line-ew",
                    "size": 34 if len(shown) <= FEW else 18,
                    "line": {"color": colors[method], "width": 3},
                },
                name="mean",
                legendgroup=plain(method),
                showlegend=False,
                hovertemplate=f"mean %{{y:.1f}} % of {len(cells)} seeds{deviation}",
            )
            legend.add(method)
            figure.add_trace(points, **where)
            figure.add_trace(mean, **where)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=shown, tickangle=angle)
    axis_titles(figure, len(tasks), "method", f"{rows} accuracy (%)")
    return finish(figure)


def _pairs(cells: pd.DataFrame, methods: list[str], names: list[str]) -> go.Scatter:
    """One trace of all lines between methods; None breaks it from pair to pair."""
    x: list[str | None] = []
    y: list[float | None] = []
    cells = cells.dropna(subset=PAIR)  # baselines without initialisation belong to no pair
    by_pair = cells.groupby([*PAIR, "method"])["accuracy"].mean()
    for pair in cells[PAIR].drop_duplicates().itertuples(index=False, name=None):
        for method, name in zip(methods, names, strict=True):
            score = by_pair.get((*pair, method))
            x.append(name)
            y.append(None if score is None else 100 * float(score))
        x.append(None)
        y.append(None)
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
