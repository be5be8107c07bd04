"""Scores along the number of labelled examples: how many examples is a method worth?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.statistics.curves import as_numbers, interval_of_mean, paired_difference

COLUMNS = [
    "method",
    "shots",
    "pairs",
    "mean",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "baseline_shots",
    "note",
]
#: Column of scores: share of training rows that the few-shot samples of two data seeds have in common.
SHARED_ROWS = "shared_rows"


def label_efficiency(
    results_by_shots: Mapping[int, pd.DataFrame],
    baseline: str,
    *,
    metric: str = "accuracy",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Mean score of each method by examples per class, and how many the baseline needs for the same score.

    A mean is over tasks and pairs of seeds, its interval that of `mean_over_pairs`; the difference from the baseline
    is paired, seed by seed, at the same K. Where tables have a column ``shared_rows``, samples that share rows make
    the intervals wider. Intervals hold for one K by itself, not for the whole curve at once.

    Args:
        results_by_shots: A results table for each number of examples per class; the same study otherwise.
        baseline: The method whose need is asked for.
        metric: A column of scores in 0..1.
        confidence: Of the intervals.

    Returns:
        A row for each method and K: pairs, mean over the tasks that all tables have, with its interval; difference
        from the baseline with its interval (absent for the baseline itself, and where they share no pair); and
        baseline_shots: the least K at which the baseline's mean reaches it, between two measured K on a straight line
        over log K; absent where it never does, with a note. The note also says where the baseline is there already
        at the smallest K. How sure that is: `labels_needed`.

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
    tables, tasks = on_common_tasks(results_by_shots)
    records: list[dict[str, Any]] = []
    for shots, table in tables.items():
        share = mean_shared_rows(table)
        for method in dict.fromkeys(table["method"]):
            mean = interval_of_mean(table, method, metric, tasks=tasks, confidence=confidence, shared=share)
            record = {"method": method, "shots": shots, **mean}
            if method != baseline and (table["method"] == baseline).any():
                apart = paired_difference(
                    table, method, baseline, metric=metric, tasks=tasks, confidence=confidence, shared=share
                )
                if apart is not None:
                    record |= {"difference": apart.mean, "difference_low": apart.low, "difference_high": apart.high}
            records.append(record)
    line = [(row["shots"], row["mean"]) for row in records if row["method"] == baseline and row["pairs"]]
    if not line:
        known = {row["method"] for row in records}
        raise UserError(f"No results of baseline '{baseline}' on every task. {did_you_mean(baseline, known)}")
    for row in records:
        row["baseline_shots"], row["note"] = _reached(line, row.get("mean"))
    order = list(dict.fromkeys(row["method"] for row in records))
    records.sort(key=lambda row: (order.index(row["method"]), row["shots"]))
    table = as_numbers(pd.DataFrame(records, columns=COLUMNS), COLUMNS[3:9])
    needs = pd.Series([row["baseline_shots"] for row in records], dtype=object, index=table.index)
    return table.assign(baseline_shots=needs)


def on_common_tasks(results_by_shots: Mapping[int, pd.DataFrame]) -> tuple[dict[int, pd.DataFrame], list[str]]:
    """Tables in the order of K with the tasks that all of them have, and these tasks.

    Raises:
        UserError: Where there are no tables, a K is no number of examples, or they share no task.
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
    return {shots: table[table["task"].astype(str).isin(tasks)] for shots, table in ordered.items()}, tasks


def mean_shared_rows(table: pd.DataFrame) -> float:
    """Share of training rows that samples of two data seeds have in common, mean over tasks; 0 where not known."""
    if SHARED_ROWS not in table:
        return 0.0
    by_task = table.groupby("task")[SHARED_ROWS].first().fillna(0.0)
    # Samples that are all one leave no interval; of that data seeds say nothing any more.
    return min(float(by_task.mean()), 1 - 1e-9) if len(by_task) else 0.0


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
