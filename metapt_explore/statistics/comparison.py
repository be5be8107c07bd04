"""The records of a comparison of two methods."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from metapt_explore.statistics.resampling import Interval, SignFlip
from metapt_explore.statistics.spread import SpreadRatio
from metapt_explore.statistics.verdict import Verdict


@dataclass(frozen=True)
class TaskDifference:
    """A method against its baseline on one task, over the pairs of seeds that have it.

    Attributes:
        task: The task.
        pairs: Pairs of seeds.
        method_mean: Mean score of the method.
        baseline_mean: Mean score of the baseline.
        difference: Mean of method − baseline.
        low: Lower end of its t interval, uncorrected.
        high: Upper end.
        p: Two-sided p of the difference.
        p_holm: The same corrected for all tasks of the comparison.
        wins: Pairs in which the method is ahead.
        ties: Pairs in which both are equal.
        losses: Pairs in which the baseline is ahead.
        at_chance: Whether neither method is above guessing, as far as the test rows can tell; None where it is not
            known.
    """

    task: str
    pairs: int
    method_mean: float
    baseline_mean: float
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    wins: int
    ties: int
    losses: int
    at_chance: bool | None = None


@dataclass(frozen=True)
class PairsNeeded:
    """Independent pairs of seeds for 80 % power at 5 %, two-sided, given the spread that was seen.

    Attributes:
        observed: To see a difference as large as the observed one; None where none would do.
        one_point: To see a difference of one point (0.01).
        deviation: Standard deviation of the difference between pairs that share no seed; None if unknown.
    """

    observed: int | None
    one_point: int | None
    deviation: float | None


@dataclass(frozen=True)
class Comparison:
    """What `compare` found. Scores and differences are shares of 1: 0.01 is one point.

    Attributes:
        method: The method that was looked at.
        baseline: What it was compared with.
        metric: The score.
        confidence: Of all intervals.
        margin: Differences smaller than this do not matter.
        tasks: Tasks of the mean.
        design: How pairs share seeds: paired, crossed, data seeds, init seeds or mixed (`SeedDesign`).
        pairs: Pairs of seeds with every task.
        init_seeds: Initialisation seeds among them; 0 where scores do not depend on one.
        data_seeds: Data seeds among them; 0 where scores do not depend on one.
        independent: The smaller of these two numbers (not 0): on so few independent draws the verdict rests.
        left_out: What could not be compared, and why.
        shared_rows: Share of training rows that the samples of two data seeds have in common; 0 where it is not known.
        chance: What guessing scores in the mean over tasks; None where it is not known.
        method_mean: Mean over pairs and tasks.
        baseline_mean: The same of the baseline.
        difference: Mean over pairs of the mean over tasks of method − baseline.
        standard_error: Of the difference.
        df: Degrees of freedom of the t distribution.
        low: Lower end of the t interval.
        high: Upper end.
        p: Two-sided p of the t test; this is the primary test.
        sign_flip: The permutation test of the same question.
        bootstrap: Bootstrap interval of the difference.
        wins: Pairs in which the method's mean over tasks is ahead.
        ties: Pairs in which both are equal.
        losses: Pairs in which the baseline is ahead.
        per_task: The secondary tests.
        spread: Ratio of standard deviations over seeds, all tasks first, then each task.
        seeds_needed: Pairs of seeds for 80 % power.
        caveats: What to keep in mind, in plain words.
        verdict: helped, hurt, no difference (the interval lies within ± margin), nothing learned (neither is above
            guessing) or cannot tell.
        sentence: The verdict with its figures.
        to_settle: What would settle it, or what settled it.
    """

    method: str
    baseline: str
    metric: str
    confidence: float
    margin: float
    tasks: tuple[str, ...]
    design: str
    pairs: int
    init_seeds: int
    data_seeds: int
    independent: int
    left_out: tuple[str, ...]
    shared_rows: float
    chance: float | None
    method_mean: float
    baseline_mean: float
    difference: float
    standard_error: float | None
    df: float | None
    low: float | None
    high: float | None
    p: float | None
    sign_flip: SignFlip
    bootstrap: Interval
    wins: int
    ties: int
    losses: int
    per_task: tuple[TaskDifference, ...]
    spread: tuple[SpreadRatio, ...]
    seeds_needed: PairsNeeded
    caveats: tuple[str, ...]
    verdict: Verdict
    sentence: str
    to_settle: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
