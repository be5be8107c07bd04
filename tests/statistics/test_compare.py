"""The comparison against scipy and hand-computed values; what it says of methods that do not differ."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import crossed, table
from scipy import stats

from metapt_explore.errors import UserError
from metapt_explore.statistics import compare
from metapt_explore.statistics.inference import (
    bootstrap_interval,
    holm,
    mean_squares,
    paired_t,
    seeds_needed,
    sign_flip_p,
    two_way_t,
)
from metapt_explore.statistics.spread import pitman_morgan
from metapt_explore.statistics.units import paired_units

TASKS = ["a", "b", "c"]
PAIRED = [(seed, seed) for seed in range(10)]


def noise(seed: int, shape: tuple[int, ...], scale: float = 0.02) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, scale, shape)


# ------------------------------------------------------------------------------------------ primary


def test_the_primary_test_is_scipys_paired_t_over_means_of_tasks() -> None:
    method, baseline = 0.72 + noise(0, (10, 3)), 0.70 + noise(1, (10, 3))
    found = compare(table({"M": method, "B": baseline}, PAIRED, TASKS), "M", "B")
    expected = stats.ttest_rel(method.mean(axis=1), baseline.mean(axis=1))
    interval = expected.confidence_interval(0.95)
    assert found.estimate.p == pytest.approx(expected.pvalue)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((interval.low, interval.high))
    assert found.pairs == 10 and found.left_out == 0 and found.tasks == TASKS and found.caveats == []
    for task, row in found.per_task.set_index("task").iterrows():
        column = TASKS.index(str(task))
        single = stats.ttest_rel(method[:, column], baseline[:, column])
        assert row["p"] == pytest.approx(single.pvalue)
        assert row["difference"] == pytest.approx((method - baseline)[:, column].mean())
        assert row["wins"] + row["ties"] + row["losses"] == 10
    assert json.dumps(found.as_dict())


def test_the_order_of_rows_does_not_matter() -> None:
    rows = table({"M": 0.7 + noise(0, (10, 3)), "B": 0.7 + noise(1, (10, 3))}, PAIRED, TASKS)
    shuffled = rows.sample(frac=1, random_state=3)
    first, second = compare(rows, "M", "B").estimate, compare(shuffled, "M", "B").estimate
    assert (first.mean, first.p) == pytest.approx((second.mean, second.p))


def test_units_that_lack_a_task_are_left_out_and_said() -> None:
    rows = table({"M": 0.7 + noise(0, (10, 3)), "B": 0.7 + noise(1, (10, 3))}, PAIRED, TASKS)
    lacking = rows[~((rows["method"] == "M") & (rows["task"] == "b") & (rows["init_seed"] == 4))]
    found = compare(lacking, "M", "B")
    assert found.pairs == 9 and found.left_out == 1
    assert any("lack a task under one of the methods: 1." in caveat for caveat in found.caveats)
    assert any("Fewer than 10" in caveat for caveat in found.caveats)


def test_a_baseline_without_initialisation_stands_beside_every_one() -> None:
    pairs = crossed(2, 5)
    rows = table({"M": np.full((10, 1), 0.8)}, pairs, ["a"])
    plain = pd.DataFrame(
        {"method": "LR", "task": "a", "init_seed": pd.NA, "data_seed": range(5), "accuracy": [0.5, 0.6, 0.7, 0.6, 0.5]}
    )
    units = paired_units(pd.concat([rows, plain]), "M", "LR")
    assert units.pairs == pairs
    assert units.baseline[:, 0].tolist() == [0.5, 0.6, 0.7, 0.6, 0.5] * 2
    assert paired_units(pd.concat([rows, plain]), "LR", "M").method[:, 0].tolist() == [0.5, 0.6, 0.7, 0.6, 0.5] * 2


def test_what_cannot_be_compared_is_said() -> None:
    rows = table({"M": np.ones((2, 1))}, PAIRED[:2], ["a"])
    with pytest.raises(UserError, match="no scores of 'N'"):
        compare(rows, "M", "N")
    other = table({"N": np.ones((2, 1))}, PAIRED[:2], ["b"])
    with pytest.raises(UserError, match="no task in common"):
        compare(pd.concat([rows, other]), "M", "N")
    apart = table({"N": np.ones((2, 1))}, PAIRED[2:4], ["a"])
    with pytest.raises(UserError, match="No pair of seeds"):
        compare(pd.concat([rows, apart]), "M", "N")


# ------------------------------------------------------------------------------------ crossed seeds


def test_mean_squares_by_hand() -> None:
    """[[1, 3], [5, 11]]: mean 5; rows 2 and 8, columns 3 and 7; what is left is ±1."""
    assert mean_squares(np.array([[1.0, 3.0], [5.0, 11.0]])) == pytest.approx((36.0, 16.0, 4.0))


def test_a_grid_whose_rows_differ_has_the_error_of_its_rows() -> None:
    """Where only initialisations differ, ten data seeds do not make ten times as many units."""
    by_row = np.array([0.0, 0.02, 0.05])
    grid = np.repeat(by_row[:, None], 10, axis=1)
    assert two_way_t(grid).standard_error == pytest.approx(by_row.std(ddof=1) / np.sqrt(3))
    assert two_way_t(grid).df == 2


def test_crossed_designs_use_it() -> None:
    pairs = crossed(3, 4)
    method, baseline = 0.7 + noise(0, (12, 2)), 0.7 + noise(1, (12, 2))
    found = compare(table({"M": method, "B": baseline}, pairs, ["a", "b"]), "M", "B")
    expected = two_way_t((method - baseline).mean(axis=1).reshape(3, 4))
    assert found.estimate == expected
    assert found.permutation_p is None and found.blocked is None


def test_shared_data_seeds_of_a_paired_design_are_said() -> None:
    pairs = [(seed, seed % 5) for seed in range(10)]
    differences = noise(4, (10, 1))
    found = compare(table({"M": 0.7 + differences, "B": np.full((10, 1), 0.7)}, pairs, ["a"]), "M", "B")
    by_seed = differences[:5, 0] / 2 + differences[5:, 0] / 2
    assert found.blocked is not None
    assert found.blocked.p == pytest.approx(stats.ttest_1samp(by_seed, 0.0).pvalue)
    assert any("share 5 few-shot samples" in caveat for caveat in found.caveats)


# ------------------------------------------------------------------------------------- other figures


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_and_keeps_their_order(values: list[float]) -> None:
    corrected = holm(values)
    assert all(new >= old for new, old in zip(corrected, values, strict=True)) and max(corrected) <= 1.0
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


def test_sign_flips_are_counted_exactly() -> None:
    """All of four differences are positive: 2 of 16 flips are as extreme."""
    assert sign_flip_p(np.array([0.1, 0.2, 0.3, 0.4]), seed=0) == pytest.approx(2 / 16)


def test_the_bootstrap_is_scipys() -> None:
    values = noise(5, (12,))
    expected = stats.bootstrap((values,), np.mean, n_resamples=9_999, method="BCa", rng=np.random.default_rng(3))
    found = bootstrap_interval(values, seed=3)
    assert found == pytest.approx((expected.confidence_interval.low, expected.confidence_interval.high))
    assert bootstrap_interval(np.full(5, 0.1), seed=0) is None


@pytest.mark.parametrize(("spread", "effect"), [(0.02, 0.01), (0.02, 0.02), (0.03, 0.005)])
def test_seeds_needed_reach_the_power(spread: float, effect: float) -> None:
    """Simulated: with so many pairs four in five studies see the difference, with a third fewer they do not."""
    n = seeds_needed(spread, effect)
    assert n is not None
    drawn = np.random.default_rng(0).normal(effect, spread, (4000, n))
    assert (stats.ttest_1samp(drawn, 0.0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.04)
    few = drawn[:, : max(2, 2 * n // 3)]
    assert (stats.ttest_1samp(few, 0.0, axis=1).pvalue < 0.05).mean() < 0.76
    assert seeds_needed(spread, 0.0) is None


def test_spread_by_hand() -> None:
    """The method varies half as much on one task and as much on the other: √½."""
    steps = np.array([-1.0, 0.0, 1.0, -1.0, 0.0, 1.0, -1.0, 0.0, 1.0, 0.5])
    baseline = 0.7 + 0.02 * np.stack([steps, steps[::-1]], axis=1)
    method = 0.7 + 0.02 * np.stack([steps / 2, steps[::-1]], axis=1)
    found = compare(table({"M": method, "B": baseline}, PAIRED, ["a", "b"]), "M", "B").spread
    assert found.per_task == pytest.approx({"a": 0.5, "b": 1.0})
    assert found.ratio == pytest.approx(np.sqrt(0.5)) and found.low is not None and found.high is not None
    assert found.low <= found.ratio <= found.high


def test_pitman_and_morgan() -> None:
    first, second = noise(0, (30,), 0.05), noise(1, (30,), 0.05)
    assert pitman_morgan(first, second) == pytest.approx(stats.pearsonr(first + second, first - second).pvalue)
    assert (pitman_morgan(first, 5 * second) or 1.0) < 0.001
    assert pitman_morgan(first, first) is None


# ------------------------------------------------------------------------------------------ verdict


def verdict(difference: float, scale: float, units: int = 10, margin: float = 0.02) -> str:
    steps = np.tile([-1.0, 1.0], units)[:units, None] * scale
    rows = table({"M": 0.7 + difference + steps, "B": np.full((units, 1), 0.7)}, PAIRED[:units], ["a"])
    return compare(rows, "M", "B", margin=margin).verdict


def test_verdicts() -> None:
    assert verdict(0.05, 0.02) == "helped"
    assert verdict(-0.05, 0.02) == "hurt"
    assert verdict(0.01, 0.05) == "cannot tell"
    assert verdict(0.0, 0.005) == "no difference"
    assert verdict(0.005, 0.001) == "helped"  # sure, if small: the sentence says so
    # Three seeds prove nothing, however far apart.
    assert verdict(0.3, 0.001, units=3) == "cannot tell"


def test_a_sure_difference_that_is_small_is_said_to_be() -> None:
    steps = np.tile([-1.0, 1.0], 5)[:, None] * 0.001
    found = compare(table({"M": 0.705 + steps, "B": np.full((10, 1), 0.7)}, PAIRED, ["a"]), "M", "B")
    assert found.sentence.startswith("M is better than B, by less than the 2.0 points that matter: +0.5 points")


def test_the_verdict_says_what_would_settle_it() -> None:
    steps = np.tile([-1.0, 1.0], 5)[:, None] * 0.05
    found = compare(table({"M": 0.71 + steps, "B": np.full((10, 1), 0.7)}, PAIRED, ["a"]), "M", "B")
    assert found.verdict == "cannot tell" and found.sentence.startswith("Cannot tell whether M is better")
    assert "+1.0 points of accuracy" in found.sentence and "1 task and 10 pairs of seeds" in found.sentence
    assert f"about {found.needed['observed']} pairs of seeds" in found.settle
    assert found.needed["observed"] == seeds_needed(found.unit_spread, 0.01)


@pytest.mark.parametrize("design", ["paired", "crossed", "shared"])
def test_methods_that_do_not_differ_are_seldom_said_to(design: str) -> None:
    """Scores with effects of initialisation and data seed, but none of the method: false alarms at 5 %."""
    pairs = {"paired": PAIRED, "crossed": crossed(4, 5), "shared": [(s, s % 5) for s in range(10)]}[design]
    draw = np.random.default_rng(7)
    studies, alarms, words = 300, 0, []
    for _ in range(studies):
        scores = {}
        for name in ("M", "B"):
            of_init, of_data = draw.normal(0, 0.02, 20), draw.normal(0, 0.02, 20)
            own = np.array([of_init[i] + of_data[d] for i, d in pairs])
            scores[name] = 0.7 + own[:, None] + draw.normal(0, 0.01, (len(pairs), 2))
        found = _quick(table(scores, pairs, ["a", "b"]))
        alarms += found[0] < 0.05
        words.append(found[1])
    limit = {"paired": 0.09, "crossed": 0.09, "shared": 0.16}[design]  # shared samples: why it is said
    assert alarms / studies < limit
    assert sum(word in ("no difference", "cannot tell") for word in words) / studies > 1 - limit


def _quick(rows: pd.DataFrame) -> tuple[float, str]:
    """Without permutations and bootstrap, which have no part in the verdict."""
    from metapt_explore.statistics.compare import _mean, _verdict

    units = paired_units(rows, "M", "B")
    found = _mean(units, units.differences)
    return found.p, _verdict(found, len(units.pairs), 0.02)


def test_paired_t_of_one_unit_knows_nothing() -> None:
    found = paired_t(np.array([0.1]))
    assert found.p == 1.0 and found.low == -np.inf
