"""False alarms of means whose pairs share seeds, at shares of the variance that no factor was found from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from metapt_explore.statistics import detectable
from metapt_explore.statistics.designs import mean_over_pairs
from metapt_explore.statistics.shared_seeds import Clustered, Layout, clustered_values, mean_squares, raw_variance
from metapt_explore.statistics.width_factors import MOST_PAIRS, width_factors

STUDIES = 40_000
#: A rate of 5 % that was counted in so many studies lies within this with a chance of 99.9 %.
LUCK = 3.3 * np.sqrt(0.05 * 0.95 / STUDIES)

LAYOUTS = {
    "crossed, 5 × 10": [(i, j) for i in range(5) for j in range(10)],
    "7 initialisations on 5 samples": [(i, i % 5) for i in range(7)],
    "6 × 6 without a diagonal": [(i, j) for i in range(6) for j in range(6) if i != j],
    "10 pairs and 5 × 5": [(i, i) for i in range(10)] + [(i, j) for i in range(5) for j in range(5) if i != j],
    "a grid that is not finished": [(i, j) for i in range(5) for j in range(10)][:33],
}
#: Shares of initialisation, few-shot sample and rest.
SHARES = [(0, 0, 1), (0.95, 0, 0.05), (0, 0.9, 0.1), (0.35, 0.35, 0.3), (0.5, 0.5, 0), (0.05, 0.15, 0.8)]


def layout_of(pairs: list[tuple[int, int]]) -> Layout:
    return Layout(tuple(i for i, _ in pairs), tuple(j for _, j in pairs))


def drawn(layout: Layout, shares: tuple[float, ...], studies: int = STUDIES) -> np.ndarray:
    rng = np.random.default_rng(11)
    effects = [rng.normal(size=(studies, n)) @ m.T for n, m in zip(layout.levels, layout.members, strict=True)]
    effects.append(rng.normal(size=(studies, layout.pairs)))
    return np.asarray(sum(np.sqrt(share) * effect for share, effect in zip(shares, effects, strict=True)))


def p_values(values: np.ndarray, layout: Layout, *, with_factor: bool = True) -> np.ndarray:
    parts = clustered_values(values, layout)
    variance, df = raw_variance(parts, layout)
    factors = width_factors(layout)
    factor = factors.factor(parts) if with_factor and factors else 1.0
    return np.asarray(2 * stats.t.sf(np.abs(values.mean(axis=1)) / (np.sqrt(variance) * factor), df))


@pytest.mark.parametrize("name", LAYOUTS)
def test_false_alarms_are_five_percent_at_every_share(name: str) -> None:
    layout = layout_of(LAYOUTS[name])
    for shares in SHARES:
        rate = (p_values(drawn(layout, shares), layout) < 0.05).mean()
        assert 0.045 - LUCK <= rate <= 0.055 + LUCK, shares


def test_without_the_factor_they_are_not() -> None:
    """What the factor is for: the formula alone is far too cautious at one share and too bold at another."""
    cautious, bold = layout_of(LAYOUTS["a grid that is not finished"]), layout_of(LAYOUTS["10 pairs and 5 × 5"])
    assert (p_values(drawn(cautious, (0, 0.9, 0.1)), cautious, with_factor=False) < 0.05).mean() < 0.025
    assert (p_values(drawn(bold, (0, 0.9, 0.1)), bold, with_factor=False) < 0.05).mean() > 0.06


def test_a_mean_over_pairs_has_the_factor() -> None:
    pairs = LAYOUTS["6 × 6 without a diagonal"]
    layout = layout_of(pairs)
    values = drawn(layout, (0.3, 0.3, 0.4), studies=5)
    index = pd.MultiIndex.from_tuples(pairs, names=["init_seed", "data_seed"])
    found = [mean_over_pairs(pd.Series(row, index=index)).p for row in values]
    assert found == pytest.approx(p_values(values, layout))
    # It has no unit: scores in points have the same p.
    assert mean_over_pairs(pd.Series(100 * values[0], index=index)).p == pytest.approx(found[0])


def test_the_error_does_not_jump_where_a_score_moves_a_little() -> None:
    layout = layout_of(LAYOUTS["10 pairs and 5 × 5"])
    values = np.repeat(drawn(layout, (0.3, 0.3, 0.4), studies=1), 400, axis=0)
    values[:, 3] += np.linspace(-3, 3, 400)
    factors = width_factors(layout)
    assert factors is not None
    steps = np.abs(np.diff(np.log(factors.factor(clustered_values(values, layout)))))
    assert steps.max() < 0.05


def test_what_is_exact_or_hopeless_has_no_factor() -> None:
    assert width_factors(layout_of([(i, i % 5) for i in range(10)])) is None  # groups of one size: their means' t test
    assert width_factors(layout_of([(i, j) for i in range(2) for j in range(10)])) is None  # one degree of freedom
    assert width_factors(layout_of([(i, i % 5) for i in range(7)])) is not None


def test_very_many_pairs_have_no_factor_and_an_interval_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(i, j) for i in range(100) for j in range(100)]
    assert len(pairs) > MOST_PAIRS and width_factors(layout_of(pairs)) is None
    values = np.random.default_rng(0).normal(0.1, 1, len(pairs))
    found = mean_over_pairs(pd.Series(values, pd.MultiIndex.from_tuples(pairs, names=["init_seed", "data_seed"])))
    assert found.p == pytest.approx(p_values(values[None], layout_of(pairs), with_factor=False)[0])
    monkeypatch.setattr(detectable, "DRAWS", 500)
    assert 0 < (detectable.smallest_difference(pairs[: MOST_PAIRS + 100], 1.0) or 0) < 1


def test_a_seed_that_brings_nothing_at_all_is_no_error() -> None:
    layout = layout_of(LAYOUTS["crossed, 5 × 10"])
    factors = width_factors(layout)
    assert factors is not None
    factor = factors.factor(Clustered(np.array(0.0), np.array(0.2), np.array(0.1)))
    assert 0.2 < float(factor) < 5


def test_mean_squares_are_those_of_the_analysis_of_variance() -> None:
    layout = layout_of([(i, j) for i in range(3) for j in range(4)])
    values = np.random.default_rng(0).normal(size=12)
    grid = values.reshape(3, 4)
    rows, columns = grid.mean(axis=1), grid.mean(axis=0)
    rest = ((grid - rows[:, None] - columns + grid.mean()) ** 2).sum() / 6
    expected = (4 * rows.var(ddof=1), 3 * columns.var(ddof=1), rest)
    assert mean_squares(clustered_values(values, layout), layout) == pytest.approx(expected)
