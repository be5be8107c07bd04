"""Which pairs of seeds are independent of one another, and the mean over pairs with an honest interval.

A difference of two methods on initialisation seed i and data seed j is thought of as

    D_ij = mean + a_i + b_j + e_ij,

a_i what the start and pre-training bring, b_j what the few-shot sample brings, e_ij the rest. Pairs that share
no seed are independent, and the ordinary t interval holds. Pairs that share a seed are not, and an ordinary t
test over all of them says "significant" far too often. So:

- ``paired``: no seed stands in two pairs. Ordinary t, n − 1 degrees of freedom.
- ``crossed``: every initialisation with every data seed (I × J). Two-way random effects:
  Var(mean) = [max(MS_a − MS_e, 0) + max(MS_b − MS_e, 0) + MS_e] / (I J), degrees of freedom by Satterthwaite
  (1946) over the mean squares in use, calibrated. Averaging over one factor and testing along the other is *not*
  done: it takes the averaged factor for fixed, and with 10 × 10 seeds where data seeds matter it finds a difference
  that is not there in 14 to 51 % of studies.
- ``data seeds`` or ``init seeds``: only one of the two varies. Ordinary t along it.
- ``mixed``: some seeds stand in several pairs. Variance clustered both ways (Cameron, Gelbach and Miller 2011),
  calibrated; degrees of freedom from the seed with the fewest effective levels (n² / Σ n_g²: seeds in many pairs weigh
  more).

*Calibrated*: multiplied by a factor that makes false alarms 4.5 to 5.5 % whatever the shares of seeds and rest
(`width_factors.py`). Simulated: `benchmarks/false_alarms.py`.

Two more things keep an interval honest. Pairs that all say the same have no spread to judge by: there is no interval
and no p. And few-shot samples that share rows are correlated: the part of the variance that data seeds bring is raised
from 1 / J to 1 / J + ρ / (1 − ρ), ρ being the share of rows in common (Nadeau and Bengio 2003, for resampled training
sets).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from metapt_explore.statistics.shared_seeds import Layout, clustered_values, mean_squares, raw_variance
from metapt_explore.statistics.units import NO_INIT
from metapt_explore.statistics.width_factors import width_factors

Kind = Literal["paired", "crossed", "data seeds", "init seeds", "mixed"]

#: Scores nearer than this are equal; they are shares of some hundred rows.
EQUAL = 1e-12


@dataclass(frozen=True)
class SeedDesign:
    """How seeds are laid out over pairs.

    Attributes:
        kind: See the module.
        init: Level of the initialisation seed of each pair, 0, 1, …
        data: Level of the data seed of each pair.
        init_seeds: Number of initialisation seeds; 0 where the scores do not depend on one.
        data_seeds: Number of data seeds; 0 where the scores do not depend on one.
    """

    kind: Kind
    init: NDArray[np.intp]
    data: NDArray[np.intp]
    init_seeds: int
    data_seeds: int

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return len(self.init)

    @property
    def independent(self) -> int:
        """Levels of the seed with the fewest levels: on so few independent draws a general statement rests."""
        return min(levels for levels in (self.init_seeds, self.data_seeds) if levels)


@dataclass(frozen=True)
class MeanEstimate:
    """A mean over pairs of seeds.

    Attributes:
        mean: The mean.
        standard_error: Its standard error; None where it cannot be known (one pair, or pairs that all say the same).
        df: Degrees of freedom of the t distribution.
        low: Lower end of the confidence interval.
        high: Upper end.
        p: Two-sided p of "the mean is 0".
        pair_deviation: Standard deviation of a new pair with seeds of its own.
        design: How seeds are laid out.
        units: Values that the estimate is made of: pairs, or seeds where the other seed makes no difference.
    """

    mean: float
    standard_error: float | None
    df: float | None
    low: float | None
    high: float | None
    p: float | None
    pair_deviation: float | None
    design: SeedDesign
    units: int = 1

    @property
    def no_spread(self) -> bool:
        """Whether there are several values, and all say the same."""
        return self.units > 1 and self.standard_error is None


def seed_design(index: pd.MultiIndex) -> SeedDesign:
    """Reads the design off the pairs (index levels init_seed, data_seed).

    Example:
        >>> seed_design(pd.MultiIndex.from_product([[0, 1], [13, 21, 42]], names=["init_seed", "data_seed"])).kind
        'crossed'
    """
    init, init_levels = pd.factorize(index.get_level_values("init_seed"), sort=True)
    data, data_levels = pd.factorize(index.get_level_values("data_seed"), sort=True)
    inits = 0 if (init_levels == NO_INIT).all() else len(init_levels)
    datas, pairs = len(data_levels), len(index)
    kind: Kind
    if inits <= 1:
        kind = "data seeds" if (inits == 0 or datas > 1) else "init seeds"
    elif datas == 1:
        kind = "init seeds"
    elif inits == datas == pairs:
        kind = "paired"
    else:
        kind = "crossed" if inits * datas == pairs else "mixed"
    return SeedDesign(kind, init, data, inits, datas)


def without_idle_seeds(values: pd.Series) -> tuple[pd.Series, SeedDesign, str]:
    """Drops the seed that makes no difference, so that repeated values do not count as new evidence.

    Before tuning there is one prompt for all data seeds, so that a start accuracy is the same in all of them: five
    data seeds say it five times.

    Args:
        values: A value for each pair (index levels init_seed, data_seed).

    Returns:
        The values (averaged over the idle seed), their design, and a sentence (empty where both seeds matter).
    """
    design = seed_design(values.index)
    if design.kind in ("crossed", "mixed", "data seeds") and design.init_seeds:
        by_init = values.groupby(level="init_seed")
        if _all_repeat(by_init, design) and _all_equal(by_init):
            return (
                (means := _one_each(by_init.mean(), "init_seed")),
                _idle(seed_design(means.index), data_seeds=0),
                "Data seeds make no difference to it: each initialisation seed counts once.",
            )
    if design.kind in ("crossed", "mixed"):
        by_data = values.groupby(level="data_seed")
        if _all_repeat(by_data, design) and _all_equal(by_data):
            return (
                (means := _one_each(by_data.mean(), "data_seed")),
                _idle(seed_design(means.index), init_seeds=0),
                "Initialisation seeds make no difference to it: each data seed counts once.",
            )
    return values, design, ""


def _all_repeat(groups: Any, design: SeedDesign) -> bool:
    """Whether every seed stands in several pairs, without which equal values say nothing of the other seed."""
    return bool((groups.size() > 1).all()) if design.kind == "mixed" else groups.ngroups < design.pairs


def _all_equal(groups: object) -> bool:
    return bool((groups.max() - groups.min() < EQUAL).all())  # type: ignore[attr-defined]


def _one_each(means: pd.Series, level: str) -> pd.Series:
    """Values by one seed, as pairs whose other seed is a constant."""
    seeds = means.index.to_list()
    pairs = [(seed, 0) for seed in seeds] if level == "init_seed" else [(0, seed) for seed in seeds]
    return pd.Series(means.to_numpy(), index=pd.MultiIndex.from_tuples(pairs, names=["init_seed", "data_seed"]))


def _idle(design: SeedDesign, init_seeds: int | None = None, data_seeds: int | None = None) -> SeedDesign:
    return SeedDesign(
        "init seeds" if data_seeds == 0 else "data seeds",
        design.init,
        design.data,
        design.init_seeds if init_seeds is None else init_seeds,
        design.data_seeds if data_seeds is None else data_seeds,
    )


def mean_over_pairs(
    values: pd.Series, confidence: float = 0.95, *, resolution: float = EQUAL, shared: float = 0.0
) -> MeanEstimate:
    """The mean over pairs of seeds, its t interval and its p against 0, whatever seeds the pairs share.

    Args:
        values: A value for each pair (index levels init_seed, data_seed), none missing.
        confidence: Of the interval.
        resolution: Values that lie no further apart say the same; what one test row makes, where that is known.
        shared: Mean share of rows that the few-shot samples of two data seeds have in common, 0..1 (1 not included).

    Example:
        >>> pairs = pd.MultiIndex.from_tuples([(0, 13), (1, 21), (2, 42)], names=["init_seed", "data_seed"])
        >>> found = mean_over_pairs(pd.Series([0.01, 0.02, 0.03], index=pairs))
        >>> round(found.mean, 3), round(found.p, 4), found.df
        (0.02, 0.0742, 2.0)
    """
    values, design, _ = without_idle_seeds(values)
    numbers = values.to_numpy(dtype=float)
    mean, units = float(numbers.mean()), len(numbers)
    if units < 2 or float(np.ptp(numbers)) <= max(resolution, EQUAL) * (1 + 1e-9):
        return MeanEstimate(mean, None, None, None, None, None, None, design, units)
    if design.kind in ("crossed", "mixed"):
        variance, df, pair_variance, sample_variance = _shared(numbers, design)
    else:
        pair_variance = float(numbers.var(ddof=1))
        variance, df = pair_variance / units, float(units - 1)
        sample_variance = pair_variance
    if shared > 0 and design.data_seeds > 1:
        variance += sample_variance * shared / (1 - shared)
    error, deviation = float(np.sqrt(variance)), float(np.sqrt(pair_variance))
    if error <= EQUAL:
        # Seeds cancel one another out to nothing: as little to judge by as values that are all the same.
        return MeanEstimate(mean, None, None, None, None, None, None, design, units)
    reach = error * float(stats.t.ppf((1 + confidence) / 2, df))
    p = 2 * float(stats.t.sf(abs(mean) / error, df))
    return MeanEstimate(mean, error, df, mean - reach, mean + reach, p, deviation, design, units)


def _shared(values: NDArray[np.float64], design: SeedDesign) -> tuple[float, float, float, float]:
    """Variance of a mean whose pairs share seeds, degrees of freedom, variance of a new pair, that of samples in it."""
    layout = Layout(tuple(design.init.tolist()), tuple(design.data.tolist()))
    parts = clustered_values(values, layout)
    variance, df = (float(part) for part in raw_variance(parts, layout))
    factors = width_factors(layout)
    if factors is not None:
        variance *= float(factors.factor(parts)) ** 2
    if not layout.crossed:
        # Seeds cannot be told apart: any part of the variance may be the sample's.
        pair = float(values.var(ddof=1))
        return variance, df, pair, pair
    ms_a, ms_b, ms_e = (float(part) for part in mean_squares(parts, layout))
    by_init, by_data = max(ms_a - ms_e, 0.0) / design.data_seeds, max(ms_b - ms_e, 0.0) / design.init_seeds
    return variance, df, by_init + by_data + ms_e, by_data
