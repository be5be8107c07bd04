"""Whether one method varies less from seed to seed than another: the claim of being steadier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from metapt_explore.statistics.units import Units

RESAMPLES = 4_000


@dataclass(frozen=True)
class Spread:
    """Standard deviations over units, method against baseline.

    Attributes:
        ratio: Geometric mean over tasks of the ratio of standard deviations; below 1 the method is steadier. None where
            a spread is 0 or there are fewer than 3 units.
        low: Lower end of its 95 % bootstrap interval (units are drawn with both methods' scores).
        high: Upper end.
        of_mean: Ratio of the standard deviations of the means over tasks.
        p_of_mean: Pitman and Morgan's test (1939) that these two are equal, for paired values.
        per_task: Ratio of each task, None where it is not defined.
    """

    ratio: float | None
    low: float | None
    high: float | None
    of_mean: float | None
    p_of_mean: float | None
    per_task: dict[str, float | None]


def spread_ratio(units: Units, seed: int = 0) -> Spread:
    """Compares the spread of two methods over the same units.

    Args:
        units: Their scores.
        seed: For the bootstrap.
    """
    count = len(units.pairs)
    ratios = _ratios(units.method, units.baseline)
    per_task = {task: None if np.isnan(r) else float(r) for task, r in zip(units.tasks, ratios, strict=True)}
    if count < 3 or np.isnan(ratios).any():
        return Spread(None, None, None, None, None, per_task)
    drawn = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(_ratios(units.method[drawn], units.baseline[drawn], axis=1)).mean(axis=-1)
    logs = logs[np.isfinite(logs)]
    low, high = np.exp(np.quantile(logs, [0.025, 0.975])) if len(logs) > RESAMPLES / 2 else (np.nan, np.nan)
    first, second = units.method.mean(axis=1), units.baseline.mean(axis=1)
    of_mean = _ratios(first[:, None], second[:, None])[0]
    return Spread(
        float(np.exp(np.log(ratios).mean())),
        None if np.isnan(low) else float(low),
        None if np.isnan(high) else float(high),
        None if np.isnan(of_mean) else float(of_mean),
        pitman_morgan(first, second),
        per_task,
    )


def pitman_morgan(first: np.ndarray, second: np.ndarray) -> float | None:
    """P-value that two paired samples have equal variances: sum and difference are then uncorrelated."""
    total, difference = first + second, first - second
    if len(first) < 3 or np.ptp(total) == 0 or np.ptp(difference) == 0:
        return None
    return float(stats.pearsonr(total, difference).pvalue)


def _ratios(method: np.ndarray, baseline: np.ndarray, axis: int = 0) -> np.ndarray:
    """Ratios of standard deviations over units; not a number where one of them is 0."""
    if method.shape[axis] < 2:
        return np.full(method.shape[-1], np.nan)
    above, below = method.std(axis=axis, ddof=1), baseline.std(axis=axis, ddof=1)
    usable = (above > 1e-12) & (below > 1e-12)
    return np.where(usable, above / np.where(usable, below, 1.0), np.nan)
