"""Intervals over seeds, rows and both: by hand where it can be, and how often they hold the truth by simulation."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from metapt_explore.errors import UserError
from metapt_explore.statistics.designs import mean_over_pairs
from metapt_explore.statistics.ground import TaskGround
from metapt_explore.statistics.resampling import bootstrap_mean
from metapt_explore.statistics.two_level import TwoLevel, of_gains, two_level
from metapt_explore.statistics.units import UNIT

TRUTH = 0.02


def pairs_of(count: int, *, crossed: bool) -> pd.MultiIndex:
    side = round(count**0.5)
    pairs = (
        [(i, 100 + j) for i in range(side) for j in range(side)] if crossed else [(i, 100 + i) for i in range(count)]
    )
    return pd.MultiIndex.from_tuples(pairs, names=["init_seed", "data_seed"])


def drawn(rng: np.random.Generator, pairs: int, rows: int, *, seeds: float, texts: float, crossed: bool) -> TwoLevel:
    """Gains of two tasks: seeds and rows move the chance that one method alone is right."""
    index = pairs_of(pairs, crossed=crossed)
    by_init, by_data = (
        dict(zip(level, rng.normal(0, seeds / 2**0.5, len(level)), strict=True)) for level in index.levels
    )
    by_seed = np.array([by_init[init] + by_data[data] for init, data in index])
    gains = {}
    for task in ("a", "b"):
        mean = np.clip(TRUTH + by_seed[:, None] + rng.normal(0, texts, rows), -0.95, 0.95)
        either = 0.1 * (1 - np.abs(mean))
        chance, first = rng.random((pairs, rows)), np.clip(mean, 0, None) + either
        second = np.clip(-mean, 0, None) + either
        signs = np.where(chance < first, 1.0, np.where(chance < first + second, -1.0, 0.0))
        gains[task] = pd.DataFrame(signs, index=index)
    return of_gains(gains, resamples=300)


@pytest.mark.parametrize(
    ("pairs", "rows", "seeds", "texts", "crossed"),
    [(5, 100, 0.06, 0.2, False), (10, 100, 0.0, 0.3, False), (9, 80, 0.05, 0.1, True)],
)
def test_only_the_interval_over_both_holds_the_truth_as_often_as_it_says(
    pairs: int, rows: int, seeds: float, texts: float, crossed: bool
) -> None:
    rng = np.random.default_rng(3)
    found = [drawn(rng, pairs, rows, seeds=seeds, texts=texts, crossed=crossed) for _ in range(150)]
    held = {
        name: np.mean([ends is not None and ends[0] <= TRUTH <= ends[1] for ends in map(intervals, found)])
        for name, intervals in {
            "seeds": lambda each: each.over_seeds,
            "rows": lambda each: each.over_rows,
            "both": lambda each: each.over_both,
        }.items()
    }
    # Three standard errors of 150 draws are 5 points.
    assert 0.92 <= held["both"] <= 1 and held["both"] >= max(held["seeds"], held["rows"]), held
    assert min(held["seeds"], held["rows"]) < 0.90, held


def test_parts_by_hand() -> None:
    index = pairs_of(3, crossed=False)
    gains = {"a": pd.DataFrame([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]], index=index)}
    found = of_gains(gains)
    estimate = mean_over_pairs(pd.Series([1.0, 0.0, 1.0], index=index))
    assert found.difference == pytest.approx(2 / 3) and found.over_seeds == (estimate.low, estimate.high)
    # All rows say the same at each seed: nothing hangs on rows.
    assert found.over_rows == pytest.approx((2 / 3, 2 / 3)) and found.over_both == pytest.approx(
        found.over_seeds, abs=0.02
    )
    alike = {"a": pd.DataFrame([[1.0, 0.0, 1.0]] * 3, index=index)}
    found = of_gains(alike)
    assert found.over_seeds is None and found.over_both == found.over_rows and found.over_rows[0] < 2 / 3
    assert "– over 3 pairs of seeds" in found.sentence


def said(task: str, right: dict[tuple[int | None, int], list[int]]) -> pd.DataFrame:
    """Predictions, right (1) or wrong (0) in each row."""
    tables = [
        pd.DataFrame({"init_seed": init, "data_seed": data, "row": range(len(rows)), "label": 1, "predicted": rows})
        for (init, data), rows in right.items()
    ]
    whole = pd.concat(tables, ignore_index=True).assign(task=task)
    return whole.astype({"init_seed": "Int64"})


def test_a_baseline_without_initialisation_and_pairs_without_a_task() -> None:
    first = pd.concat([said("a", {(0, 1): [1, 1], (1, 2): [1, 0]}), said("b", {(0, 1): [1, 0]})])
    second = pd.concat([said("a", {(None, 1): [0, 1], (None, 2): [0, 0]}), said("b", {(None, 1): [1, 1]})])
    found = two_level(first, second)
    assert (found.pairs, found.tasks, found.rows) == (1, 2, 4) and found.over_seeds is None
    assert found.difference == pytest.approx((0.5 - 0.5) / 2)
    assert two_level(first[first["task"] == "a"], second[second["task"] == "a"]).pairs == 2


def test_rows_of_their_own_and_one_sample_twice() -> None:
    moved = said("a", {(0, 1): [1, 1], (1, 2): [1, 0]})
    moved.loc[moved["data_seed"] == 2, "row"] += 5
    with pytest.raises(ValueError, match="rows of their own"):
        two_level(moved, moved.assign(predicted=0))
    three = said("a", {(0, 1): [1, 1], (1, 2): [1, 0], (2, 3): [0, 0]})
    same = {"a": TaskGround(data_seeds=(1, 2, 3), shared=((2, 3, 1.0),))}
    zero = three.assign(predicted=0)
    assert two_level(three, zero).pairs == 3 and two_level(three, zero, grounds=same).pairs == 3
    crossed = pd.concat([said("a", {(0, data): rows for data, rows in ((1, [1, 1]), (2, [1, 0]), (3, [0, 0]))})])
    assert two_level(crossed, crossed.assign(predicted=0), grounds=same).pairs == 2


def test_decisions_that_no_table_could_hold_are_refused() -> None:
    """A hostile record names each pair of seeds and each row once: its table has the square of its decisions."""
    seeds = 9_000
    alone = pd.DataFrame(
        {"init_seed": 0, "data_seed": range(seeds), "row": range(seeds), "label": 1, "predicted": 1, "task": "a"}
    )
    with pytest.raises(UserError, match="'a' are of 9,000 pairs of seeds and 9,000 rows, too many"):
        two_level(alone, alone)
    index = pd.MultiIndex.from_arrays([np.arange(50_000) // 2, np.arange(50_000) % 25_001], names=UNIT)
    values = pd.Series(np.arange(50_000) % 7, index=index)
    for ask in (mean_over_pairs, bootstrap_mean):
        with pytest.raises(UserError, match="too many to compare"):
            ask(values)


def test_many_rows_are_drawn_in_pieces_with_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame(np.random.default_rng(1).choice([-1.0, 0.0, 1.0], (4, 50)), index=pairs_of(4, crossed=False))
    whole = of_gains({"a": table, "b": table})
    monkeypatch.setattr(sys.modules[of_gains.__module__], "DRAWN_AT_ONCE", 7 * 50)
    assert of_gains({"a": table, "b": table}) == whole
