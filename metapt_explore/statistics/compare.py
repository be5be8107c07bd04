"""Does a method beat its baseline, by how much, and how sure can one be?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.seeds import derived_seed
from metapt_explore.statistics.comparison import Comparison, PairsNeeded, TaskDifference
from metapt_explore.statistics.designs import EQUAL, MeanEstimate, mean_over_pairs, without_idle_seeds
from metapt_explore.statistics.ground import (
    Grounds,
    as_one_sample,
    guess_of,
    one_seed_each,
    resolution,
    shared_rows,
)
from metapt_explore.statistics.resampling import Interval, bootstrap_mean, sign_flip_test
from metapt_explore.statistics.sentences import caveats, settling_sentence, verdict_sentence
from metapt_explore.statistics.significance import holm, pairs_needed
from metapt_explore.statistics.spread import spread_ratios
from metapt_explore.statistics.units import PairedScores, paired_scores
from metapt_explore.statistics.verdict import Evidence, decide


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
