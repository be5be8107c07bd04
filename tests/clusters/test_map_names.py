"""Names on a map: joined by place, never one over another, finer in a smaller window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.clusters.map_names import LETTER, LINE, MapName, map_names, window_of, without_overlap

NUMBERS = st.floats(-50, 50, allow_nan=False)


def grid(side: int) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Clusters on a grid, ten texts each, the first ones larger."""
    random = np.random.default_rng(0)
    rows = [
        {"cluster": y * side + x, "x": x + shift[0], "y": y + shift[1]}
        for y in range(side)
        for x in range(side)
        for shift in random.normal(size=(10, 2)) * 0.05
    ]
    told = [{"cluster": c, "name": f"{c}: w{c}", "keywords": [f"w{c}"], "rows": 200 - c} for c in range(side * side)]
    return pd.DataFrame(rows), told


def test_every_cluster_is_in_one_name_and_names_stand_among_their_texts() -> None:
    points, told = grid(6)
    names = map_names(points, told, most=5)
    assert len(names) == 5 and sorted(c for name in names for c in name.clusters) == list(range(36))
    assert [name.rows for name in names] == sorted((name.rows for name in names), reverse=True)
    for name in names:
        own = points[points["cluster"].isin(name.clusters)]
        assert own["x"].min() <= name.x <= own["x"].max() and own["y"].min() <= name.y <= own["y"].max()
    # Of several the words of the largest clusters, of one its own name.
    assert names[0].text.startswith(f"w{min(names[0].clusters)}")
    assert [name.text for name in map_names(points, told)][:2] == ["0: w0", "1: w1"]


def test_a_given_name_counts_as_the_only_keyword_and_outliers_have_none() -> None:
    points = pd.DataFrame({"cluster": [0, 1, -1], "x": [0.0, 1.0, 99.0], "y": 0.0})
    told = [
        {"cluster": 0, "name": "0: phones", "given_name": "phones", "keywords": ["call"], "rows": 5},
        {"cluster": 1, "name": "1", "keywords": [], "rows": 1},
        {"cluster": 7, "name": "7: gone", "keywords": ["gone"], "rows": 0},
    ]
    (name,) = map_names(points, told, most=1)
    assert name.text == "phones" and name.clusters == (0, 1) and name.x == 1 / 6


@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(1, 28)), max_size=40))
def test_no_name_lies_over_another(drawn: list[tuple[float, float, int]]) -> None:
    names = [MapName("a" * letters, x, y, (n,), 1) for n, (x, y, letters) in enumerate(drawn)]
    window, size = (-20.0, 20.0, -20.0, 20.0), (400.0, 300.0)
    kept = without_overlap(names, window, size)
    boxes = [(n.x * 10, n.y * 7.5, LETTER * len(n.text) / 2) for n in kept]
    for i, (x, y, half) in enumerate(boxes):
        assert abs(x) <= 200 and abs(y) <= 150
        assert all(abs(x - x2) >= half + half2 or abs(y - y2) >= LINE for x2, y2, half2 in boxes[:i])
    inside = [n for n in names if abs(n.x) <= 20 and abs(n.y) <= 20]
    assert kept[:1] == inside[:1], "the first has its place"


def test_a_smaller_window_has_room_for_more_names_of_its_clusters() -> None:
    points, told = grid(16)
    names = map_names(points, told)
    far, near = window_of(points), window_of(points, range(4))
    assert near[1] - near[0] < 0.4 * (far[1] - far[0])
    seen_near = without_overlap(names, near)
    assert {name.clusters for name in seen_near} > {
        name.clusters for name in without_overlap(names, far) if name in seen_near
    }
    assert window_of(points, [999]) == (-1.0, 1.0, -1.0, 1.0)
