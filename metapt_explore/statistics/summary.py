"""The two tables that a report begins with: methods over all tasks, and methods by tasks."""

from __future__ import annotations

from typing import Required, TypedDict

import pandas as pd

from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.statistics.designs import EQUAL
from metapt_explore.statistics.units import NO_INIT, check_scores, paired_scores, score_table


class MethodSummary(TypedDict, total=False):
    """A row of the overall table; see `overall_table`. What is not known is absent or None."""

    method: Required[str]
    tasks: Required[int]
    pairs: Required[int]
    incomplete: Required[int]
    start: float | None
    mean: float
    std: float
    within_task_std: float
    worst: float
    worst_init_seed: int | None
    worst_data_seed: int
    wins: int | None
    ties: int | None
    losses: int | None


COLUMNS = list(MethodSummary.__annotations__)


def overall_table(results: pd.DataFrame, baseline: str | None = None, metric: str = "accuracy") -> pd.DataFrame:
    """One row for each method: its mean over tasks and how far seeds lie apart.

    Args:
        results: The results table of one study.
        baseline: The method that wins are counted against; none are counted when absent.
        metric: A column of scores in 0..1.

    Returns:
        Methods in the order of the table. Over pairs of seeds with every task of the study: pairs, start (mean of
        start_accuracy, where that column is there), mean, std (of the mean over tasks, n − 1), within_task_std (mean
        over tasks of the standard deviation over pairs), worst (lowest mean over tasks) with its seeds; incomplete is
        the number of pairs that lack a task. wins, ties and losses count pairs against the baseline. All as shares
        of 1; absent where it cannot be known.

    Raises:
        UserError: Where a column or the baseline is missing.

    Example:
        >>> rows = [("PT", task, seed, 0, score) for task, seed, score in
        ...         (("mr", 13, 0.75), ("mr", 21, 1.0), ("subj", 13, 0.5), ("subj", 21, 0.5))]
        >>> table = pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "accuracy"])
        >>> overall_table(table)[["method", "pairs", "mean", "worst", "worst_data_seed"]].to_dict("records")
        [{'method': 'PT', 'pairs': 2, 'mean': 0.6875, 'worst': 0.625, 'worst_data_seed': 13}]
    """
    check_scores(results, [metric])
    methods = list(dict.fromkeys(results["method"]))
    if baseline is not None and baseline not in methods:
        raise UserError(f"The results have no method '{baseline}'. {did_you_mean(baseline, methods)}")
    tasks = [str(task) for task in dict.fromkeys(results["task"])]
    records: list[MethodSummary] = []
    for method in methods:
        table = score_table(results, method, metric).reindex(columns=tasks)
        whole = table.dropna()
        record: MethodSummary = {
            "method": method,
            "tasks": len(tasks),
            "pairs": len(whole),
            "incomplete": len(table) - len(whole),
        }
        if len(whole):
            by_pair = whole.mean(axis=1)
            init, data = by_pair.idxmin()
            record |= {
                "mean": float(by_pair.mean()),
                "std": float(by_pair.std(ddof=1)),
                "within_task_std": float(whole.std(ddof=1).mean()),
                "worst": float(by_pair.min()),
                "worst_init_seed": None if init == NO_INIT else int(init),
                "worst_data_seed": int(data),
            }
            if "start_accuracy" in results and results.loc[results["method"] == method, "start_accuracy"].notna().any():
                start = score_table(results, method, "start_accuracy").reindex(columns=tasks).dropna()
                record["start"] = float(start.mean(axis=1).mean()) if len(start) else None
        if baseline is not None and method != baseline:
            record["wins"], record["ties"], record["losses"] = _wins(results, method, baseline, metric=metric)
        records.append(record)
    overall = pd.DataFrame(records, columns=COLUMNS)
    for column in ("worst_init_seed", "worst_data_seed", "wins", "ties", "losses"):
        overall[column] = overall[column].astype("Int64")
    return overall


def _wins(
    results: pd.DataFrame, method: str, baseline: str, *, metric: str
) -> tuple[int | None, int | None, int | None]:
    try:
        scores = paired_scores(results, method, baseline, metric=metric).complete
    except UserError:
        # They share no pair of seeds or no task: nothing can be counted.
        return None, None, None
    ahead = (scores.method - scores.baseline).mean(axis=1)
    return int((ahead > EQUAL).sum()), int((ahead.abs() <= EQUAL).sum()), int((ahead < -EQUAL).sum())


def task_matrix(results: pd.DataFrame, metric: str = "accuracy") -> pd.DataFrame:
    """Methods by tasks, each cell "mean ± standard deviation" over pairs of seeds, in percent.

    Args:
        results: The results table.
        metric: A column of scores in 0..1.

    Returns:
        Index method, a column for each task; a lone mean where there is one pair, empty where there is none.

    Example:
        >>> rows = [("PT", "mr", 13, 0, 0.6), ("PT", "mr", 21, 0, 0.8)]
        >>> table = pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "accuracy"])
        >>> task_matrix(table).loc["PT", "mr"]
        '70.0 ± 14.1'
    """
    check_scores(results, [metric])
    tasks = [str(task) for task in dict.fromkeys(results["task"])]
    rows = {}
    for method in dict.fromkeys(results["method"]):
        table = score_table(results, method, metric).reindex(columns=tasks)
        rows[method] = {task: _cell(table[task].dropna()) for task in tasks}
    return pd.DataFrame.from_dict(rows, orient="index", columns=tasks).rename_axis("method")


def _cell(scores: pd.Series) -> str:
    if scores.empty:
        return ""
    mean = f"{100 * scores.mean():.1f}"
    return mean if len(scores) < 2 else f"{mean} ± {100 * scores.std(ddof=1):.1f}"
