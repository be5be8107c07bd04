"""Means with intervals and p-values, for units that are independent and for units in a grid."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from scipy import stats

#: Beyond so many flips of signs, they are drawn at random.
RESAMPLES = 9_999
#: More pairs of seeds than anyone runs.
MOST_PAIRS = 100_000


@dataclass(frozen=True)
class Estimate:
    """A mean and how sure it is.

    Attributes:
        mean: The mean.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p: Two-sided p-value of "the mean is 0".
        standard_error: Of the mean.
        df: Degrees of freedom behind interval and p-value.
    """

    mean: float
    low: float
    high: float
    p: float
    standard_error: float
    df: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """The interval at another confidence."""
        reach = self.standard_error * stats.t.ppf((1 + confidence) / 2, self.df) if self.df > 0 else np.inf
        return self.mean - reach, self.mean + reach


def paired_t(differences: np.ndarray) -> Estimate:
    """Student's paired t: units are independent of one another.

    Example:
        >>> round(paired_t(np.array([0.01, 0.03, 0.02])).p, 4)
        0.0742
    """
    n = len(differences)
    error = float(differences.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
    return _estimate(float(differences.mean()), error, n - 1)


def two_way_t(grid: np.ndarray) -> Estimate:
    """The mean of a grid whose rows and columns are both drawn at random.

    Units of a grid share an initialisation (a row) or a data seed (a column), so they are not independent. With
    `d = mean + row + column + rest` the variance of the mean is `(MS_rows + MS_columns - MS_rest) / cells`, its degrees
    of freedom are Satterthwaite's (1946).

    Args:
        grid: Differences, `[initialisation seeds, data seeds]`, at least 2 × 2.
    """
    rows, columns = grid.shape
    ms_rows, ms_columns, ms_rest = mean_squares(grid)
    df_rows, df_columns = rows - 1, columns - 1
    df_rest = df_rows * df_columns
    spread = ms_rows + ms_columns - ms_rest
    if spread <= max(ms_rows, ms_columns):
        # Less than one of the two by itself is an accident of estimation; the larger one is the safe choice.
        ms, df = max((ms_rows, df_rows), (ms_columns, df_columns))
        return _estimate(float(grid.mean()), float(np.sqrt(ms / grid.size)), df)
    df = spread**2 / (ms_rows**2 / df_rows + ms_columns**2 / df_columns + ms_rest**2 / df_rest)
    return _estimate(float(grid.mean()), float(np.sqrt(spread / grid.size)), df)


def mean_squares(grid: np.ndarray) -> tuple[float, float, float]:
    """Mean squares of rows, columns and the rest of a two-way layout without replication."""
    rows, columns = grid.shape
    mean, by_row, by_column = grid.mean(), grid.mean(axis=1), grid.mean(axis=0)
    rest = grid - by_row[:, None] - by_column[None] + mean
    return (
        float(columns * ((by_row - mean) ** 2).sum() / (rows - 1)),
        float(rows * ((by_column - mean) ** 2).sum() / (columns - 1)),
        float((rest**2).sum() / ((rows - 1) * (columns - 1))),
    )


def _estimate(mean: float, error: float, df: float) -> Estimate:
    if df <= 0 or not np.isfinite(error):
        return Estimate(mean, -np.inf, np.inf, 1.0, np.inf, 0.0)
    if error == 0:
        return Estimate(mean, mean, mean, 0.0 if mean else 1.0, 0.0, df)
    reach = error * stats.t.ppf(0.975, df)
    return Estimate(mean, mean - reach, mean + reach, float(2 * stats.t.sf(abs(mean) / error, df)), error, df)


def sign_flip_p(differences: np.ndarray, seed: int) -> float | None:
    """Two-sided p-value of the sign-flip permutation test (exact up to some thousand flips); None for fewer than 2."""
    if len(differences) < 2 or not differences.any():
        return None
    found = stats.permutation_test(
        (differences,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        n_resamples=RESAMPLES,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def bootstrap_interval(differences: np.ndarray, seed: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """Bootstrap interval of the mean (BCa; percentile where that is not defined); None for fewer than 3 units."""
    if len(differences) < 3 or np.ptp(differences) == 0:
        return None
    for method in ("BCa", "percentile"):
        found = stats.bootstrap(
            (differences,),
            np.mean,
            vectorized=True,
            axis=-1,
            n_resamples=RESAMPLES,
            confidence_level=confidence,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
        if np.isfinite([found.low, found.high]).all():
            return float(found.low), float(found.high)
    return None


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction (1979): p-values that keep the chance of any false alarm among them.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return [float(value) for value in corrected]


def seeds_needed(spread: float, effect: float, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Pairs of seeds that a paired t-test needs to see a difference (Cohen, 1988); None where none would do.

    Args:
        spread: Standard deviation of the differences between units.
        effect: The difference to be seen.
        power: Chance of seeing it.
        alpha: Two-sided level.

    Example:
        >>> seeds_needed(0.02, 0.02)
        10
    """
    if effect == 0:
        return None
    size = abs(effect) / spread if spread > 0 else np.inf

    def reached(n: int) -> bool:
        return _power(size, n, alpha) >= power

    enough = 2
    while not reached(enough):
        enough *= 2
        if enough > MOST_PAIRS:
            return None
    return bisect_left(range(enough), True, lo=max(2, enough // 2), key=reached)


def _power(size: float, n: int, alpha: float) -> float:
    """Power of a two-sided paired t-test of n pairs, for a difference of `size` standard deviations."""
    shift = size * np.sqrt(n)
    if shift > 30:  # sure, and beyond what the distribution's code can do
        return 1.0
    critical = stats.t.ppf(1 - alpha / 2, n - 1)
    return float(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))
