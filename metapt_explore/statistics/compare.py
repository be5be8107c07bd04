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
from metapt_explore.statistics.resampling import Interval, Precision, bootstrap_mean, sign_flip_test
from metapt_explore.statistics.sentences import caveats, settling_sentence, verdict_sentence
from metapt_explore.statistics.significance import holm, pairs_needed
from metapt_explore.statistics.spread import spread_ratios
from metapt_explore.statistics.units import PairedScores, paired_scores
from metapt_explore.statistics.verdict import Evidence, decide

DEFAULT_PRECISION = Precision()


def compare(
    results: pd.DataFrame,
    method: str,
    baseline: str,
    *,
    metric: str = "accuracy",
    margin: float = 0.01,
    grounds: Grounds | None = None,
    precision: Precision = DEFAULT_PRECISION,
) -> Comparison:
    """Compares a method with a baseline over the pairs of seeds that both have.

    The primary question is one number for each pair of seeds, the mean over tasks of method − baseline, and one
    test of its mean (`designs.mean_over_pairs`, which knows which pairs share a seed). Tasks by themselves are the
    secondary question, corrected by Holm.

    Args:
        results: What `results_table` returned, from one study.
        method: A name in its column `method`.
        baseline: Another.
        metric: ``accuracy``, ``macro_f1``, ``start_accuracy`` or another score in 0..1.
        margin: A difference smaller than this does not matter to the user (0.01 is one point).
        grounds: By task, what its samples share and what guessing scores (`ground_of`); nothing is known when absent.
        precision: Confidence of the intervals, and how often bootstrap and permutations draw.

    Raises:
        UserError: Where the table lacks a column or method, or the two share no pair of seeds.

    Example:
        >>> rows = [(name, "mr", data, init, 0.6 + gain + 0.01 * (data % 3) + 0.002 * init * (name == "MetaPT"))
        ...         for name, gain in (("PT", 0.0), ("MetaPT", 0.05)) for init, data in enumerate(range(20, 32))]
        >>> table = pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "accuracy"])
        >>> found = compare(table, "MetaPT", "PT", precision=Precision(resamples=1000))
        >>> found.verdict, round(found.difference, 3), found.wins
        ('helped', 0.061, 12)
    """
    confidence, resamples = precision.confidence, precision.resamples
    if not 0 < confidence < 1:
        raise UserError(f"confidence lies between 0 and 1 (such as 0.95), not at {confidence}.")
    if margin <= 0 or resamples < 100:
        raise UserError("margin must be above 0 (0.01 is one point), and resamples at least 100.")
    # The start of a prompt depends on no sample.
    grounds_by_task = {} if grounds is None else grounds
    sampled = {} if metric.startswith("start_") else grounds_by_task
    scores = paired_scores(results, method, baseline, metric=metric)
    tasks = scores.tasks
    merged_seeds = one_seed_each(sampled, tasks)
    whole = _one_sample_each(scores.complete, merged_seeds)
    if whole.method.empty:
        raise UserError(f"No pair of seeds has every task of '{method}' and '{baseline}'. " + " ".join(scores.left_out))
    differences = (whole.method - whole.baseline).mean(axis=1)
    shared = shared_rows(sampled, tasks, _data_seeds(differences))
    estimate = mean_over_pairs(
        differences, confidence, resolution=resolution(grounds_by_task, tasks, metric), shared=shared
    )
    _, design, idle_sentence = without_idle_seeds(differences)
    random_seed = derived_seed(precision.seed, "compare", method, baseline, metric)
    flips = sign_flip_test(differences, resamples=resamples, seed=random_seed)
    bootstrap = bootstrap_mean(differences, confidence, resamples=resamples, seed=random_seed)
    if estimate.no_spread:
        bootstrap = Interval(None, None, "none: all pairs say the same")
    needed = _needed(estimate)
    wins, ties, losses = _wins(differences)
    evidence = Evidence(
        method=method,
        baseline=baseline,
        metric=metric,
        confidence=confidence,
        margin=margin,
        tasks=whole.tasks,
        pairs=len(differences),
        estimate=estimate,
        idle=idle_sentence,
        means=(float(whole.method.mean(axis=1).mean()), float(whole.baseline.mean(axis=1).mean())),
        counts=(wins, ties, losses),
        left_out=scores.left_out,
        shared=shared,
        merged=_merged(merged_seeds, _data_seeds(scores.complete.method)),
        guess=guess_of(grounds_by_task, tasks, metric),
        differing=_differing(differences),
    )
    verdict = decide(evidence)
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
        chance=evidence.guess.level if evidence.guess else None,
        method_mean=evidence.means[0],
        baseline_mean=evidence.means[1],
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
        per_task=(
            per_task := _per_task(scores, confidence=confidence, metric=metric, known=grounds_by_task, sampled=sampled)
        ),
        spread=tuple(spread_ratios(whole, confidence=confidence, resamples=resamples, seed=random_seed)),
        seeds_needed=needed,
        caveats=tuple(
            caveats(
                evidence,
                flips=flips,
                broadcast={"method": method, "baseline": baseline}.get(scores.broadcast or ""),
                at_chance=[task.task for task in per_task if task.at_chance],
            )
        ),
        verdict=verdict,
        sentence=verdict_sentence(evidence, verdict),
        to_settle=settling_sentence(evidence, verdict, observed=needed.observed, one_point=needed.one_point),
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
    scores: PairedScores, *, confidence: float, metric: str, known: Grounds, sampled: Grounds
) -> tuple[TaskDifference, ...]:
    estimates = []
    for task in scores.tasks:
        stands = one_seed_each(sampled, [task])
        both = [as_one_sample(scored[[task]].dropna(), stands)[task] for scored in (scores.method, scores.baseline)]
        method_scores, baseline_scores = both
        if method_scores.empty:
            continue
        shared = shared_rows(sampled, [task], _data_seeds(method_scores))
        estimate = mean_over_pairs(
            method_scores - baseline_scores, confidence, resolution=resolution(known, [task], metric), shared=shared
        )
        estimates.append((task, method_scores, baseline_scores, estimate))
    corrected = holm([estimate.p for *_, estimate in estimates])
    return tuple(
        TaskDifference(
            task,
            len(method_scores),
            float(method_scores.mean()),
            float(baseline_scores.mean()),
            estimate.mean,
            estimate.low,
            estimate.high,
            estimate.p,
            p_holm,
            *_wins(method_scores - baseline_scores),
            None
            if (guess := guess_of(known, [task], metric)) is None
            else max(method_scores.mean(), baseline_scores.mean()) <= guess.highest,
        )
        for (task, method_scores, baseline_scores, estimate), p_holm in zip(estimates, corrected, strict=True)
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
