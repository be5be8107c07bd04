"""Does a method beat its baseline, by how much, and how sure can one be?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.seeds import derived_seed
from metapt_explore.statistics.designs import EQUAL, MeanEstimate, mean_over_pairs, without_idle_seeds
from metapt_explore.statistics.ground import (
    Grounds,
    as_one_sample,
    guess_of,
    one_seed_each,
    resolution,
    shared_rows,
)
from metapt_explore.statistics.holm import holm
from metapt_explore.statistics.power import pairs_needed
from metapt_explore.statistics.resampling import Interval, SignFlip, bootstrap_mean, sign_flip_test
from metapt_explore.statistics.sentences import Evidence, Verdict, caveats, decide, settling_sentence, verdict_sentence
from metapt_explore.statistics.spread import SpreadRatio, spread_ratios
from metapt_explore.statistics.units import PairedScores, paired_scores


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


def compare(
    results: pd.DataFrame,
    method: str,
    baseline: str,
    metric: str = "accuracy",
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = 10_000,
    margin: float = 0.01,
    grounds: Grounds | None = None,
) -> Comparison:
    """Compares a method with a baseline over the pairs of seeds that both have.

    The primary question is one number for each pair of seeds, the mean over tasks of method − baseline, and one
    test of its mean (`designs.mean_over_pairs`, which knows which pairs share a seed). Tasks by themselves are the
    secondary question, corrected by Holm.

    Args:
        results: What `runs.results.results_table` returned, from one study.
        method: A name in its column `method`.
        baseline: Another.
        metric: ``accuracy``, ``macro_f1``, ``start_accuracy`` or another score in 0..1.
        confidence: Of the intervals.
        seed: Of bootstrap and permutations: the same input gives the same output.
        resamples: Of bootstrap and permutations.
        margin: A difference smaller than this does not matter to the user (0.01 is one point).
        grounds: By task, what its samples share and what guessing scores (`ground_of`); nothing is known when absent.

    Raises:
        UserError: Where the table lacks a column or method, or the two share no pair of seeds.

    Example:
        >>> rows = [(name, "mr", data, init, 0.6 + gain + 0.01 * (data % 3) + 0.002 * init * (name == "MetaPT"))
        ...         for name, gain in (("PT", 0.0), ("MetaPT", 0.05)) for init, data in enumerate(range(20, 32))]
        >>> table = pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "accuracy"])
        >>> found = compare(table, "MetaPT", "PT", resamples=1000)
        >>> found.verdict, round(found.difference, 3), found.wins
        ('helped', 0.061, 12)
    """
    if not 0 < confidence < 1:
        raise UserError(f"confidence lies between 0 and 1 (such as 0.95), not at {confidence}.")
    if margin <= 0 or resamples < 100:
        raise UserError("margin must be above 0 (0.01 is one point), and resamples at least 100.")
    # The start of a prompt depends on no sample.
    known = {} if grounds is None else grounds
    sampled = {} if metric.startswith("start_") else known
    scores = paired_scores(results, method, baseline, metric)
    tasks = scores.tasks
    stands = one_seed_each(sampled, tasks)
    whole = _one_sample_each(scores.complete, stands)
    if whole.method.empty:
        raise UserError(f"No pair of seeds has every task of '{method}' and '{baseline}'. " + " ".join(scores.left_out))
    differences = (whole.method - whole.baseline).mean(axis=1)
    shared = shared_rows(sampled, tasks, _data_seeds(differences))
    estimate = mean_over_pairs(differences, confidence, resolution(known, tasks, metric), shared)
    _, design, idle = without_idle_seeds(differences)
    random = derived_seed(seed, "compare", method, baseline, metric)
    flips = sign_flip_test(differences, resamples, random)
    bootstrap = bootstrap_mean(differences, confidence, resamples, random)
    if estimate.no_spread:
        bootstrap = Interval(None, None, "none: all pairs say the same")
    needed = _needed(estimate)
    wins, ties, losses = _wins(differences)
    findings = Evidence(
        method=method,
        baseline=baseline,
        metric=metric,
        confidence=confidence,
        margin=margin,
        tasks=whole.tasks,
        pairs=len(differences),
        estimate=estimate,
        idle=idle,
        means=(float(whole.method.mean(axis=1).mean()), float(whole.baseline.mean(axis=1).mean())),
        counts=(wins, ties, losses),
        left_out=scores.left_out,
        shared=shared,
        merged=_merged(stands, _data_seeds(scores.complete.method)),
        guess=guess_of(known, tasks, metric),
        differing=_differing(differences),
    )
    verdict = decide(findings)
    return Comparison(
        method=method,
        baseline=baseline,
        metric=metric,
        confidence=confidence,
        margin=margin,
        tasks=tuple(whole.tasks),
        design=design.kind,
        pairs=len(differences),
        init_seeds=design.init_seeds,
        data_seeds=design.data_seeds,
        independent=design.independent,
        left_out=scores.left_out,
        shared_rows=shared,
        chance=findings.guess.level if findings.guess else None,
        method_mean=findings.means[0],
        baseline_mean=findings.means[1],
        difference=estimate.mean,
        standard_error=estimate.standard_error,
        df=estimate.df,
        low=estimate.low,
        high=estimate.high,
        p=estimate.p,
        sign_flip=flips,
        bootstrap=bootstrap,
        wins=wins,
        ties=ties,
        losses=losses,
        per_task=(per_task := _per_task(scores, confidence, metric, known, sampled)),
        spread=tuple(spread_ratios(whole, confidence, resamples, random)),
        seeds_needed=needed,
        caveats=tuple(
            caveats(
                findings,
                flips,
                {"method": method, "baseline": baseline}.get(scores.broadcast or ""),
                [task.task for task in per_task if task.at_chance],
            )
        ),
        verdict=verdict,
        sentence=verdict_sentence(findings, verdict),
        to_settle=settling_sentence(findings, verdict, needed.observed, needed.one_point),
    )


def _one_sample_each(scores: PairedScores, stands: Mapping[int, int]) -> PairedScores:
    """Data seeds that have the same rows count once, with the mean of their scores."""
    return replace(scores, method=as_one_sample(scores.method, stands), baseline=as_one_sample(scores.baseline, stands))


def _data_seeds(table: pd.DataFrame | pd.Series) -> list[int]:
    return sorted({int(seed) for seed in table.index.get_level_values("data_seed")})


def _merged(stands: Mapping[int, int], seeds: Sequence[int]) -> list[list[int]]:
    """Data seeds in use that count as one, group by group."""
    groups: dict[int, list[int]] = {}
    for seed in seeds:
        groups.setdefault(stands.get(seed, seed), []).append(seed)
    return [group for group in groups.values() if len(group) > 1]


def _differing(differences: pd.Series) -> int:
    """Independent units in which the two methods are not level: levels of the rarer seed."""
    values, design, _ = without_idle_seeds(differences)
    apart = values.abs().to_numpy() > EQUAL
    counts = [
        len(set(levels[apart]))
        for levels, count in ((design.init, design.init_seeds), (design.data, design.data_seeds))
        if count
    ]
    return min(counts)


def _per_task(
    scores: PairedScores, confidence: float, metric: str, known: Grounds, sampled: Grounds
) -> tuple[TaskDifference, ...]:
    found = []
    for task in scores.tasks:
        stands = one_seed_each(sampled, [task])
        of_both = [as_one_sample(of[[task]].dropna(), stands)[task] for of in (scores.method, scores.baseline)]
        own, other = of_both
        if own.empty:
            continue
        shared = shared_rows(sampled, [task], _data_seeds(own))
        estimate = mean_over_pairs(own - other, confidence, resolution(known, [task], metric), shared)
        found.append((task, own, other, estimate))
    corrected = holm([estimate.p for *_, estimate in found])
    return tuple(
        TaskDifference(
            task,
            len(own),
            float(own.mean()),
            float(other.mean()),
            estimate.mean,
            estimate.low,
            estimate.high,
            estimate.p,
            p_holm,
            *_wins(own - other),
            None
            if (guess := guess_of(known, [task], metric)) is None
            else max(own.mean(), other.mean()) <= guess.highest,
        )
        for (task, own, other, estimate), p_holm in zip(found, corrected, strict=True)
    )


def _wins(differences: pd.Series) -> tuple[int, int, int]:
    return (
        int((differences > EQUAL).sum()),
        int((differences.abs() <= EQUAL).sum()),
        int((differences < -EQUAL).sum()),
    )


def _needed(estimate: MeanEstimate) -> PairsNeeded:
    deviation = estimate.pair_deviation
    if deviation is None:
        return PairsNeeded(None, None, None)
    difference = 0.0 if abs(estimate.mean) < EQUAL else estimate.mean
    return PairsNeeded(pairs_needed(difference, deviation), pairs_needed(0.01, deviation), deviation)
