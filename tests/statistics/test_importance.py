"""Which settings of a sweep matter, on scores that are made of known parts; and the matrix of methods and tasks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metapt_explore.statistics.importance import setting_importance
from metapt_explore.statistics.matrix import MEAN, score_matrix

GRID = [(rate, order) for rate in (1, 2, 3) for order in ("a", "b")]
SETTINGS = pd.DataFrame(GRID, columns=["rate", "order"], index=[f"M{place}" for place in range(len(GRID))])


def scores(worth: dict[str, float], noise: float = 0.0) -> pd.Series:
    """Ten scores of each combination: 0.5, what rate and order are worth, and luck."""
    random = np.random.default_rng(0)
    whole = {
        name: 0.5 + worth.get("rate", 0) * (row["rate"] - 2) + worth.get("order", 0) * (row["order"] == "b")
        for name, row in SETTINGS.iterrows()
    }
    names = list(whole) * 10
    return pd.Series([whole[name] + noise * random.standard_normal() for name in names], index=names)


def test_shares_are_those_of_the_variance_that_each_setting_makes() -> None:
    found = setting_importance(SETTINGS, scores({"rate": 0.1, "order": 0.1}))
    assert found is not None and (found.points, found.methods) == (60, 6) and found.fit > 0.95
    # Variance of -0.1, 0, 0.1 is 0.0067, of 0, 0.1 it is 0.0025: shares of 0.73 and 0.27; nothing acts together only.
    assert found.shares == pytest.approx({"rate": 0.727, "order": 0.273}, abs=0.02) and found.rest < 0.01
    assert list(found.shares) == ["rate", "order"]


def test_luck_alone_says_that_it_is_luck() -> None:
    found = setting_importance(SETTINGS, scores({}, noise=0.05))
    assert found is not None and found.fit <= 0.05


def test_without_a_sweep_or_a_difference_there_is_nothing_to_say() -> None:
    assert setting_importance(SETTINGS.head(3), scores({"rate": 0.1})) is None
    assert setting_importance(SETTINGS, scores({})) is None


def test_matrix_of_methods_and_tasks() -> None:
    cells = {("A", "x"): (0.6, 0.8), ("A", "y"): (0.5, 0.5), ("B", "x"): (0.5, 0.5), ("B", "y"): (0.9, 0.7)}
    rows = [
        (method, task, seed, seed, score)
        for (method, task), both in (cells | {("C", "x"): (0.9, 0.9)}).items()
        for seed, score in enumerate(both)
    ]
    table = pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "accuracy"])
    found = score_matrix(table).set_index(["method", "task"])
    # t(1) of 95 % is 12.706; the standard error of 0.6 and 0.8 is 0.1: cut at 0 and 1.
    assert found.loc[("A", "x"), ["mean", "low", "high"]].tolist() == pytest.approx([0.7, 0.0, 1.0])
    assert [found.loc[(method, "x"), "rank"] for method in "ABC"] == [2, 3, 1]
    # C has no score on y: it has no mean over tasks, and is not among those that mean ranks are of.
    means = found.xs(MEAN, level="task")
    assert means["mean"].round(6).tolist()[:2] == [0.6, 0.65] and np.isnan(means.loc["C", "mean"])
    assert means["rank"].tolist()[:2] == [1.5, 1.5] and np.isnan(means.loc["C", "rank"])
