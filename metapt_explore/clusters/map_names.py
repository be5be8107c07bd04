"""Names on a map: few coarse ones from afar, more from near, none over another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

#: Left, right, bottom and top of the part of a map that is looked at.
Window = tuple[float, float, float, float]
#: Letters of a name on the map; more are cut.
LONGEST = 28
#: Pixels of a letter, and of a line with the room around it, at the map's font size.
LETTER, LINE = 6.6, 19.0
#: Pixels of the map that names are placed for.
WIDTH, HEIGHT = 560.0, 460.0
#: Share of a group's texts, on each side, that its window leaves out: a few strays would make it the whole map.
STRAYS = 0.05


@dataclass(frozen=True)
class MapName:
    """A name on the map.

    Attributes:
        text: What stands there.
        x: Where, in the map's units.
        y: Likewise.
        clusters: The clusters that it stands for.
        rows: Their texts.
    """

    text: str
    x: float
    y: float
    clusters: tuple[int, ...]
    rows: int


def map_names(points: pd.DataFrame, clusters: Sequence[Mapping[str, Any]], most: int | None = None) -> list[MapName]:
    """Names of clusters at the median of their texts, largest first; neighbours on the map joined if there are many.

    Joined are clusters that lie together *on this map* (Ward's method on their medians): a name must stand where its
    texts are, which clusters that are alike in all dimensions need not be.

    Args:
        points: Columns cluster, x and y.
        clusters: Ids, names, keywords and sizes, as in a clustering's summary.
        most: Names at most; as many as clusters when absent.

    Example:
        >>> points = pd.DataFrame({"cluster": [0, 1, 2], "x": [0.0, 0.1, 9.0], "y": [0.0, 0.0, 0.0]})
        >>> told = [{"cluster": c, "name": f"{c}: {w}", "keywords": [w], "rows": 1} for c, w in enumerate("abc")]
        >>> [name.text for name in map_names(points, told, most=2)]
        ['a, b', '2: c']
    """
    middles = points[points["cluster"] >= 0].groupby("cluster")[["x", "y"]].median()
    known = [cluster for cluster in clusters if int(cluster["cluster"]) in middles.index]
    if not known:
        return []
    places = middles.loc[[int(cluster["cluster"]) for cluster in known]].to_numpy(dtype=float)
    group_of = np.arange(len(known))
    if most is not None and most < len(known):
        from scipy.cluster.hierarchy import fcluster, ward

        group_of = fcluster(ward(places), most, criterion="maxclust")
    names = []
    for group in np.unique(group_of):
        members = np.flatnonzero(group_of == group)
        told = [known[member] for member in members]
        sizes = np.array([int(cluster["rows"]) for cluster in told], dtype=float)
        x, y = np.average(places[members], axis=0, weights=np.maximum(sizes, 1))
        ids = tuple(int(cluster["cluster"]) for cluster in told)
        names.append(MapName(_name(told), float(x), float(y), ids, int(sizes.sum())))
    return sorted(names, key=lambda name: (-name.rows, name.clusters))


def _name(clusters: Sequence[Mapping[str, Any]]) -> str:
    """The cluster's own name, or the words that weigh most in several of them."""
    if len(clusters) == 1:
        return cut(str(clusters[0]["name"]))
    weights: dict[str, float] = {}
    for cluster in clusters:
        given = cluster.get("given_name")
        words = [given] if given else cluster.get("keywords", [])
        for place, word in enumerate(words):
            weights[word] = weights.get(word, 0.0) + int(cluster["rows"]) / (1 + place)
    best = sorted(weights, key=lambda word: (-weights[word], word))[:3]
    return cut(", ".join(best)) if best else f"{len(clusters)} clusters"


def cut(name: str) -> str:
    """A name, cut to the letters that a map has room for."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def without_overlap(
    names: Sequence[MapName], window: Window, size: tuple[float, float] = (WIDTH, HEIGHT)
) -> list[MapName]:
    """The names that have room in a window, the first ones first; none lies over another.

    Args:
        names: In the order in which they get their place.
        window: The part of the map that is seen.
        size: Its pixels, across and down.
    """
    left, right, bottom, top = window
    across, down = size[0] / max(right - left, 1e-12), size[1] / max(top - bottom, 1e-12)
    boxes: list[tuple[float, float, float]] = []
    placed = []
    for name in names:
        if not (left <= name.x <= right and bottom <= name.y <= top):
            continue
        x, y, half = (name.x - left) * across, (name.y - bottom) * down, LETTER * len(name.text) / 2 + 4
        if all(abs(x - x2) >= half + half2 or abs(y - y2) >= LINE for x2, y2, half2 in boxes):
            boxes.append((x, y, half))
            placed.append(name)
    return placed


def window_of(points: pd.DataFrame, clusters: Sequence[int] | None = None) -> Window:
    """The part of a map where the texts of some clusters are, with a margin.

    Args:
        points: Columns cluster, x and y.
        clusters: Which; all texts, outliers included, when absent.
    """
    if clusters is None:
        shown, low, high = points, 0.0, 1.0
    else:
        shown, low, high = points[points["cluster"].isin(list(clusters))], STRAYS, 1 - STRAYS
    if not len(shown):
        return (-1.0, 1.0, -1.0, 1.0)
    edges = []
    for axis in ("x", "y"):
        start, end = (float(shown[axis].quantile(q)) for q in (low, high))
        margin = 0.06 * (end - start) or 0.5
        edges += [start - margin, end + margin]
    return (edges[0], edges[1], edges[2], edges[3])
