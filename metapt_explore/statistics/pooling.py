"""One difference out of several studies: random effects, with the interval of Hartung and Knapp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from metapt_explore.errors import UserError
from metapt_explore.statistics.numbers import interval, number, p_value, points

#: With fewer studies the spread between them is hardly known.
FEW_STUDIES = 5


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
        tasks: Tasks of the mean.
    """

    study: str
    difference: float
    standard_error: float
    low: float
    high: float
    pairs: int
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

    @property
    def sentence(self) -> str:
        """What was found, with its figures."""
        pairs = sum(effect.pairs for effect in self.effects)
        if self.low > 0 or self.high < 0:
            said = f"{self.method} is {'ahead of' if self.difference > 0 else 'behind'} {self.baseline}"
        else:
            said = f"it cannot be told whether {self.method} is ahead of {self.baseline}"
        spread = (
            "studies do not differ more than by luck"
            if self.tau == 0
            else f"true differences of studies have a standard deviation of {points(self.tau, sign=False)} points"
        )
        return (
            f"Over {len(self.effects)} studies with {pairs} pairs of seeds {said}: {points(self.difference)} points "
            f"(95 % interval {interval(self.low, self.high)}, p {_equals(self.p)}); {spread} "
            f"(I² {number(100 * self.i_squared, 0)} %, p {_equals(self.q_p)})."
        )


def _equals(p: float) -> str:
    written = p_value(p)
    return written if written.startswith("<") else f"= {written}"


def pool_effects(method: str, baseline: str, effects: Sequence[StudyEffect], *, caveats: Sequence[str] = ()) -> Pooled:
    """Pools the differences of several studies as a random-effects model.

    The variance between studies is Paule and Mandel's (1982). The interval is Hartung and Knapp's (2001), t with one
    degree of freedom less than studies; it is never narrower than that of the known errors (Röver, Knapp and Friede
    2015), since two studies may agree by luck.

    Args:
        method: The method.
        baseline: What it was compared with.
        effects: One for each study, two or more.
        caveats: What is to be kept in mind.

    Raises:
        UserError: With fewer than two studies.

    Example:
        >>> pairs = (("a", 0.01), ("b", 0.03))
        >>> effects = [StudyEffect(name, d, 0.01, d - 0.02, d + 0.02, 10, ("mr",)) for name, d in pairs]
        >>> found = pool_effects("MetaPT", "PPT", effects)
        >>> round(found.difference, 3), round(found.tau, 3), found.predicted
        (0.02, 0.01, None)
    """
    if len(effects) < 2:
        raise UserError("Pooling takes two studies or more; `metapt report` shows what one says.")
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
    mean = float(np.average(means, weights=weights))
    scale = max(1.0, q(between) / (count - 1))
    error = float(np.sqrt(scale / weights.sum()))
    reach = float(stats.t.ppf(0.975, count - 1))
    aside = reach * float(np.sqrt(between + error**2))
    return Pooled(
        method,
        baseline,
        tuple(effects),
        tuple((weights / weights.sum()).tolist()),
        mean,
        mean - reach * error,
        mean + reach * error,
        float(2 * stats.t.sf(abs(mean) / error, count - 1)),
        float(np.sqrt(between)),
        max(0.0, 1 - (count - 1) / q(0.0)) if q(0.0) > 0 else 0.0,
        float(stats.chi2.sf(q(0.0), count - 1)),
        (mean - aside, mean + aside) if count > 2 else None,
        (*caveats, *_few(count)),
    )


def _few(count: int) -> list[str]:
    if count >= FEW_STUDIES:
        return []
    return [f"Between {count} studies the spread is hardly known: the interval is wide, and rightly so."]
