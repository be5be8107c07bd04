"""Means over pairs of seeds against scipy, hand-computed values and simulated false alarms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from metapt_explore.statistics.designs import mean_over_pairs, seed_design, without_idle_seeds
from metapt_explore.statistics.shared_seeds import Layout, clustered_values, raw_variance
from metapt_explore.statistics.units import NO_INIT


def series(values: np.ndarray | list[float], pairs: list[tuple[int, int]]) -> pd.Series:
    return pd.Series(values, index=pd.MultiIndex.from_tuples(pairs, names=["init_seed", "data_seed"]), dtype=float)


def grid(values: np.ndarray) -> pd.Series:
    rows, columns = values.shape
    return series(values.ravel(), [(i, 10 + j) for i in range(rows) for j in range(columns)])


@pytest.mark.parametrize(
    ("pairs", "kind", "independent"),
    [
        ([(0, 1), (1, 2), (2, 3)], "paired", 3),
        ([(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)], "crossed", 2),
        ([(0, 1), (0, 2), (0, 3)], "data seeds", 1),
        ([(NO_INIT, 1), (NO_INIT, 2), (NO_INIT, 3)], "data seeds", 3),
        ([(0, 1), (1, 1)], "init seeds", 1),
        ([(0, 1), (1, 2), (2, 1)], "mixed", 2),
        ([(0, 1), (0, 2), (1, 1)], "mixed", 2),
    ],
)
def test_the_design_is_read_off_the_pairs(pairs: list[tuple[int, int]], kind: str, independent: int) -> None:
    design = seed_design(series([0.0] * len(pairs), pairs).index)
    assert (design.kind, design.independent, design.pairs) == (kind, independent, len(pairs))


def test_paired_is_the_t_test_of_scipy() -> None:
    values = np.array([0.03, -0.01, 0.02, 0.05, 0.00, 0.01])
    found = mean_over_pairs(series(values, [(i, i) for i in range(6)]), confidence=0.9)
    expected = stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval(0.9)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.pair_deviation == pytest.approx(values.std(ddof=1))


def test_crossed_by_hand() -> None:
    # Row means 2, 4, 9; column means 4, 6; grand mean 5. MS_a = 2·(9+1+16)/2 = 26, MS_b = 3·(1+1)/1 = 6,
    # residuals (1, -1), (0, 0), (-1, 1) over 2 degrees of freedom: MS_e = 2.
    found = mean_over_pairs(grid(np.array([[2.0, 2.0], [3.0, 5.0], [7.0, 11.0]])))
    assert found.mean == 5
    assert found.standard_error == pytest.approx(np.sqrt((24 + 4 + 2) / 6))
    assert found.df == pytest.approx(30**2 / (26**2 / 2 + 6**2 / 1 + 2**2 / 2))
    assert found.pair_deviation == pytest.approx(np.sqrt(24 / 2 + 4 / 3 + 2))
    assert found.p == pytest.approx(2 * stats.t.sf(5 / np.sqrt(5), found.df))


def test_a_negative_component_counts_as_nothing() -> None:
    # Columns do not differ: MS_b = 0 is below MS_e, and only initialisations and the rest are left.
    values = np.array([[0.0, 2.0], [3.0, 1.0], [6.0, 6.0]])
    found = mean_over_pairs(grid(values))
    ms_a, ms_e = 2 * values.mean(axis=1).var(ddof=1), (4 * 1.0) / 2
    assert found.standard_error == pytest.approx(np.sqrt(ms_a / 6))
    assert found.df == pytest.approx(ms_a**2 / (ms_a**2 / 2 + ms_e**2 / 2))


def test_repeated_data_seeds_equal_a_test_of_their_means() -> None:
    # Each initialisation once, each data seed twice: clustering by data seed is the t test of the data seeds' means.
    means, within = np.array([0.05, -0.01, 0.03, 0.02]), 0.004
    values = np.repeat(means, 2) + within * np.array([1, -1] * 4)
    found = mean_over_pairs(series(values, [(i, i // 2) for i in range(8)]))
    expected = stats.ttest_1samp(means, 0)
    assert found.design.kind == "mixed" and found.df == 3
    assert found.p == pytest.approx(expected.pvalue)


def test_seeds_that_cancel_out_give_no_certainty() -> None:
    # Data seeds cancel out within: their means are all equal, and the variance clustered by them is 0.
    values = np.array([0.05, -0.01, 0.05, -0.01, 0.05, -0.01])
    found = mean_over_pairs(series(values, [(i, i // 2) for i in range(6)]))
    assert (found.mean, found.p, found.low, found.no_spread) == (pytest.approx(0.02), None, None, True)


def test_an_incomplete_grid_by_hand() -> None:
    # Residuals +1, −1 / −1, +1 / 0, 0: initialisations and data seeds sum to 0, 0, 0: clustered both ways there is no
    # variance at all, and no certainty.
    values = np.array([1.0, -1.0, -1.0, 1.0, 0.0, 0.0])
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3)]
    found = mean_over_pairs(series(values, pairs))
    assert found.design.kind == "mixed" and found.p is None
    # Initialisation sums 1, 0, −1; data sums 2, −2, 0, 0; n = 6. Effective levels 3 and 36 / 10 = 3.6.
    values = np.array([2.0, -1.0, 0.0, -1.0, 0.5, -0.5])
    layout = Layout((0, 0, 1, 1, 2, 2), (0, 1, 0, 1, 2, 3))
    by_init = 3 / 2 * (1**2 + (-1) ** 2) / 36
    by_data = 3.6 / 2.6 * (2**2 + (-2) ** 2 + 0.5**2 + 0.5**2) / 36
    single = 6 / 5 * (4 + 1 + 1 + 0.25 + 0.25) / 36
    variance, df = raw_variance(clustered_values(values, layout), layout)
    assert variance == pytest.approx(max(by_init + by_data - single, min(by_init, by_data))) and df == pytest.approx(2)


@pytest.mark.parametrize("values", [[0.02] * 2, [0.02] * 10, [0.0] * 10, [0.1, 0.1 + 1e-15, 0.1 - 1e-15]])
@pytest.mark.parametrize("kind", ["paired", "data seeds", "init seeds"])
def test_equal_values_have_neither_interval_nor_p(values: list[float], kind: str) -> None:
    pairs = [(NO_INIT if kind == "data seeds" else i, 0 if kind == "init seeds" else i) for i in range(len(values))]
    found = mean_over_pairs(series(values, pairs))
    assert found.no_spread and (found.standard_error, found.low, found.high, found.p, found.pair_deviation) == (
        (None,) * 5
    )


def test_values_within_one_row_of_one_another_say_the_same() -> None:
    values = series([0.02, 0.02, 0.02, 0.0225, 0.02, 0.02], [(i, i) for i in range(6)])
    assert mean_over_pairs(values, resolution=1 / 400).no_spread
    assert not mean_over_pairs(values, resolution=1 / 800).no_spread


def test_shared_rows_widen_the_interval_by_hand() -> None:
    # Nadeau and Bengio (2003): s² (1 / J + ρ / (1 − ρ)).
    values = np.array([0.03, -0.01, 0.02, 0.05, 0.00, 0.01])
    pairs = [(i, i) for i in range(6)]
    found = mean_over_pairs(series(values, pairs), shared=0.2)
    assert found.standard_error == pytest.approx(values.std(ddof=1) * np.sqrt(1 / 6 + 0.25)) and found.df == 5
    # One data seed shares nothing with itself; in a crossed design only the samples' part of the variance grows.
    alone = series(values, [(i, 0) for i in range(6)])
    assert mean_over_pairs(alone, shared=0.2).standard_error == mean_over_pairs(alone).standard_error
    both = grid(np.array([[2.0, 2.0], [3.0, 5.0], [7.0, 11.0]]))
    assert mean_over_pairs(both, shared=0.2).standard_error == pytest.approx(np.sqrt((24 + 4 + 2) / 6 + 4 / 3 * 0.25))


def test_what_does_not_depend_on_the_few_shot_sample_counts_once() -> None:
    by_init = np.array([0.1, 0.3, 0.2])
    values = grid(np.repeat(by_init[:, None], 5, axis=1))
    kept, design, said = without_idle_seeds(values)
    assert len(kept) == 3 and design.data_seeds == 0 and "initialisation seed counts once" in said
    found = mean_over_pairs(values)
    assert found.p == pytest.approx(stats.ttest_1samp(by_init, 0).pvalue) and found.design.independent == 3
    # The other way round: a start that is a text is the same whatever the initialisation seed.
    found = mean_over_pairs(grid(np.repeat(by_init[None], 5, axis=0)))
    assert found.p == pytest.approx(stats.ttest_1samp(by_init, 0).pvalue) and found.design.init_seeds == 0


def test_seeds_that_stand_once_are_not_idle() -> None:
    """Two pre-trainings on five samples of their own each: that no sample contradicts another says nothing."""
    values = np.array([0.10, 0.11, 0.09, 0.12, 0.10, -0.04, -0.05, -0.03, -0.04, -0.06])
    _, design, said = without_idle_seeds(series(values, [(i // 5, i) for i in range(10)]))
    assert (design.kind, design.init_seeds, said) == ("mixed", 2, "")
    # Eight pairs on five samples, of which three stand twice and happen to say the same.
    values = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.01, 0.02, 0.03])
    _, design, said = without_idle_seeds(series(values, [(i, i % 5) for i in range(8)]))
    assert (design.init_seeds, said) == (8, "")


def test_one_pair() -> None:
    alone = mean_over_pairs(series([0.1], [(0, 1)]))
    assert alone.mean == pytest.approx(0.1) and alone.p is None and alone.low is None
    assert not alone.no_spread


STUDIES = 400

#: Designs in which some seeds stand in several pairs.
MIXED = {
    "10 initialisations on 5 samples": [(i, i % 5) for i in range(10)],
    "7 initialisations on 5 samples": [(i, i % 5) for i in range(7)],
    "5 initialisations on 10 samples": [(i % 5, i) for i in range(10)],
    "6 × 6 without a diagonal": [(i, j) for i in range(6) for j in range(6) if i != j],
    "8 × 8, three samples each": [(i, (i + k) % 8) for i in range(8) for k in range(3)],
}


def rejections(kind: str, shape: tuple[int, int], deviations: tuple[float, float, float]) -> np.ndarray:
    """The p values of studies in which there is no difference."""
    rng = np.random.default_rng(7)
    sd_init, sd_data, sd_rest = deviations
    found = []
    for _ in range(STUDIES):
        if kind in MIXED:
            init, data = rng.normal(0, sd_init, 20), rng.normal(0, sd_data, 20)
            values = series([init[i] + data[j] + rng.normal(0, sd_rest) for i, j in MIXED[kind]], MIXED[kind])
        elif kind == "paired":
            count = shape[0]
            values = series(rng.normal(0, 1, count), [(i, i) for i in range(count)])
        else:
            rows, columns = shape
            values = grid(
                rng.normal(0, sd_init, (rows, 1))
                + rng.normal(0, sd_data, (1, columns))
                + rng.normal(0, sd_rest, (rows, columns))
            )
        p = mean_over_pairs(values).p
        assert p is not None
        found.append(p)
    return np.array(found)


@pytest.mark.parametrize(
    ("kind", "shape", "deviations"),
    [
        ("paired", (5, 5), (0, 0, 1)),
        ("paired", (12, 12), (0, 0, 1)),
        ("crossed", (10, 10), (1, 1, 1)),
        ("crossed", (5, 10), (1, 1, 0.5)),
        ("crossed", (8, 5), (1, 0.7, 1)),
    ],
)
def test_without_a_difference_p_is_about_uniform(
    kind: str, shape: tuple[int, int], deviations: tuple[float, float, float]
) -> None:
    found = rejections(kind, shape, deviations)
    low, high = stats.binom.ppf([0.001, 0.999], STUDIES, 0.05)
    assert low <= (found < 0.05).sum() <= high
    if kind == "paired":
        assert stats.kstest(found, "uniform").pvalue > 0.001
    else:
        # Only the 5 % level is calibrated.
        for level in (0.1, 0.2, 0.5):
            assert (found < level).sum() <= stats.binom.ppf(0.999, STUDIES, level)
        assert abs(np.median(found) - 0.5) < 0.12


@pytest.mark.parametrize("deviations", [(0, 0, 1), (0, 1, 0.3), (1, 1, 1)])
@pytest.mark.parametrize("kind", list(MIXED))
def test_mixed_designs_are_neither_bold_nor_far_too_cautious(kind: str, deviations: tuple[float, float, float]) -> None:
    """`benchmarks/false_alarms_by_share.py` measures each share of the seeds with 100,000 studies."""
    found = (rejections(kind, (0, 0), deviations) < 0.05).sum()
    low, high = stats.binom.ppf(0.001, STUDIES, 0.035), stats.binom.ppf(0.999, STUDIES, 0.065)
    assert low <= found <= high


def test_without_shared_effects_the_crossed_test_is_cautious_not_bold() -> None:
    found = rejections("crossed", (5, 10), (0, 0, 1))
    assert (found < 0.05).sum() <= stats.binom.ppf(0.999, STUDIES, 0.05)


def test_an_ordinary_t_test_over_crossed_pairs_would_be_bold() -> None:
    """Why the design matters: the test that takes all pairs for independent is wrong most of the time."""
    rng = np.random.default_rng(7)
    values = rng.normal(0, 1, (200, 5, 1)) + rng.normal(0, 1, (200, 1, 10)) + rng.normal(0, 1, (200, 5, 10))
    assert (stats.ttest_1samp(values.reshape(200, -1), 0, axis=1).pvalue < 0.05).mean() > 0.3
