"""Intervals and tests by resampling whole pairs of seeds, or whole seeds where pairs share them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from metapt_explore.errors import UserError
from metapt_explore.statistics.designs import EQUAL, SeedDesign, without_idle_seeds

#: Pairs × resamples that are drawn at most: 2 GiB.
MOST_NUMBERS = 2**28


@dataclass(frozen=True)
class Precision:
    """How intervals and permutation tests are made.

    Attributes:
        confidence: Of all intervals, such as 0.95.
        resamples: Bootstrap samples and permutations.
        seed: Of both: equal input, equal output.
    """

    confidence: float = 0.95
    resamples: int = 10_000
    seed: int = 0


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval: its ends, None where it cannot be had, and how it was made."""

    low: float | None
    high: float | None
    kind: str


@dataclass(frozen=True)
class SignFlip:
    """A sign-flip permutation test.

    Attributes:
        p: Two-sided; None with fewer than two units.
        units: What was flipped: pairs, or whole seeds.
        exact: Every combination of signs was counted, not a sample of them.
        smallest: The least p that so few units can give.
    """

    p: float | None
    units: int
    exact: bool
    smallest: float | None


def _clusters(design: SeedDesign) -> list[NDArray[np.intp]]:
    """Groups of pairs to be flipped together: one grouping, or one along each seed where both are shared."""
    if design.kind in ("paired", "data seeds", "init seeds"):
        return [np.arange(design.pairs)]
    shared = [
        levels
        for levels, count in ((design.init, design.init_seeds), (design.data, design.data_seeds))
        if count < design.pairs
    ]
    return shared


def bootstrap_weights(design: SeedDesign, resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each pair stands in each bootstrap sample.

    Pairs that share no seed are drawn by themselves. Where seeds are shared, seeds are drawn, with all their pairs;
    where both are, both at once and independently: a pair counts as often as its initialisation times as often as
    its data seed was drawn (the pigeonhole bootstrap; Owen 2007, Annals of Applied Statistics 1(2)).

    Returns:
        Shape [resamples, pairs]; samples without any pair are left out.

    Raises:
        UserError: With so many pairs that the samples would not fit into memory.
    """
    _check_fits(design.pairs, resamples)
    weights = np.ones((resamples, design.pairs))
    for levels in _clusters(design):
        count = int(levels.max()) + 1
        weights *= rng.multinomial(count, np.full(count, 1 / count), size=resamples)[:, levels]
    drawn: NDArray[np.float64] = weights[weights.sum(axis=1) > 0]
    return drawn


def _check_fits(pairs: int, resamples: int) -> None:
    """Refuses what no table of samples could hold: a record may name a million pairs of seeds."""
    if pairs * resamples > MOST_NUMBERS:
        raise UserError(
            f"{pairs:,} pairs of seeds are too many to compare (at most {MOST_NUMBERS // resamples:,}): compare fewer "
            "seeds, or check that the record's results.parquet is not damaged."
        )


def bootstrap_mean(values: pd.Series, confidence: float = 0.95, *, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Bootstrap interval of the mean over pairs.

    BCa (Efron 1987; `scipy.stats.bootstrap`) for pairs that share no seed, percentiles where BCa has no answer
    and where seeds are shared.

    Args:
        values: A value for each pair (index levels init_seed, data_seed).
        confidence: Of the interval.
        resamples: Bootstrap samples.
        seed: Of the resampling.
    """
    values, design, _ = without_idle_seeds(values)
    numbers = values.to_numpy(dtype=float)
    if len(numbers) < 2:
        return Interval(None, None, "none: one pair")
    if np.ptp(numbers) < EQUAL:
        return Interval(None, None, "none: all pairs say the same")
    _check_fits(len(numbers), resamples)
    rng = np.random.default_rng(seed)
    if len(_clusters(design)) == 1 and len(np.unique(_clusters(design)[0])) == len(numbers):
        with np.errstate(all="ignore"):
            interval = stats.bootstrap(
                (numbers,),
                np.mean,
                n_resamples=resamples,
                confidence_level=confidence,
                method="BCa",
                rng=rng,
            ).confidence_interval
        if np.isfinite(interval.low) and np.isfinite(interval.high):
            return Interval(float(interval.low), float(interval.high), "BCa")
    weights = bootstrap_weights(design, resamples, rng)
    means = weights @ numbers / weights.sum(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    kind = {"crossed": "pigeonhole", "mixed": "clustered"}.get(design.kind, "percentile")
    return Interval(float(low), float(high), kind)


def sign_flip_test(values: pd.Series, *, resamples: int = 10_000, seed: int = 0) -> SignFlip:
    """Tests "differences are as likely positive as negative" by flipping their signs (Fisher 1935).

    Where pairs share a seed, its pairs are flipped together. Where both seeds are shared the test is made along
    each and the larger p is given; either takes the other seed for fixed, so that it can still be too small: the
    t interval of `mean_over_pairs` is the one to go by.

    Args:
        values: A difference for each pair (index levels init_seed, data_seed).
        resamples: Every combination of signs is counted where there are no more of them.
        seed: Of the resampling.
    """
    values, design, _ = without_idle_seeds(values)
    numbers = values.to_numpy(dtype=float)
    if len(numbers) < 2:
        return SignFlip(None, len(numbers), True, None)
    tests = []
    for levels in _clusters(design):
        sums = np.bincount(levels, weights=numbers)
        exact = 2.0 ** len(sums) <= resamples
        smallest = 2.0 / 2 ** len(sums) if exact else 2.0 / (resamples + 1)
        p = float(
            stats.permutation_test(
                (sums,),
                np.sum,
                permutation_type="samples",
                vectorized=True,
                n_resamples=resamples,
                rng=np.random.default_rng(seed),
            ).pvalue
        )
        tests.append(SignFlip(p, len(sums), exact, smallest))
    return max(tests, key=lambda test: test.p or 0.0)
