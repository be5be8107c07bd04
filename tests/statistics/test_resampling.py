"""Bootstrap, sign flips, power and Holm against scipy, enumeration and published values."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metapt_explore.statistics.designs import seed_design
from metapt_explore.statistics.resampling import bootstrap_mean, bootstrap_weights, sign_flip_test
from metapt_explore.statistics.significance import holm, paired_power, pairs_needed


def series(values: list[float], pairs: list[tuple[int, int]]) -> pd.Series:
    return pd.Series(values, index=pd.MultiIndex.from_tuples(pairs, names=["init_seed", "data_seed"]), dtype=float)


def test_sign_flips_are_counted_exactly() -> None:
    values = [0.03, -0.01, 0.02, 0.05]
    found = sign_flip_test(series(values, [(i, i) for i in range(4)]))
    sums = [
        sum(sign * value for sign, value in zip(signs, values, strict=True)) for signs in product((1, -1), repeat=4)
    ]
    expected = sum(abs(total) >= sum(values) - 1e-12 for total in sums) / len(sums)
    assert found.exact and found.p == pytest.approx(expected) and found.smallest == 2 / 16


def test_pairs_that_share_a_data_seed_are_flipped_together() -> None:
    values = [0.03, 0.05, -0.01, 0.02, 0.04, 0.01]
    found = sign_flip_test(series(values, [(i, i // 2) for i in range(6)]))
    sums = [0.08, 0.01, 0.05]
    totals = [abs(np.dot(signs, sums)) for signs in product((1, -1), repeat=3)]
    assert found.units == 3 and found.p == pytest.approx(np.mean(np.array(totals) >= sum(sums) - 1e-12))


def test_crossed_flips_take_the_larger_p() -> None:
    # Initialisations differ, data seeds hardly: flipping data seeds alone would find 2/16.
    pairs = [(i, j) for i in range(3) for j in range(4)]
    values = [0.05 * (i - 0.5) + 0.001 * j for i, j in pairs]
    found = sign_flip_test(series(values, pairs))
    assert found.units == 3 and found.p is not None and found.p >= 0.25


def test_sampled_flips_are_close_to_the_t_test() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, 40)
    found = sign_flip_test(series(list(values), [(i, i) for i in range(40)]), resamples=5000)
    assert not found.exact and found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_bca_is_scipys_and_repeats_itself() -> None:
    values = list(np.random.default_rng(1).exponential(1, 15))
    pairs = series(values, [(i, i) for i in range(15)])
    found = bootstrap_mean(pairs, resamples=2000, seed=3)
    expected = stats.bootstrap((values,), np.mean, n_resamples=2000, method="BCa", rng=np.random.default_rng(3))
    assert found.kind == "BCa"
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval))
    assert found == bootstrap_mean(pairs, resamples=2000, seed=3)


def test_degenerate_samples_have_an_honest_answer() -> None:
    assert bootstrap_mean(series([0.1], [(0, 0)])).low is None
    same = bootstrap_mean(series([0.1] * 5, [(i, i) for i in range(5)]))
    assert (same.low, same.high) == (None, None) and same.kind.startswith("none")
    assert sign_flip_test(series([0.1], [(0, 0)])).p is None


def test_pigeonhole_draws_whole_seeds() -> None:
    pairs = [(i, j) for i in range(3) for j in range(4)]
    design = seed_design(series([0.0] * 12, pairs).index)
    weights = bootstrap_weights(design, 200, np.random.default_rng(0)).reshape(-1, 3, 4)
    by_init, by_data = weights.sum(axis=2) / 4, weights.sum(axis=1) / 3
    # Draws of initialisations times draws of data seeds, nothing else.
    assert np.allclose(weights, by_init[:, :, None] * by_data[:, None, :])
    assert np.allclose(by_init.sum(axis=1), 3) and np.allclose(by_data.sum(axis=1), 4)


def test_pigeonhole_sees_the_shared_seeds() -> None:
    """Its width grows with the effect of a seed, as that of a bootstrap of single pairs would not."""
    rng = np.random.default_rng(2)
    pairs = [(i, j) for i in range(8) for j in range(8)]
    noise = rng.normal(0, 0.01, 64)
    by_data = rng.normal(0, 0.05, 8)
    plain = bootstrap_mean(series(list(noise), pairs), resamples=2000)
    shared = bootstrap_mean(series([n + by_data[j] for n, (_, j) in zip(noise, pairs, strict=True)], pairs))
    assert plain.kind == shared.kind == "pigeonhole"
    assert shared.low is not None and shared.high is not None and plain.low is not None and plain.high is not None
    expected = 2 * 1.96 * by_data.std(ddof=0) / np.sqrt(8)
    assert shared.high - shared.low == pytest.approx(expected, rel=0.25)
    assert shared.high - shared.low > 3 * (plain.high - plain.low)


# Values of G*Power 3.1 for a two-sided paired t test at 5 % with 80 % power.
@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_pairs_needed_as_published(effect: float, pairs: int) -> None:
    assert pairs_needed(effect, 1.0) == pairs
    assert pairs_needed(-effect * 0.02, 0.02) == pairs
    assert paired_power(pairs, effect, 1.0) >= 0.8 > paired_power(pairs - 1, effect, 1.0)


def test_power_as_simulated() -> None:
    values = np.random.default_rng(0).normal(0.6, 1.0, (4000, 12))
    seen = (stats.ttest_1samp(values, 0, axis=1).pvalue < 0.05).mean()
    assert paired_power(12, 0.6, 1.0) == pytest.approx(seen, abs=0.03)


def test_out_of_reach_and_beyond_missing() -> None:
    assert pairs_needed(1e-6, 1.0) is None and pairs_needed(0.0, 1.0) is None
    assert pairs_needed(0.1, 0.0) == 2 and pairs_needed(1.0, 1e-4) == 2
    assert paired_power(50, 100.0, 1.0) == 1.0


def test_holm_by_hand() -> None:
    # Sorted 0.005·4, 0.01·3, 0.03·2, 0.04·1 → 0.02, 0.03, 0.06, 0.06 (the last may not fall below the one before).
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.6]) == [1.0, None, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_order_and_never_helps(p_values: list[float]) -> None:
    found = holm(p_values)
    for p, corrected in zip(p_values, found, strict=True):
        assert corrected is not None and p <= corrected <= min(1.0, p * len(p_values)) + 1e-12
    ranked = [found[place] for place in np.argsort(p_values, kind="stable")]
    assert ranked == sorted(ranked, key=lambda value: value or 0.0)
