"""The verdict of a comparison: which of five answers its figures allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from metapt_explore.statistics.designs import MeanEstimate
from metapt_explore.statistics.ground import Guess

Verdict = Literal["helped", "hurt", "no difference", "nothing learned", "cannot tell"]

#: With fewer independent seeds, the verdict is "cannot tell".
MIN_SEEDS_FOR_VERDICT = 5
#: Samples that share more of their rows decide nothing: J of them are worth J / (1 + (J − 1) ρ) independent ones (the
#: design effect of Kish 1965), which is less than 1 / ρ: above a fifth no number of them is worth five.
MAX_SHARED_ROWS = 1 / MIN_SEEDS_FOR_VERDICT
#: From this share on, a caveat says that the interval is wider because of it.
NAMED_SHARED_ROWS = 0.01
#: More needed pairs are reported as "over 1,000".
MAX_NAMED_PAIRS = 1000
#: With fewer independent seeds, a verdict carries a caveat.
SEEDS_FOR_FIRM_VERDICT = 10

METRIC_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "start_accuracy": "accuracy before tuning",
    "calibrated_accuracy": "calibrated accuracy",
    "start_calibrated_accuracy": "calibrated accuracy before tuning",
}


def metric_name(metric: str) -> str:
    """What sentences call a score.

    Example:
        >>> metric_name("macro_f1"), metric_name("dev_accuracy")
        ('macro F1', 'dev accuracy')
    """
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


@dataclass(frozen=True)
class Evidence:
    """The facts behind the verdict and its sentences; see `Comparison`.

    Attributes:
        means: Of the method and of the baseline.
        counts: Pairs that are won, level and lost.
        merged: Groups of data seeds that have the same rows and count as one.
        guess: What guessing scores.
        differing: Independent units in which the two are not level.
    """

    method: str
    baseline: str
    metric: str
    confidence: float
    margin: float
    tasks: list[str]
    pairs: int
    estimate: MeanEstimate
    idle: str
    means: tuple[float, float]
    counts: tuple[int, int, int]
    left_out: tuple[str, ...] = ()
    shared: float = 0.0
    merged: Sequence[Sequence[int]] = ()
    guess: Guess | None = None
    differing: int = MIN_SEEDS_FOR_VERDICT

    @property
    def at_chance(self) -> bool:
        """Whether neither method is above guessing."""
        return self.guess is not None and max(self.means) <= self.guess.highest

    @property
    def name(self) -> str:
        """The score in words."""
        return METRIC_NAMES.get(self.metric, self.metric)


def decide(evidence: Evidence) -> Verdict:
    """The verdict.

    In this order: neither method is above guessing: nothing learned; fewer than five independent seeds, samples that
    share more than a fifth of their rows, or pairs that all say the same: cannot tell; the interval lies within ±
    margin: no difference (that matters, even where it is surely not 0); the interval lies above 0: helped; below 0:
    hurt; else cannot tell. Helped and hurt take five independent seeds in which the two are not level.
    """
    estimate = evidence.estimate
    if evidence.at_chance:
        return "nothing learned"
    if estimate.low is None or estimate.high is None or estimate.design.independent < MIN_SEEDS_FOR_VERDICT:
        return "cannot tell"
    if evidence.shared > MAX_SHARED_ROWS:
        return "cannot tell"
    if -evidence.margin < estimate.low and estimate.high < evidence.margin:
        return "no difference"
    if evidence.differing < MIN_SEEDS_FOR_VERDICT:
        return "cannot tell"
    if estimate.low > 0:
        return "helped"
    return "hurt" if estimate.high < 0 else "cannot tell"
