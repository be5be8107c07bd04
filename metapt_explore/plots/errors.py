"""Figures of decisions: which classes are mistaken for which, and whether a method is as often right as it is sure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.style import BLUE, CLEAR, GREY, MANY, finish, method_colors, nothing_yet, plain

#: Characters of a class's name that are shown, and of a slice's.
SHOWN, SHOWN_SLICE = 24, 40
#: Slices of fewer rows are drawn hollow: their accuracy is a matter of a few texts.
FEW_ROWS = 20
#: More classes carry no figures in their cells.
MOST_WRITTEN = 12
#: Slices that are shown of more than `MANY`.
MOST_SLICES = 30


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
    # Many classes in a picture whose height does not grow with them without end.
    line = 40 if len(down) <= MOST_WRITTEN else 18 if len(down) <= MANY else 9
    figure.update_layout(height=max(300, line * len(down) + 160))
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


def slice_dots(table: pd.DataFrame) -> go.Figure:
    """Accuracy in each slice, a dot a method with its interval over rows; hollow where there are few rows.

    Of more than 40 slices the largest are drawn.

    Args:
        table: Rows of `TaskDecisions.slice_table` that are cut in one way.
    """
    if table.empty:
        return nothing_yet("No decision has been kept.")
    sizes = table.drop_duplicates("slice").set_index("slice")["rows"]
    title = ""
    if len(sizes) > MANY:
        title = f"the {MOST_SLICES} largest of {len(sizes):,} slices"
        largest = set(sizes.sort_values(ascending=False, kind="stable").index[:MOST_SLICES])
        sizes, table = sizes[sizes.index.isin(largest)], table[table["slice"].isin(largest)]
    names = {name: f"{plain(str(name), SHOWN_SLICE)} ({rows:,})" for name, rows in sizes.items()}
    # Names that begin alike stay apart: a line of the axis each.
    names = {
        name: f"{label} {number}" if list(names.values()).count(label) > 1 else label
        for number, (name, label) in enumerate(names.items(), start=1)
    }
    methods = list(dict.fromkeys(table["method"]))
    colors = method_colors(methods)
    figure = go.Figure()
    for method in methods:
        own = table[table["method"] == method]
        figure.add_trace(
            go.Scatter(
                x=100 * own["accuracy"],
                y=[names[name] for name in own["slice"]],
                mode="markers",
                name=plain(method, SHOWN),
                marker={
                    "color": colors[method],
                    "size": 10,
                    "symbol": ["circle-open" if rows < FEW_ROWS else "circle" for rows in own["rows"]],
                },
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": 100 * (own["high"] - own["accuracy"]),
                    "arrayminus": 100 * (own["accuracy"] - own["low"]),
                    "thickness": 1.2,
                    "width": 3,
                },
                customdata=own["rows"],
                hovertemplate="%{y}: %{x:.1f} % right of %{customdata:,} rows<extra></extra>",
            )
        )
    figure.update_yaxes(
        autorange="reversed", type="category", categoryorder="array", categoryarray=list(names.values()), title=""
    )
    figure.update_xaxes(title="right, %", range=[-2, 102])
    figure.update_layout(height=120 + (44 if len(names) <= 16 else 30) * len(names), scattermode="group")
    return finish(figure, title=title)
