"""Scores along tuning steps: is the start better, and for how long?"""

from __future__ import annotations

from collections.abc import Sequence
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
                **interval_of_mean(at_step, method, metric, tasks=tasks, confidence=confidence),
            }
            if baseline is not None and method != baseline and (at_step["method"] == baseline).any():
                difference = paired_difference(
                    at_step, method, baseline, metric=metric, tasks=tasks, confidence=confidence
                )
                if difference is not None:
                    record |= {
                        "difference": difference.mean,
                        "difference_low": difference.low,
                        "difference_high": difference.high,
                    }
            records.append(record)
    return as_numbers(pd.DataFrame(records, columns=CURVE_COLUMNS), CURVE_COLUMNS[3:])


def interval_of_mean(
    rows: pd.DataFrame, method: str, metric: str, *, tasks: list[str], confidence: float, shared: float = 0.0
) -> dict[str, Any]:
    """Mean over tasks and pairs of seeds with its interval, which is cut at 0 and 1.

    Args:
        rows: Scores.
        method: Whose.
        metric: A column of scores in 0..1.
        tasks: Only pairs that have all of them count.
        confidence: Of the interval.
        shared: Share of rows that the few-shot samples of two data seeds have in common.

    Returns:
        ``pairs``; and, where there are some, ``mean``, ``low`` and ``high``.
    """
    whole = score_table(rows, method, metric).reindex(columns=tasks).dropna()
    if whole.empty:
        return {"pairs": 0}
    estimate = mean_over_pairs(whole.mean(axis=1), confidence, shared=shared)
    low, high = estimate.low, estimate.high
    return {
        "pairs": len(whole),
        "mean": estimate.mean,
        "low": None if low is None else max(low, 0.0),
        "high": None if high is None else min(high, 1.0),
    }


def paired_difference(
    rows: pd.DataFrame,
    method: str,
    baseline: str,
    *,
    metric: str,
    tasks: list[str],
    confidence: float,
    shared: float = 0.0,
) -> MeanEstimate | None:
    """Mean over tasks of method - baseline, over the pairs of seeds that both have; None where they have none.

    Arguments are those of `interval_of_mean`. A mean over other tasks is another question, and none either.
    """
    try:
        pairs = paired_scores(rows, method, baseline, metric=metric).complete
    except UserError:
        return None
    if pairs.method.empty or set(pairs.tasks) != set(tasks):
        return None
    return mean_over_pairs((pairs.method - pairs.baseline).mean(axis=1), confidence, shared=shared)


def as_numbers(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The table with absent values of these columns as NaN."""
    return table.astype(dict.fromkeys(columns, float))
