"""Prompts beside the vocabulary, and what they say of a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.style import GREY, PALETTE, finish, method_colors, nothing_yet, plain
from metapt_explore.plots.why import DIVERGING, SHOWN
from metapt_explore.statistics.numbers import number as written

#: Times the vocabulary's mean length at which a prompt is reported while it learns (`prompts/health.py`).
UNHEALTHY = 3.0


def prompt_health(vectors: pd.DataFrame, methods: Sequence[str] | None = None) -> go.Figure:
    """Draws how far vectors moved from their init against how long they are.

    Args:
        vectors: The table ``vectors`` of `Study.lens`; those without a known init are not drawn.
        methods: All methods of the study, so that each keeps its colour where some are missing.
    """
    if vectors.empty:
        return nothing_yet("No prompt has been looked at yet.")
    # An unknown start is not a drift of 0.
    vectors = vectors.assign(drift=vectors["drift"].astype(float)).dropna(subset="drift")
    if vectors.empty:
        return nothing_yet("The inits of these prompts are not stored, so their drift is unknown.")
    order = list(dict.fromkeys([*(methods or ()), *vectors["method"]]))
    colors = method_colors(order)
    figure = go.Figure()
    for method in order:
        own = vectors[vectors["method"] == method]
        if own.empty:
            continue
        about = [f"{plain(name)}, vector {number}" for name, number in zip(own["prompt"], own["vector"], strict=True)]
        figure.add_trace(
            go.Scatter(
                x=own["drift"].to_list(),
                y=own["norm_ratio"].to_list(),
                mode="markers",
                marker={"color": colors[method], "size": 8, "opacity": 0.75},
                name=plain(method),
                text=about,
                hovertemplate="%{text}: %{y:.2f} of the usual length, drift %{x:.2f}",
            )
        )
    for height, dash in ((1.0, "dot"), (UNHEALTHY, "dash"), (1 / UNHEALTHY, "dash")):
        figure.add_hline(y=height, line={"color": GREY, "width": 1, "dash": dash})
    figure = finish(figure)
    figure.update_xaxes(title_text="drift from the init (relative to its length)")
    figure.update_yaxes(title_text="length (of the vocabulary's mean)", type="log")
    figure.update_layout(height=400)
    return figure


def likeness_map(likeness: pd.DataFrame, value: str = "moved") -> go.Figure:
    """Heat map of how alike prompts are.

    Args:
        likeness: The table ``likeness`` of `Study.lens`.
        value: ``moved`` (their changes from the init) or ``cosine`` (the prompts themselves).
    """
    if likeness.empty:
        return nothing_yet("There is only one prompt.")
    names = list(dict.fromkeys([*likeness["first"], *likeness["second"]]))
    index_of = {name: index for index, name in enumerate(names)}
    grid = np.full((len(names), len(names)), np.nan)
    for row in likeness.to_dict(orient="records"):
        if row[value] is not None and not pd.isna(row[value]):
            grid[index_of[row["first"]], index_of[row["second"]]] = grid[
                index_of[row["second"]], index_of[row["first"]]
            ] = row[value]
    if np.isnan(grid).all():
        return nothing_yet("No two prompts have the same init.")
    few = len(names) <= 14
    figure = go.Figure(
        go.Heatmap(
            z=[[None if np.isnan(number) else float(number) for number in row] for row in grid],
            zmin=-1,
            zmax=1,
            colorscale=DIVERGING,
            text=[["" if np.isnan(number) else written(number) for number in row] for row in grid],
            texttemplate="%{text}" if few else None,
            customdata=[[f"{plain(a, SHOWN)} · {plain(b, SHOWN)}" for b in names] for a in names],
            hovertemplate="%{customdata}: %{z:.2f}<extra></extra>",
            colorbar={"title": {"text": "cosine"}, "thickness": 14},
            xgap=1,
            ygap=1,
        )
    )
    ticks = {"tickvals": list(range(len(names))), "ticktext": [plain(name, SHOWN) for name in names], "showgrid": False}
    figure.update_xaxes(**ticks)
    figure.update_yaxes(**ticks, autorange="reversed")
    figure = finish(figure)
    figure.update_layout(height=180 + 22 * len(names), margin_t=20)
    return figure


def class_shares(answer: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """Draws class probabilities of one text, a bar for each method.

    Args:
        answer: Method to class to probability.
    """
    if not answer:
        return nothing_yet("Nothing was asked.")
    classes = list(dict.fromkeys(name for shares in answer.values() for name in shares))
    methods = [plain(method, 40) for method in answer]
    figure = go.Figure()
    for index, name in enumerate(classes):
        figure.add_trace(
            go.Bar(
                x=[100 * shares.get(name, 0.0) for shares in answer.values()],
                y=methods,
                orientation="h",
                name=plain(name, 40),
                marker={"color": PALETTE[index % len(PALETTE)]},
                hovertemplate="%{x:.1f} %",
            )
        )
    figure = finish(figure)
    figure.update_layout(barmode="stack", bargap=0.35, height=150 + 40 * len(methods), legend={"traceorder": "normal"})
    figure.update_xaxes(title_text="probability (%)", range=[0, 100])
    figure.update_yaxes(autorange="reversed", type="category")
    return figure
