"""Which points of a map are drawn alike: by cluster, by category, by a number."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.plots.style import BLUE, GREY, PALETTE, TEXT, VERMILION

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")
OUTLIERS = "outliers"
#: Clusters that colour and symbol tell apart. Of more only the largest, or those that are chosen, have a look of their
#: own: a browser draws one layer of points in a fraction of the time that hundreds take.
TOLD_APART = len(PALETTE) * len(SYMBOLS)
#: The largest of many clusters, which have a look of their own: each colour twice.
LARGEST = 2 * len(PALETTE)
#: Categories with a colour of their own; the rest are one.
MOST_CATEGORIES = 14
#: From low to high: told apart by colour-blind readers, and seen on a light page and a dark one.
NUMBERS = ((0.0, BLUE), (0.5, "#B9B9B9"), (1.0, VERMILION))
#: Share of the numbers, on each side, that have the colour of the end: one long text would make all others one colour.
CLIPPED = 0.02


@dataclass(frozen=True, eq=False)
class PointGroup:
    """Points that are drawn as one layer.

    Attributes:
        name: What they are called.
        points: Columns row, cluster, x and y.
        marker: How plotly draws them.
        notes: A number for each, told at the pointer.
        listed: Whether they have a line in the legend.
        named: Whether the name says all that the pointer should say beside the text.
    """

    name: str
    points: pd.DataFrame
    marker: dict[str, Any]
    notes: np.ndarray | None = None
    listed: bool = True
    named: bool = False


def coloured_clusters(sizes: pd.Series, highlighted: Collection[int] = ()) -> dict[int, tuple[str, str]]:
    """Colour and symbol of each cluster that has a look of its own; of many clusters the largest.

    Args:
        sizes: Texts of each cluster, by its id; without outliers.
        highlighted: Clusters that are looked at: of many clusters these have a look of their own, and no others.

    Example:
        >>> list(coloured_clusters(pd.Series({0: 5, 1: 9})))
        [0, 1]
        >>> list(coloured_clusters(pd.Series(range(100)), [7, 3]))
        [7, 3]
    """
    if len(sizes) <= TOLD_APART:
        return {int(cluster): look_of(int(cluster)) for cluster in sorted(sizes.index)}
    chosen = [int(cluster) for cluster in dict.fromkeys(highlighted)][:TOLD_APART]
    if not chosen:
        chosen = sorted(map(int, sizes.index), key=lambda cluster: (-int(sizes[cluster]), cluster))[:LARGEST]
    return {cluster: look_of(place) for place, cluster in enumerate(chosen)}


def look_of(number: int) -> tuple[str, str]:
    """Colour and symbol by number; they repeat after `TOLD_APART`."""
    return PALETTE[number % len(PALETTE)], SYMBOLS[number // len(PALETTE) % len(SYMBOLS)]


def group_by_cluster(
    points: pd.DataFrame, names: Mapping[int, str], looks: Mapping[int, tuple[str, str]], total: int
) -> list[PointGroup]:
    """A layer for each cluster with a look of its own; all other clusters are one grey layer below, outliers another.

    Args:
        points: Columns row, cluster, x and y.
        names: Names of the clusters.
        looks: Colour and symbol of clusters (`coloured_clusters`).
        total: How many clusters there are, also those without a point among these.
    """
    out, inside = points[points["cluster"] < 0], points[points["cluster"] >= 0]
    groups = []
    if len(out):
        groups.append(
            PointGroup(OUTLIERS, out, {"color": GREY, "opacity": 0.35, "symbol": "circle"}, named=True),
        )
    others = inside[~inside["cluster"].isin(list(looks))]
    if len(others):
        name = f"{total - len(looks):,} others"
        groups.append(PointGroup(name, others, {"color": GREY, "opacity": 0.35, "symbol": "circle"}))
    of_cluster = {int(str(cluster)): rows for cluster, rows in inside.groupby("cluster")}
    for cluster, (color, symbol) in looks.items():
        if cluster in of_cluster:
            marker = {"opacity": 0.75, "color": color, "symbol": symbol}
            groups.append(PointGroup(names.get(cluster, str(cluster)), of_cluster[cluster], marker, named=True))
    return groups


def group_by_category(points: pd.DataFrame, values: pd.Series) -> list[PointGroup]:
    """A layer for each of the commonest categories; the others, and points without one, are grey below them.

    Args:
        points: Columns row, cluster, x and y.
        values: The category of each point, None where it has none.
    """
    counts = values.dropna().astype(str).value_counts()
    ordered = sorted(counts.index, key=lambda name: (-int(counts[name]), name))
    kept = sorted(ordered[:MOST_CATEGORIES])
    groups = []
    missing = values.isna()
    others = ~missing & ~values.astype(str).isin(kept)
    if missing.any():
        groups.append(PointGroup("none", points[missing], {"color": GREY, "opacity": 0.35}))
    if others.any():
        name = f"{len(ordered) - len(kept):,} others"
        groups.append(PointGroup(name, points[others], {"color": GREY, "opacity": 0.6, "symbol": "x"}))
    for place, name in enumerate(kept):
        symbol = SYMBOLS[place // len(PALETTE) % len(SYMBOLS)]
        marker = {"color": PALETTE[place % len(PALETTE)], "opacity": 0.75, "symbol": symbol}
        groups.append(PointGroup(name, points[~missing & (values.astype(str) == name)], marker))
    return groups


def number_marker(values: pd.Series, title: str) -> dict[str, Any]:
    """How points are drawn that are coloured by a number."""
    low, high = (float(values.quantile(share)) for share in (CLIPPED, 1 - CLIPPED))
    return {
        "color": values.to_numpy(dtype="float32"),
        "colorscale": [list(step) for step in NUMBERS],
        "cmin": low,
        "cmax": high if high > low else low + 1.0,
        "opacity": 0.85,
        # Below the map: beside it, it would take a third of a telephone's width.
        "colorbar": {
            "title": {"text": title, "side": "top"},
            "orientation": "h",
            "thickness": 10,
            "len": 0.8,
            "y": -0.16,
            "yanchor": "top",
            "tickfont": {"color": TEXT},
        },
    }
