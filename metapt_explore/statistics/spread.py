"""Is a method steadier? Standard deviations over pairs of seeds, and their ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metapt_explore.statistics.designs import EQUAL, seed_design
from metapt_explore.statistics.resampling import bootstrap_weights
from metapt_explore.statistics.units import NO_INIT, PairedScores

#: With fewer levels of a seed, a bootstrap of standard deviations means nothing.
MIN_SEEDS_FOR_SPREAD = 5


@dataclass(frozen=True)
class WorstSeed:
    """The lowest score of a method and the pair of seeds it came from (no init_seed: the method has none)."""

    score: float
    init_seed: int | None
    data_seed: int


@dataclass(frozen=True)
class SpreadRatio:
    """How far scores of a method and of its baseline lie apart over seeds.

    Attributes:
        task: None for all tasks together: the ratio is the geometric mean of the tasks' ratios, deviations are means
            over tasks, worst seeds are those of the mean over tasks.
        method_deviation: Standard deviation over pairs of seeds (n − 1).
        baseline_deviation: The same of the baseline.
        ratio: Method's divided by baseline's; below 1 the method is steadier. None where one of them is 0.
        low: Lower end of the bootstrap interval; None with fewer than five levels of a seed.
        high: Upper end.
        method_worst: The method's worst pair of seeds.
        baseline_worst: The baseline's.
    """

    task: str | None
    method_deviation: float | None
    baseline_deviation: float | None
    ratio: float | None
    low: float | None
    high: float | None
    method_worst: WorstSeed
    baseline_worst: WorstSeed


def spread_ratios(
    scores: PairedScores, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> list[SpreadRatio]:
    """Ratios of standard deviations over seeds, all tasks first and then each task.

    Intervals are percentiles of a bootstrap of the log ratio that draws pairs of seeds with both methods' scores in
    all tasks (whole seeds where pairs share them), so that what is common to both stays together.

    Args:
        scores: Pairs that have every task (`PairedScores.complete`).
        confidence: Of the intervals.
        resamples: Bootstrap samples.
        seed: Of the resampling.
    """
    method_scores, baseline_scores = scores.method, scores.baseline
    design = seed_design(method_scores.index)
    weights = None
    if design.independent >= MIN_SEEDS_FOR_SPREAD:
        weights = bootstrap_weights(design, resamples, np.random.default_rng(seed))
    logs: list[float | None] = []
    drawn: list[NDArray[np.float64] | None] = []
    deviations: list[tuple[float, float] | None] = []
    for task in scores.tasks:
        a, b = method_scores[task].to_numpy(dtype=float), baseline_scores[task].to_numpy(dtype=float)
        pair = (float(a.std(ddof=1)), float(b.std(ddof=1))) if len(a) > 1 else None
        deviations.append(pair)
        logs.append(float(np.log(pair[0] / pair[1])) if pair is not None and min(pair) > EQUAL else None)
        drawn.append(_drawn_logs(weights, a, b) if weights is not None and logs[-1] is not None else None)

    def worst(first: pd.Series, second: pd.Series) -> tuple[WorstSeed, WorstSeed]:
        return _worst(first, without_init=scores.broadcast == "method"), _worst(
            second, without_init=scores.broadcast == "baseline"
        )

    ratios = []
    known = [pair for pair in deviations if pair is not None]
    means = (float(np.mean([a for a, _ in known])), float(np.mean([b for _, b in known]))) if known else None
    whole = all(log is not None for log in logs)
    together = [values for values in drawn if values is not None]
    with np.errstate(invalid="ignore"):  # samples without a deviation are infinite either way; `_ratio` leaves them out
        of_all = np.mean(together, axis=0) if whole and len(together) == len(logs) else None
    ratios.append(
        _ratio(
            None,
            deviations=means,
            log=float(np.mean([log for log in logs if log is not None])) if whole else None,
            drawn=of_all,
            confidence=confidence,
            worst=worst(method_scores.mean(axis=1), baseline_scores.mean(axis=1)),
        )
    )
    for task, pair, log, values in zip(scores.tasks, deviations, logs, drawn, strict=True):
        ratios.append(
            _ratio(
                task,
                deviations=pair,
                log=log,
                drawn=values,
                confidence=confidence,
                worst=worst(method_scores[task], baseline_scores[task]),
            )
        )
    return ratios


def _drawn_logs(
    weights: NDArray[np.float64], method_scores: NDArray[np.float64], baseline_scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log ratio of standard deviations in each bootstrap sample; not finite where a deviation is 0."""
    total = weights.sum(axis=1)

    def variance(values: NDArray[np.float64]) -> NDArray[np.float64]:
        centred = values - values.mean()
        second_moment, first_moment = weights @ centred**2 / total, weights @ centred / total
        cut: NDArray[np.float64] = np.maximum(second_moment - first_moment**2, 0.0)
        return cut

    top, bottom = variance(method_scores), variance(baseline_scores)
    top[top < EQUAL**2] = 0.0
    bottom[bottom < EQUAL**2] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return 0.5 * (np.log(top) - np.log(bottom))


def _ratio(
    task: str | None,
    *,
    deviations: tuple[float, float] | None,
    log: float | None,
    drawn: NDArray[np.float64] | None,
    confidence: float,
    worst: tuple[WorstSeed, WorstSeed],
) -> SpreadRatio:
    low = high = None
    if drawn is not None:
        finite = drawn[np.isfinite(drawn)]
        # Where many samples have no deviation at all the rest says little.
        if len(finite) >= 0.95 * len(drawn):
            tail = (1 - confidence) / 2
            low, high = (float(np.exp(end)) for end in np.quantile(finite, [tail, 1 - tail]))
    return SpreadRatio(
        task,
        deviations[0] if deviations else None,
        deviations[1] if deviations else None,
        float(np.exp(log)) if log is not None else None,
        low,
        high,
        *worst,
    )


def _worst(scores: pd.Series, *, without_init: bool) -> WorstSeed:
    init, data = scores.index[int(scores.to_numpy().argmin())]
    return WorstSeed(float(scores.min()), None if without_init or init == NO_INIT else int(init), int(data))
