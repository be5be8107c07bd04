"""One difference out of several studies: random effects, with the interval of Hartung and Knapp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from metapt_explore.errors import UserError
from metapt_explore.statistics.numbers import interval, number, p_value, percent, points
from metapt_explore.statistics.verdict import MIN_SEEDS_FOR_VERDICT, SEEDS_FOR_FIRM_VERDICT, metric_name

#: With fewer studies the spread between them is hardly known.
FEW_STUDIES = 5
#: A study with more of the weight is named: the pooled difference is nearly its own.
MOST_WEIGHT = 0.8


@dataclass(frozen=True)
class StudyEffect:
    """The difference of two methods in one study; shares of 1.

    Attributes:
        study: Its name.
        difference: Mean over pairs of seeds of the mean over tasks of method − baseline.
        standard_error: Of the difference.
        low: Lower end of its own 95 % interval.
        high: Upper end.
        pairs: Pairs of seeds.
        seeds: Independent seeds that its standard error rests on: of those that vary, the one with fewer levels.
        tasks: Tasks of the mean.
    """

    study: str
    difference: float
    standard_error: float
    low: float
    high: float
    pairs: int
    seeds: int
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Pooled:
    """What several studies say of two methods together; shares of 1.

    Attributes:
        method: The method.
        baseline: What it was compared with.
        effects: The studies.
        weights: How much each study counts, adding up to 1.
        difference: The mean over studies.
        low: Lower end of its 95 % interval (Hartung and Knapp).
        high: Upper end.
        p: Two-sided p of "the mean is 0".
        tau: Standard deviation of the true differences between studies (Paule and Mandel).
        i_squared: Share of the spread of what was seen that is not luck within studies (Higgins and Thompson).
        q_p: p of "all studies have the same true difference" (Cochran's Q).
        predicted: Where the true difference of another study of this kind lies, 95 %; None with two studies.
        caveats: What to keep in mind, in plain words.
        metric: The score that differences are of.
    """

    method: str
    baseline: str
    effects: tuple[StudyEffect, ...]
    weights: tuple[float, ...]
    difference: float
    low: float
    high: float
    p: float
    tau: float
    i_squared: float
    q_p: float
    predicted: tuple[float, float] | None
    caveats: tuple[str, ...] = ()
    metric: str = "accuracy"

    @property
    def sentence(self) -> str:
        """What was found, with its figures."""
        pairs = sum(effect.pairs for effect in self.effects)
        if self.low > 0 or self.high < 0:
            said = f"{self.method} is {'ahead of' if self.difference > 0 else 'behind'} {self.baseline}"
        else:
            said = f"it cannot be told whether {self.method} is ahead of {self.baseline}"
        spread = (
            "no spread beyond luck was seen between them"
            if self.tau == 0
            else f"true differences of studies have a standard deviation of {points(self.tau, sign=False)} points"
        )
        gap = f"{points(self.difference)} points of {metric_name(self.metric)}"
        return (
            f"Over {len(self.effects)} studies with {pairs} pairs of seeds {said}: {gap} "
            f"(95 % interval {interval(self.low, self.high)}, p {_equals(self.p)}); {spread} "
            f"(I² {number(100 * self.i_squared, 0)} %, p {_equals(self.q_p)})."
        )


def _equals(p: float) -> str:
    written = p_value(p)
    return written if written.startswith("<") else f"= {written}"


def pool_effects(
    method: str,
    baseline: str,
    effects: Sequence[StudyEffect],
    *,
    metric: str = "accuracy",
    caveats: Sequence[str] = (),
) -> Pooled:
    """Pools the differences of several studies as a random-effects model.

    The variance between studies is Paule and Mandel's (1982). The interval is Hartung and Knapp's (2001), t with one
    degree of freedom less than studies; it is never narrower than that of the known errors (Röver, Knapp and Friede
    2015), since two studies may agree by luck. Errors of studies count as known, which those of a few seeds are not: a
    study of three pairs that by luck has next to no spread would take all the weight.

    Args:
        method: The method.
        baseline: What it was compared with.
        effects: One for each study, two or more.
        metric: The score that differences are of.
        caveats: What is to be kept in mind.

    Raises:
        UserError: With fewer than two studies, or one of fewer than five independent seeds.

    Example:
        >>> pairs = (("a", 0.01), ("b", 0.03))
        >>> effects = [StudyEffect(name, d, 0.01, d - 0.02, d + 0.02, 10, 10, ("mr",)) for name, d in pairs]
        >>> found = pool_effects("MetaPT", "PPT", effects)
        >>> round(found.difference, 3), round(found.tau, 3), found.predicted
        (0.02, 0.01, None)
    """
    if len(effects) < 2:
        raise UserError("Pooling takes two studies or more; `metapt report` shows what one says.")
    for effect in effects:
        if effect.seeds < MIN_SEEDS_FOR_VERDICT:
            raise UserError(
                f"'{effect.study}' has {effect.seeds} independent seeds: its standard error is hardly known, and by "
                f"luck it could take all the weight. Pooling takes {MIN_SEEDS_FOR_VERDICT} or more of each: leave "
                "it out, or run more seeds."
            )
    means = np.array([effect.difference for effect in effects])
    variances = np.array([effect.standard_error**2 for effect in effects])
    count = len(effects)

    def q(between: float) -> float:
        weights = 1 / (variances + between)
        return float((weights * (means - np.average(means, weights=weights)) ** 2).sum())

    between = 0.0
    if q(0.0) > count - 1:
        # Q falls with the variance between studies; beyond the spread of the means it is below count − 1.
        between = float(optimize.brentq(lambda v: q(v) - (count - 1), 0.0, 10 * float(np.ptp(means)) ** 2 + 1e-12))
    weights = 1 / (variances + between)
    shares: list[float] = (weights / weights.sum()).tolist()
    mean = float(np.average(means, weights=weights))
    scale = max(1.0, q(between) / (count - 1))
    error = float(np.sqrt(scale / weights.sum()))
    reach = float(stats.t.ppf(0.975, count - 1))
    aside = reach * float(np.sqrt(between + error**2))
    return Pooled(
        method,
        baseline,
        tuple(effects),
        tuple(shares),
        mean,
        mean - reach * error,
        mean + reach * error,
        float(2 * stats.t.sf(abs(mean) / error, count - 1)),
        float(np.sqrt(between)),
        max(0.0, 1 - (count - 1) / q(0.0)) if q(0.0) > 0 else 0.0,
        float(stats.chi2.sf(q(0.0), count - 1)),
        (mean - aside, mean + aside) if count > 2 else None,
        (*caveats, *_few(count), *_weighty(effects, shares)),
        metric,
    )


def _few(count: int) -> list[str]:
    if count >= FEW_STUDIES:
        return []
    return [f"Between {count} studies the spread is hardly known: the interval is wide, and rightly so."]


def _weighty(effects: Sequence[StudyEffect], shares: Sequence[float]) -> list[str]:
    """Which study is nearly all of the pool, and whose weight rests on few seeds."""
    sentences = [
        f"'{effect.study}' has {percent(share, 0)} of the weight: the pooled difference is nearly its own."
        for effect, share in zip(effects, shares, strict=True)
        if share > MOST_WEIGHT
    ]
    few = [f"'{effect.study}' ({effect.seeds})" for effect in effects if effect.seeds < SEEDS_FOR_FIRM_VERDICT]
    if few:
        sentences.append(
            f"Standard errors of fewer than {SEEDS_FOR_FIRM_VERDICT} independent seeds are rough, and so are their "
            f"weights: {', '.join(few)}."
        )
    return sentences
