"""Which points of a map are drawn alike: by cluster, by category, by a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.plots.style import BLUE, GREY, PALETTE, TEXT, VERMILION

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")
OUTLIERS = "outliers"
#: Clusters that colour and symbol tell apart. More are one layer of points, which a browser draws in a fraction of the
#: time that hundreds of layers take; names on the map and at the pointer say which is which.
TOLD_APART = len(PALETTE) * len(SYMBOLS)
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


def group_by_cluster(points: pd.DataFrame, names: Mapping[int, str]) -> list[PointGroup]:
    """A layer for each cluster, or one for all if they are too many to tell apart; outliers lie below."""
    out = points[points["cluster"] < 0]
    groups = (
        [PointGroup(OUTLIERS, out, {"color": GREY, "opacity": 0.35, "symbol": "circle"}, named=True)]
        if len(out)
        else []
    )
    inside = points[points["cluster"] >= 0]
    if inside["cluster"].nunique() > TOLD_APART:
        numbers = inside["cluster"].to_numpy() % len(PALETTE)
        steps = [(edge / len(PALETTE), colour) for place, colour in enumerate(PALETTE) for edge in (place, place + 1)]
        marker = {
            "color": numbers.astype("int16"),
            "colorscale": steps,
            "cmin": -0.5,
            "cmax": len(PALETTE) - 0.5,
            "showscale": False,
            "opacity": 0.75,
        }
        return [*groups, PointGroup("clusters", inside, marker, listed=False)]
    for cluster, rows in sorted(inside.groupby("cluster"), key=lambda pair: int(str(pair[0]))):
        number = int(str(cluster))
        marker = {
            "opacity": 0.75,
            "color": PALETTE[number % len(PALETTE)],
            "symbol": SYMBOLS[number // len(PALETTE) % len(SYMBOLS)],
        }
        groups.append(PointGroup(names.get(number, str(number)), rows, marker, named=True))
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
