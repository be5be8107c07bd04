"""The map of clusters, and their sizes."""

from __future__ import annotations

import textwrap
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.style import GREY, PALETTE, finish, nothing_yet, plain

#: More points than this make a browser slow, even with WebGL.
LARGEST_MAP = 50_000
HOVER_LETTERS = 120
HOVER_LINE = 60
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")
UNLABELLED = "unlabelled"


def cluster_map(points: pd.DataFrame, texts: pd.Series, clusters: list[dict[str, Any]]) -> go.Figure:
    """Draws every text as a point at its place on the map, in the colour of its cluster.

    Above 50,000 texts a sample is drawn, always the same one, and the title says so.

    Args:
        points: Columns row, cluster (-1 for outliers), x and y: the ``clusters`` table of a clustering.
        texts: The texts, indexed by row.
        clusters: ``summary["clusters"]`` of the clustering: ids, names and sizes.
    """
    total = len(points)
    if not total:
        return nothing_yet("There is no text on the map.")
    title = f"{total:,} texts"
    if total > LARGEST_MAP:
        points = points.sample(LARGEST_MAP, random_state=0).sort_index()
        title = f"{LARGEST_MAP:,} of {total:,} texts, sampled at random"
    names = {int(cluster["cluster"]): str(cluster["name"]) for cluster in clusters}
    found = {int(str(cluster)): rows for cluster, rows in points.groupby("cluster")}
    figure = go.Figure()
    # Outliers first: what is drawn later lies above.
    for cluster in sorted(found, key=lambda cluster: (cluster >= 0, cluster)):
        rows = found[cluster]
        outlier = cluster < 0
        marker = {
            "size": 5 if total > 5_000 else 7,
            "opacity": 0.35 if outlier else 0.75,
            "color": GREY if outlier else PALETTE[cluster % len(PALETTE)],
            "symbol": "circle" if outlier else SYMBOLS[cluster // len(PALETTE) % len(SYMBOLS)],
        }
        name = "outliers" if outlier else names.get(cluster, str(cluster))
        hover = [hover_text(text) for text in texts.reindex(rows["row"])]
        figure.add_trace(
            go.Scattergl(
                x=rows["x"].to_numpy(),
                y=rows["y"].to_numpy(),
                mode="markers",
                marker=marker,
                name=plain(name, 50),
                text=hover,
                hovertemplate="%{text}",
            )
        )
    figure = finish(figure, title=title)
    figure.update_xaxes(title_text="first principal component (embedding units)")
    figure.update_yaxes(title_text="second principal component (embedding units)")
    figure.update_layout(
        height=600,
        hovermode="closest",
        legend={"orientation": "v", "yref": "paper", "y": 1, "x": 1.02, "xanchor": "left", "itemsizing": "constant"},
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
