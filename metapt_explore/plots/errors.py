"""Figures of decisions: which classes are mistaken for which, and whether a method is as often right as it is sure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.style import BLUE, CLEAR, GREY, finish, method_colors, nothing_yet, plain

#: Characters of a class's name that are shown.
SHOWN = 24
#: More classes carry no figures in their cells.
MOST_WRITTEN = 12


def confusion_map(counts: pd.DataFrame) -> go.Figure:
    """Heat map of decisions: the class of a text down, the class it was given across.

    Colours are shares of a class's own decisions, so that rare classes show as well.

    Args:
        counts: What `statistics.errors.confusion` returned.
    """
    if counts.empty or not counts.to_numpy().sum():
        return nothing_yet("No decision has been kept.")
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
    down, across = ([plain(str(name), SHOWN) for name in names] for names in (counts.index, counts.columns))
    written = len(across) <= MOST_WRITTEN
    figure = go.Figure(
        go.Heatmap(
            z=100 * shares,
            x=across,
            y=down,
            zmin=0,
            zmax=100,
            colorscale=[[0, CLEAR], [1, BLUE]],
            customdata=counts.to_numpy(),
            texttemplate="%{z:.0f} %" if written else None,
            hovertemplate="is %{y}, called %{x}<br>%{customdata:,} decisions, %{z:.1f} %<extra></extra>",
            colorbar={"title": "% of the class"},
        )
    )
    figure.update_yaxes(autorange="reversed", title="is", type="category")
    figure.update_xaxes(title="called", type="category")
    figure.update_layout(height=max(300, 40 * len(down) + 160))
    return finish(figure)


def calibration_curve(by_method: Mapping[str, pd.DataFrame]) -> go.Figure:
    """How often methods are right, by how sure they are; on the diagonal a method means what it says.

    Args:
        by_method: For each method what `statistics.errors.calibration` returned.
    """
    if not any(len(table) for table in by_method.values()):
        return nothing_yet("No decision has been kept.")
    figure = go.Figure(
        go.Scatter(x=[0, 100], y=[0, 100], mode="lines", line={"dash": "dot", "color": GREY}, name="as sure as right")
    )
    colors = method_colors(by_method)
    for name, table in by_method.items():
        figure.add_trace(
            go.Scatter(
                x=100 * table["confidence"],
                y=100 * table["accuracy"],
                mode="lines+markers",
                name=plain(name, SHOWN),
                line={"color": colors[name]},
                marker={"size": 5 + 15 * np.sqrt(table["decisions"] / table["decisions"].sum())},
                customdata=table["decisions"],
                hovertemplate="%{customdata:,} decisions, %{x:.1f} % sure: %{y:.1f} % right<extra></extra>",
            )
        )
    figure.update_xaxes(title="probability of the class it chose, %", range=[0, 101])
    figure.update_yaxes(title="right, %", range=[0, 101])
    figure.update_layout(height=420)
    return finish(figure)
