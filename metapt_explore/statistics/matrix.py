"""Methods by tasks: means, intervals and ranks, as many as a page shows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from metapt_explore.statistics.curves import as_numbers, interval_of_mean
from metapt_explore.statistics.ground import Grounds, shared_rows
from metapt_explore.statistics.units import check_scores

#: What stands for the mean over tasks.
MEAN = "mean over tasks"
COLUMNS = ["method", "task", "pairs", "mean", "low", "high", "rank"]


def score_matrix(
    results: pd.DataFrame,
    methods: Sequence[str] | None = None,
    *,
    metric: str = "accuracy",
    grounds: Grounds | None = None,
) -> pd.DataFrame:
    """Mean score of each method on each task, and over all tasks, with 95 % intervals and ranks.

    Args:
        results: The results table of one study.
        methods: Methods in the order in which they stand; all in the order of the table when absent.
        metric: A column of scores in 0..1.
        grounds: Facts of the tasks (`ground_of`); where few-shot samples share rows, intervals are wider.

    Returns:
        A row for each method and task, and for ``mean over tasks`` (over pairs of seeds that have every task): pairs,
        mean, low, high, and rank. A task's rank goes by its means (1 is the best, equal means share a rank); that of
        the mean over tasks is the mean of the tasks' ranks among the methods that have every task, NaN for others.
        Methods without any score are left out. Intervals hold for one cell by itself.

    Raises:
        UserError: Where a column is missing.

    Example:
        >>> rows = [("PT", "a", 0.5), ("PT", "b", 0.9), ("PPT", "a", 0.7), ("PPT", "b", 0.8)]
        >>> table = pd.DataFrame(rows, columns=["method", "task", "accuracy"]).assign(data_seed=13, init_seed=0)
        >>> score_matrix(table).query("task == 'mean over tasks'")[["method", "mean", "rank"]].values.tolist()
        [['PT', 0.7, 1.5], ['PPT', 0.75, 1.5]]
    """
    check_scores(results, [metric])
    scored = results.dropna(subset=[metric])
    tasks = [str(task) for task in dict.fromkeys(scored["task"])]
    present = dict.fromkeys(scored["method"])
    order = [name for name in (methods if methods is not None else present) if name in present]
    records: list[dict[str, Any]] = []
    for method in order:
        for task in [*tasks, MEAN]:
            of = tasks if task == MEAN else [task]
            seeds = scored.loc[scored["method"] == method, "data_seed"].unique().tolist()
            shared = min(shared_rows(grounds, of, seeds), 1 - 1e-9) if grounds else 0.0
            found = interval_of_mean(scored, method, metric, tasks=of, confidence=0.95, shared=shared)
            records.append({"method": method, "task": task, **found})
    table = as_numbers(pd.DataFrame(records, columns=COLUMNS), COLUMNS[3:])
    single = table["task"] != MEAN
    table.loc[single, "rank"] = table[single].groupby("task")["mean"].rank(ascending=False, method="average")
    whole = [name for name in order if table.loc[single & (table["method"] == name), "mean"].notna().all()]
    among = table[single & table["method"].isin(whole)]
    ranks = among.groupby("task")["mean"].rank(ascending=False, method="average").groupby(among["method"]).mean()
    table.loc[~single, "rank"] = table.loc[~single, "method"].map(ranks)
    return table
