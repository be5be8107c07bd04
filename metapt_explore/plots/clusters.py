"""Sizes of clusters, and where those of one grouping are in another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.style import BLUE, GREY, MANY, PALETTE, VERMILION, finish, nothing_yet, plain

UNLABELLED = "unlabelled"
#: Rows and columns of a heat map that are shown of more; lists beside the figures hold all of them.
MOST_SHOWN = 30
#: Labels with a colour of their own; the rest are one.
MOST_LABELS = 14
OTHERS = "other labels"


def cluster_sizes(clusters: list[dict[str, Any]]) -> go.Figure:
    """Draws a bar for each cluster: how many texts it has, and of which label.

    More than 40 clusters are a curve instead, the largest first; the colour of a point is the share of the cluster's
    commonest label, where labels are known.

    Args:
        clusters: ``summary["clusters"]`` of a clustering; ``labels`` counts texts by label (where it is missing,
            labels are not known).
    """
    if not clusters:
        return nothing_yet("There is no cluster: every text is an outlier.")
    if len(clusters) > MANY:
        return _ranked_sizes(clusters)
    clusters = [{"labels": {"texts": cluster["rows"]}, **cluster} for cluster in clusters]
    clusters = [{**cluster, "labels": counts} for cluster, counts in zip(clusters, _commonest(clusters), strict=True)]
    found = {label for cluster in clusters for label in cluster["labels"]}
    last = [label for label in (OTHERS, UNLABELLED) if label in found]
    labels = sorted(found - {*last}) + last
    names = [plain(cluster["name"], 50) for cluster in clusters]
    figure = go.Figure()
    for index, label in enumerate(labels):
        figure.add_trace(
            go.Bar(
                x=[int(cluster["labels"].get(label, 0)) for cluster in clusters],
                y=names,
                orientation="h",
                name=plain(label, 40),
                marker={"color": GREY if label in last else PALETTE[index % len(PALETTE)]},
                hovertemplate="%{y}: %{x} texts",
            )
        )
    figure = finish(figure)
    figure.update_layout(
        barmode="stack",
        bargap=0.3,
        height=150 + (30 if len(clusters) <= 16 else 20) * len(clusters),
        legend={"traceorder": "normal"},
    )
    figure.update_xaxes(title_text="texts (number)")
    figure.update_yaxes(autorange="reversed", title_text="cluster", type="category")
    return figure


def _ranked_sizes(clusters: list[dict[str, Any]]) -> go.Figure:
    """A point for each of many clusters, the largest on the left."""
    ordered = sorted(clusters, key=lambda cluster: (-int(cluster["rows"]), int(cluster["cluster"])))
    sizes = [int(cluster["rows"]) for cluster in ordered]
    shares = [_commonest_label(cluster) for cluster in ordered]
    known = all(share is not None for share in shares)
    marker: dict[str, Any] = {"size": 6, "color": BLUE}
    if known:
        marker |= {
            "color": [share[1] for share in shares if share],
            "cmin": 0.0,
            "cmax": 1.0,
            "colorscale": [[0.0, BLUE], [0.5, BLUE], [0.8, "#B9B9B9"], [1.0, VERMILION]],
            "colorbar": {
                "title": {"text": "share of the commonest label", "side": "top"},
                "orientation": "h",
                "tickformat": ".0%",
                "thickness": 10,
                "len": 0.8,
                "y": -0.3,
                "yanchor": "top",
            },
        }
    told = [
        f"{plain(cluster['name'], 50)}<br>{size:,} texts"
        + (f"; {share[1]:.0%} of the labels are {plain(share[0], 30)}" if share else "")
        for cluster, size, share in zip(ordered, sizes, shares, strict=True)
    ]
    figure = go.Figure(
        go.Scatter(
            x=list(range(1, len(ordered) + 1)),
            y=sizes,
            mode="markers",
            marker=marker,
            name="clusters",
            showlegend=False,
            text=told,
            hovertemplate="%{text}<extra></extra>",
        )
    )
    middle = sorted(sizes)[len(sizes) // 2]
    figure.add_hline(y=middle, line={"color": GREY, "width": 1, "dash": "dot"})
    figure = finish(
        figure,
        title=f"{len(ordered):,} clusters of {sizes[-1]:,} to {sizes[0]:,} texts, median {middle:,}",
    )
    figure.update_xaxes(title_text="clusters by size (number)")
    far_apart = sizes[-1] > 0 and sizes[0] > 30 * sizes[-1]
    figure.update_yaxes(title_text="texts (number)", **({"type": "log"} if far_apart else {"rangemode": "tozero"}))
    figure.update_layout(height=400 if known else 340)
    return figure


def _commonest_label(cluster: dict[str, Any]) -> tuple[str, float] | None:
    """The label that most labelled texts of a cluster have, and its share of them; None where no text has one."""
    counts = {label: int(count) for label, count in cluster.get("labels", {}).items() if label != UNLABELLED}
    if not sum(counts.values()):
        return None
    label = max(counts, key=lambda name: (counts[name], name))
    return label, counts[label] / sum(counts.values())


def _commonest(clusters: list[dict[str, Any]]) -> list[dict[str, int]]:
    """Counts by label of each cluster, with rare labels together where there are many."""
    totals: dict[str, int] = {}
    for cluster in clusters:
        for label, count in cluster["labels"].items():
            totals[label] = totals.get(label, 0) + int(count)
    ordered = sorted(totals.keys() - {UNLABELLED}, key=lambda label: (-totals[label], label))
    if len(ordered) <= MOST_LABELS:
        return [cluster["labels"] for cluster in clusters]
    kept, made = {*ordered[: MOST_LABELS - 1], UNLABELLED}, []
    for cluster in clusters:
        counts = {label: count for label, count in cluster["labels"].items() if label in kept}
        others = sum(cluster["labels"].values()) - sum(counts.values())
        made.append({**counts, OTHERS: others} if others else counts)
    return made


def contingency_map(table: pd.DataFrame, down: Mapping[int, str], across: Mapping[int, str]) -> go.Figure:
    """Heat map of where the clusters of one grouping are in another; of many, the largest of each.

    Args:
        table: Texts by first (rows) and second (columns) cluster, -1 for outliers (`compare_groupings`).
        down: Names of the first grouping's clusters.
        across: Names of the second's.
    """
    if table.empty:
        return nothing_yet("The two clusterings have no text in common.")
    share = table.div(table.sum(axis=1).clip(lower=1), axis=0)
    title = ""
    if max(table.shape) > MOST_SHOWN:
        title = f"the largest {MOST_SHOWN} of {table.shape[0]:,} and {table.shape[1]:,} clusters"
        largest = [table.sum(axis=axis).nlargest(MOST_SHOWN).index.sort_values() for axis in (1, 0)]
        table, share = table.loc[largest[0], largest[1]], share.loc[largest[0], largest[1]]
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
    figure = finish(figure, title=title)
    figure.update_layout(height=140 + (30 if len(rows) <= 16 else 18) * len(rows), margin_t=50 if title else 20)
    return figure
