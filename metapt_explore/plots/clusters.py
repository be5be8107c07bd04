"""The map of clusters, and their sizes."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.clusters.projections import PROJECTIONS
from metapt_explore.plots.style import BLUE, CLEAR, GREY, PALETTE, TEXT, finish, nothing_yet, plain

#: More points than this make a browser slow, even with WebGL.
LARGEST_MAP = 50_000
#: Up to so many points carry the beginning of their text.
LARGEST_WITH_TEXT = 10_000
HOVER_LETTERS = 120
HOVER_LINE = 60
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")
UNLABELLED = "unlabelled"
PCA_AXES = PROJECTIONS["pca"].axes


def cluster_map(
    points: pd.DataFrame,
    texts: pd.Series,
    clusters: list[dict[str, Any]],
    *,
    marked: Collection[int] = (),
    axes: tuple[str, str] = PCA_AXES,
) -> go.Figure:
    """Draws every text as a point at its place on the map, in the colour of its cluster.

    Above 50,000 texts a sample is drawn, always the same one, and the title says so. Above 10,000 points carry no text:
    a browser would carry megabytes of words around with every touch. ``customdata`` of a point is its row.

    Args:
        points: Columns row, cluster (-1 for outliers), x and y: the ``clusters`` table of a clustering.
        texts: The texts, indexed by row.
        clusters: ``summary["clusters"]`` of the clustering: ids, names and sizes.
        marked: Rows with a ring around them (what a search found).
        axes: Titles of the axes, which say how the map was made.
    """
    total = len(points)
    if not total:
        return nothing_yet("There is no text on the map.")
    title = f"{total:,} texts"
    if total > LARGEST_MAP:
        points = points.sample(LARGEST_MAP, random_state=0).sort_index()
        title = f"{LARGEST_MAP:,} of {total:,} texts, sampled at random"
    names = {int(cluster["cluster"]): str(cluster["name"]) for cluster in clusters}
    points_of = {int(str(cluster)): rows for cluster, rows in points.groupby("cluster")}
    figure = go.Figure()
    # Outliers first: what is drawn later lies above.
    for cluster in sorted(points_of, key=lambda cluster: (cluster >= 0, cluster)):
        rows = points_of[cluster]
        outlier = cluster < 0
        marker = {
            "size": 5 if total > 5_000 else 7,
            "opacity": 0.35 if outlier else 0.75,
            "color": GREY if outlier else PALETTE[cluster % len(PALETTE)],
            "symbol": "circle" if outlier else SYMBOLS[cluster // len(PALETTE) % len(SYMBOLS)],
        }
        name = "outliers" if outlier else names.get(cluster, str(cluster))
        readable: dict[str, Any] = {"hoverinfo": "name"}
        if total <= LARGEST_WITH_TEXT:
            hover = [hover_text(text) for text in texts.reindex(rows["row"])]
            readable = {"text": hover, "hovertemplate": "%{text}"}
        figure.add_trace(
            go.Scattergl(
                x=rows["x"].to_numpy(dtype="float32"),
                y=rows["y"].to_numpy(dtype="float32"),
                mode="markers",
                marker=marker,
                name=plain(name, 50),
                customdata=rows["row"].to_numpy(dtype="int32"),
                **readable,
            )
        )
    ringed = points[points["row"].isin(list(marked))] if marked else points.iloc[:0]
    if len(ringed):
        figure.add_trace(
            go.Scattergl(
                x=ringed["x"].to_numpy(dtype="float32"),
                y=ringed["y"].to_numpy(dtype="float32"),
                mode="markers",
                marker={"size": 13, "color": CLEAR, "line": {"width": 2, "color": TEXT}},
                name=f"matches ({len(ringed):,})",
                customdata=ringed["row"].to_numpy(dtype="int32"),
                hoverinfo="skip",
            )
        )
    figure = finish(figure, title=title)
    figure.update_xaxes(title_text=axes[0])
    figure.update_yaxes(title_text=axes[1])
    figure.update_layout(
        height=600,
        hovermode="closest",
        legend={
            "orientation": "h",
            "yref": "paper",
            "y": -0.18,
            "yanchor": "top",
            "x": 0,
            "xanchor": "left",
            "itemsizing": "constant",
        },
    )
    return figure


def hover_text(text: object) -> str:
    """The first 120 characters of a text on two lines, with nothing in them that acts as markup.

    Example:
        >>> hover_text("a <b>bold</b> claim")
        'a &lt;b&gt;bold&lt;/b&gt; claim'
    """
    words = " ".join(str(text).split()) if isinstance(text, str) else ""
    cut = words[:HOVER_LETTERS] + ("…" if len(words) > HOVER_LETTERS else "")
    return "<br>".join(plain(line) for line in textwrap.wrap(cut, HOVER_LINE))


def cluster_sizes(clusters: list[dict[str, Any]]) -> go.Figure:
    """Draws a bar for each cluster: how many texts it has, and of which label.

    Args:
        clusters: ``summary["clusters"]`` of a clustering; ``labels`` counts texts by label (where it is missing,
            labels are not known).
    """
    if not clusters:
        return nothing_yet("There is no cluster: every text is an outlier.")
    clusters = [{"labels": {"texts": cluster["rows"]}, **cluster} for cluster in clusters]
    found = {label for cluster in clusters for label in cluster["labels"]}
    labels = sorted(found - {UNLABELLED}) + [UNLABELLED] * (UNLABELLED in found)
    names = [plain(cluster["name"], 50) for cluster in clusters]
    figure = go.Figure()
    for index, label in enumerate(labels):
        figure.add_trace(
            go.Bar(
                x=[int(cluster["labels"].get(label, 0)) for cluster in clusters],
                y=names,
                orientation="h",
                name=plain(label, 40),
                marker={"color": GREY if label == UNLABELLED else PALETTE[index % len(PALETTE)]},
                hovertemplate="%{y}: %{x} texts",
            )
        )
    figure = finish(figure)
    figure.update_layout(barmode="stack", bargap=0.3, height=150 + 30 * len(clusters), legend={"traceorder": "normal"})
    figure.update_xaxes(title_text="texts (number)")
    figure.update_yaxes(autorange="reversed", title_text="cluster", type="category")
    return figure


def contingency_map(table: pd.DataFrame, down: Mapping[int, str], across: Mapping[int, str]) -> go.Figure:
    """Heat map of where the clusters of one grouping are in another.

    Args:
        table: Texts by first (rows) and second (columns) cluster, -1 for outliers (`compare_groupings`).
        down: Names of the first grouping's clusters.
        across: Names of the second's.
    """
    if table.empty:
        return nothing_yet("The two clusterings have no text in common.")
    share = table.div(table.sum(axis=1).clip(lower=1), axis=0)
    rows, columns = (
        [plain("outliers" if cluster < 0 else names.get(int(cluster), str(cluster)), 34) for cluster in ids]
        for ids, names in ((table.index, down), (table.columns, across))
    )
    few = table.shape[1] <= 16
    figure = go.Figure(
        go.Heatmap(
            z=share.to_numpy().tolist(),
            zmin=0,
            zmax=1,
            colorscale=[[0.0, "#F2F2F2"], [1.0, BLUE]],
            text=table.to_numpy().tolist(),
            texttemplate="%{text}" if few else None,
            hovertemplate="%{text} texts, %{z:.0%} of the row<extra></extra>",
            colorbar={"title": {"text": "share of the row"}, "thickness": 14, "tickformat": ".0%"},
            xgap=1,
            ygap=1,
        )
    )
    # On places 0, 1, 2 …: two names that are cut to the same letters would share a place.
    figure.update_xaxes(tickvals=list(range(len(columns))), ticktext=columns, showgrid=False)
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=rows, showgrid=False, autorange="reversed")
    figure = finish(figure)
    figure.update_layout(height=140 + 30 * len(rows), margin_t=20)
    return figure
