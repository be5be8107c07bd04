"""Sources of variance: exact on layouts made by hand, right on average on simulated ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made import crossed, table

from metapt_explore.statistics import variance_sources


def components(rows: pd.DataFrame, task: str = "a", column: str = "variance") -> dict[str, float]:
    found = variance_sources(rows, "M")
    return found[found["task"] == task].set_index("source")[column].to_dict()


def test_pure_sources() -> None:
    pairs = crossed(3, 4)
    of_init = np.array([[i] for i, _ in pairs], dtype=float)
    found = components(table({"M": of_init}, pairs, ["a"]))
    assert found == pytest.approx({"few-shot sample": 0.0, "pre-training": 1.0, "the rest": 0.0})
    shares = components(table({"M": of_init}, pairs, ["a"]), column="share")
    assert shares["pre-training"] == pytest.approx(1.0)


def test_by_hand() -> None:
    """[[1, 3], [5, 11]]: mean squares 36 (rows), 16 (columns), 4 (rest): (36 - 4) / 2 and (16 - 4) / 2."""
    rows = table({"M": np.array([[1.0], [3.0], [5.0], [11.0]])}, crossed(2, 2), ["a"])
    assert components(rows) == pytest.approx({"few-shot sample": 6.0, "pre-training": 16.0, "the rest": 4.0})
    shares = components(rows, column="share")
    assert sum(shares.values()) == pytest.approx(1.0) and shares["pre-training"] == pytest.approx(16 / 26)


def test_right_on_average() -> None:
    draw, pairs, found = np.random.default_rng(0), crossed(6, 6), []
    for _ in range(200):
        of_init, of_data = draw.normal(0, 0.03, 6), draw.normal(0, 0.01, 6)
        values = np.array([[of_init[i] + of_data[d]] for i, d in pairs]) + draw.normal(0, 0.02, (36, 1))
        found.append(components(table({"M": values}, pairs, ["a"])))
    mean = pd.DataFrame(found).mean()
    assert mean["pre-training"] == pytest.approx(0.0009, rel=0.2)
    assert mean["few-shot sample"] == pytest.approx(0.0001, rel=0.5)
    assert mean["the rest"] == pytest.approx(0.0004, rel=0.1)


def test_a_third_source() -> None:
    rows = pd.concat(
        [table({"M": np.full((4, 1), 0.5 + 0.1 * c)}, crossed(2, 2), ["a"], clustering_seed=c) for c in range(3)]
    )
    found = components(rows)
    assert found["clustering"] == pytest.approx(0.01) and found["the rest"] == 0


def test_all_tasks_is_the_mean_of_the_components() -> None:
    pairs = crossed(3, 3)
    values = np.random.default_rng(1).normal(0, 1, (9, 2))
    rows = table({"M": values}, pairs, ["a", "b"])
    whole = components(rows, "all tasks")
    for source, value in whole.items():
        assert value == pytest.approx((components(rows, "a")[source] + components(rows, "b")[source]) / 2)


def test_paired_seeds_cannot_be_split() -> None:
    rows = table({"M": np.random.default_rng(0).normal(size=(5, 1))}, [(s, s) for s in range(5)], ["a"])
    found = variance_sources(rows, "M")
    assert found["variance"].isna().all() and found["share"].isna().all()
    assert found["note"].str.contains("seeds are paired").all()
