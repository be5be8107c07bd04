"""Scores along tuning steps and along shots: is the start better, and how many examples is it worth?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.statistics.designs import MeanEstimate, mean_over_pairs
from metapt_explore.statistics.units import check_scores, paired_scores, score_table

CURVE_COLUMNS = [
    "method",
    "step",
    "pairs",
    "mean",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
]
EFFICIENCY_COLUMNS = ["method", "shots", "pairs", "mean", "low", "high", "baseline_shots", "note"]


def whole_curves(curves: pd.DataFrame, metric: str = "test_accuracy") -> pd.DataFrame:
    """Scores after each scored step, every pair of seeds at every step.

    A chosen learning rate that dropped out on the way (`evaluation.halving_steps`) has no later scores; it keeps its
    last one, as the prompt that was kept does, so that means at all steps are over the same pairs.

    Args:
        curves: What `curves_table` returned; rows without a test score are of learning rates that were not chosen.
        metric: The score.

    Returns:
        Columns method, task, init_seed, data_seed, step and the metric.

    Example:
        >>> unit = {"method": "PT", "task": "trec", "init_seed": 0}
        >>> scores = [(13, 0, 0.2), (13, 5, 0.4), (21, 0, 0.1), (21, 5, 0.3), (21, 10, 0.5)]
        >>> curves = pd.DataFrame([{**unit, "data_seed": d, "step": s, "test_accuracy": a} for d, s, a in scores])
        >>> whole_curves(curves)["test_accuracy"].tolist()
        [0.2, 0.4, 0.4, 0.1, 0.3, 0.5]
    """
    unit = ["method", "task", "init_seed", "data_seed"]
    if metric not in curves:
        return pd.DataFrame(columns=[*unit, "step", metric])
    wide = curves.dropna(subset=[metric]).pivot_table(index=unit, columns="step", values=metric, sort=False)
    # Methods that tune for longer (`extra_tuning`) have steps of their own.
    frames = [
        wide_of_method.dropna(axis="columns", how="all").sort_index(axis="columns").ffill(axis="columns").stack()
        for _, wide_of_method in wide.groupby(level="method", sort=False)
    ]
    return pd.concat(frames).rename(metric).reset_index() if frames else pd.DataFrame(columns=[*unit, "step"])


def start_curve(
    curves: pd.DataFrame,
    baseline: str | None = None,
    methods: Sequence[str] | None = None,
    *,
    metric: str = "test_accuracy",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Mean score after 0, 1, 2 … tuning steps, and how far it lies from the baseline's at the same step.

    Each pair of seeds counts with its mean over tasks, at the learning rate that its dev split chose (other rates
    have no test score; a chosen rate that dropped out on the way keeps its last one). Intervals hold for one step by
    itself, not for the whole curve at once.

    Args:
        curves: What `curves_table` returned.
        baseline: The method whose curve is subtracted, pair by pair; no differences when absent.
        methods: Those to look at, in this order; all when absent.
        metric: The score; 0..1.
        confidence: Of the intervals.

    Returns:
        A row for each method and step: pairs (with every task), mean with its interval (cut at 0 and 1), difference
        from the baseline with its interval; absent where it cannot be known.

    Raises:
        UserError: Where a column, the baseline or a method is missing.

    Example:
        >>> rows = [("PT", "mr", 13, 0, 0, 0.5), ("PT", "mr", 13, 0, 5, 0.7)]
        >>> columns = ["method", "task", "data_seed", "init_seed", "step", "test_accuracy"]
        >>> start_curve(pd.DataFrame(rows, columns=columns))[["step", "mean"]].to_numpy().tolist()
        [[0.0, 0.5], [5.0, 0.7]]
    """
    if "step" not in curves:
        raise UserError("The curves have no column 'step'; give what `curves_table` returned.")
    check_scores(curves, [metric])
    scored = whole_curves(curves, metric)
    known = list(dict.fromkeys(scored["method"]))
    wanted = list(methods) if methods is not None else known
    for name in [*wanted, *([baseline] if baseline is not None else [])]:
        if name not in known:
            raise UserError(f"The curves have no scores of method '{name}'. {did_you_mean(name, known)}")
    tasks = [str(task) for task in dict.fromkeys(scored["task"])]
    records: list[dict[str, Any]] = []
    for method in wanted:
        own_steps = sorted(set(scored.loc[scored["method"] == method, "step"]))
        for step in own_steps:
            at_step = scored[scored["step"] == step]
            record = {
                "method": method,
                "step": int(step),
                **_mean(at_step, method, metric, tasks=tasks, confidence=confidence),
            }
            if baseline is not None and method != baseline and (at_step["method"] == baseline).any():
                difference = _difference(at_step, method, baseline, metric=metric, tasks=tasks, confidence=confidence)
                if difference is not None:
                    record |= {
                        "difference": difference.mean,
                        "difference_low": difference.low,
                        "difference_high": difference.high,
                    }
            records.append(record)
    return _numbers(pd.DataFrame(records, columns=CURVE_COLUMNS), CURVE_COLUMNS[3:])


def _mean(rows: pd.DataFrame, method: str, metric: str, *, tasks: list[str], confidence: float) -> dict[str, Any]:
    whole = score_table(rows, method, metric).reindex(columns=tasks).dropna()
    if whole.empty:
        return {"pairs": 0}
    estimate = mean_over_pairs(whole.mean(axis=1), confidence)
    low, high = estimate.low, estimate.high
    return {
        "pairs": len(whole),
        "mean": estimate.mean,
        "low": None if low is None else max(low, 0.0),
        "high": None if high is None else min(high, 1.0),
    }


def _difference(
    rows: pd.DataFrame, method: str, baseline: str, *, metric: str, tasks: list[str], confidence: float
) -> MeanEstimate | None:
    try:
        pairs = paired_scores(rows, method, baseline, metric=metric).complete
    except UserError:
        # They share no pair of seeds at this step.
        return None
    if pairs.method.empty or set(pairs.tasks) != set(tasks):
        # A mean over other tasks is another question than at other steps.
        return None
    return mean_over_pairs((pairs.method - pairs.baseline).mean(axis=1), confidence)


def label_efficiency(
    results_by_shots: Mapping[int, pd.DataFrame],
    baseline: str,
    *,
    metric: str = "accuracy",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Mean score of each method by examples per class, and how many the baseline needs for the same score.

    Args:
        results_by_shots: A results table for each number of examples per class; the same study otherwise.
        baseline: The method whose need is asked for.
        metric: A column of scores in 0..1.
        confidence: Of the intervals.

    Returns:
        A row for each method and K: pairs, mean over the tasks that all tables have, with its interval, and
        baseline_shots: the least K at which the baseline's mean reaches it, between two measured K on a straight line
        over log K; absent where it never does, with a note. The note also says where the baseline is there already
        at the smallest K.

    Raises:
        UserError: Where the tables share no task or lack the baseline.

    Example:
        >>> def table(pt: float, metapt: float) -> pd.DataFrame:
        ...     rows = [("PT", "mr", 13, 0, pt), ("MetaPT", "mr", 13, 0, metapt)]
        ...     return pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "accuracy"])
        >>> found = label_efficiency({4: table(0.5, 0.6), 16: table(0.7, 0.8)}, "PT")
        >>> found[found["method"] == "MetaPT"][["shots", "baseline_shots", "note"]].to_numpy().tolist()
        [[4, 8.0, ''], [16, None, 'not up to 16']]
    """
    if not results_by_shots:
        raise UserError("Give results for at least one number of shots.")
    if min(results_by_shots) < 1:
        raise UserError("Shots are examples per class: 1 or more.")
    ordered = dict(sorted(results_by_shots.items()))
    shared = [set(table["task"].astype(str)) for table in ordered.values()]
    first = next(iter(ordered.values()))
    tasks = [task for task in dict.fromkeys(first["task"].astype(str)) if all(task in names for names in shared)]
    if not tasks:
        raise UserError("The results for different shots share no task; there is nothing to lay side by side.")
    records: list[dict[str, Any]] = []
    for shots, table in ordered.items():
        for method in dict.fromkeys(table["method"]):
            mean = _mean(table, method, metric, tasks=tasks, confidence=confidence)
            records.append({"method": method, "shots": shots, **mean})
    line = [(row["shots"], row["mean"]) for row in records if row["method"] == baseline and row["pairs"]]
    if not line:
        known = {row["method"] for row in records}
        raise UserError(f"No results of baseline '{baseline}' on every task. {did_you_mean(baseline, known)}")
    for row in records:
        row["baseline_shots"], row["note"] = _reached(line, row.get("mean"))
    order = list(dict.fromkeys(row["method"] for row in records))
    records.sort(key=lambda row: (order.index(row["method"]), row["shots"]))
    table = _numbers(pd.DataFrame(records, columns=EFFICIENCY_COLUMNS), ["mean", "low", "high"])
    needs = pd.Series([row["baseline_shots"] for row in records], dtype=object, index=table.index)
    return table.assign(baseline_shots=needs)


def _reached(line: Sequence[tuple[int, float]], score: float | None) -> tuple[float | None, str]:
    """Least K at which a line through (K, mean) over log K reaches a score."""
    if score is None:
        return None, "no pair of seeds has every task"
    first, start = line[0]
    if start >= score:
        return float(first), "" if start == score else f"{first} or fewer"
    for (low, below), (high, above) in pairwise(line):
        if above >= score:
            part = (score - below) / (above - below)
            return round(math.exp(math.log(low) + part * math.log(high / low)), 6), ""
    return None, f"not up to {line[-1][0]}"


def _numbers(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    return table.astype(dict.fromkeys(columns, float))
