"""From a results table to pairs of seeds: which scores of two methods belong together.

A unit is a pair of an initialisation seed and a data seed. Both methods are scored on the same unit, so
that whatever makes a few-shot sample easy or hard for both drops out of their difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from metapt_explore.errors import UserError, did_you_mean

#: Initialisation seed of a method without one (TF-IDF, majority class …).
NO_INIT = -1

#: Seed columns beside the unit's own; scores are averaged over them within a unit.
OTHER_SEEDS = ("clustering_seed", "order_seed")

UNIT = ["init_seed", "data_seed"]


@dataclass(frozen=True)
class PairedScores:
    """Scores of two methods on the same pairs of seeds.

    Attributes:
        method: Scores in 0..1; rows are pairs (index levels init_seed, data_seed), columns are tasks. A score
            that is not there is NaN; every cell is there in both tables or in neither.
        baseline: The same of the baseline.
        left_out: What could not be paired, and why.
        broadcast: Which of the two has no initialisation seed while the other has: its score of a data seed stands
            against every initialisation of the other.
    """

    method: pd.DataFrame
    baseline: pd.DataFrame
    left_out: tuple[str, ...]
    broadcast: Literal["method", "baseline"] | None

    @property
    def tasks(self) -> list[str]:
        """Tasks that both methods have."""
        return [str(task) for task in self.method.columns]

    @property
    def complete(self) -> PairedScores:
        """Only pairs that have every task."""
        whole = self.method.notna().all(axis=1)
        return PairedScores(self.method[whole], self.baseline[whole], self.left_out, self.broadcast)


def score_table(results: pd.DataFrame, method: str, metric: str = "accuracy") -> pd.DataFrame:
    """Scores of one method, a row for each pair of seeds and a column for each task.

    Args:
        results: What `results_table` returned; an absent init_seed means none.
        method: A name in the column `method`.
        metric: A column of scores in 0..1, higher is better.

    Returns:
        Index levels init_seed (`NO_INIT` where there is none) and data_seed; columns are tasks in the order of the
        table; NaN where a score is missing.

    Raises:
        UserError: Where a column, the method or a seed is missing, a score lies outside 0..1, or a cell stands twice.

    Example:
        >>> rows = [("PT", "mr", 13, 0, 0.7), ("PT", "mr", 21, 0, 0.6)]
        >>> table = pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "accuracy"])
        >>> score_table(table, "PT").loc[(0, 21), "mr"]
        np.float64(0.6)
    """
    check_scores(results, [metric])
    rows = results[results["method"] == method]
    if rows.empty:
        raise UserError(f"The results have no method '{method}'. {did_you_mean(method, results['method'].unique())}")
    rows = with_plain_seeds(rows, method).dropna(subset=[metric])
    cell = ["task", *UNIT, *(name for name in OTHER_SEEDS if name in rows)]
    twice = rows[rows.duplicated(cell)]
    if len(twice):
        first = twice.iloc[0]
        raise UserError(
            f"Method '{method}', task '{first['task']}', data seed {first['data_seed']}, initialisation seed "
            f"{first['init_seed']} stands twice in the results; keep one row of it."
        )
    tasks = list(dict.fromkeys(results.loc[results["method"] == method, "task"].astype(str)))
    rows = rows.assign(task=rows["task"].astype(str))
    return rows.pivot_table(index=UNIT, columns="task", values=metric, aggfunc="mean").reindex(columns=tasks)


def check_scores(results: pd.DataFrame, metrics: Sequence[str]) -> None:
    """Sees that the columns are there and that scores are shares of 1.

    Raises:
        UserError: Naming the column, and what to do.
    """
    for column in ("method", "task", *UNIT, *metrics):
        if column not in results:
            raise UserError(f"The results have no column '{column}'. {did_you_mean(column, results.columns)}")
    for metric in metrics:
        if metric.endswith("loss"):
            raise UserError(f"'{metric}' is lower where it is better; compare scores such as accuracy or macro_f1.")
        scores = pd.to_numeric(results[metric], errors="coerce")
        if ((scores < 0) | (scores > 1)).any():
            raise UserError(f"Column '{metric}' has values outside 0..1; give shares, not percent.")


def with_plain_seeds(rows: pd.DataFrame, method: str) -> pd.DataFrame:
    """Seeds of one method as whole numbers, an absent initialisation seed as `NO_INIT`.

    Raises:
        UserError: Where a data seed is missing, or some rows have an initialisation seed and others none.
    """
    if rows["data_seed"].isna().any():
        raise UserError(f"Method '{method}' has rows without a data seed; every score belongs to a few-shot sample.")
    absent = rows["init_seed"].isna()
    if absent.any() and not absent.all():
        raise UserError(f"Method '{method}' has an initialisation seed in some rows and none in others.")
    init = pd.to_numeric(rows["init_seed"]).fillna(NO_INIT)
    return rows.assign(init_seed=init.astype(int), data_seed=rows["data_seed"].astype(int))


def paired_scores(results: pd.DataFrame, method: str, baseline: str, *, metric: str = "accuracy") -> PairedScores:
    """Puts two methods' scores of the same pair of seeds beside one another.

    Args:
        results: The results table.
        method: The method that is looked at.
        baseline: What it is compared with.
        metric: A column of scores in 0..1, higher is better.

    Raises:
        UserError: See `score_table`; also where the two share no pair or no task.
    """
    if method == baseline:
        raise UserError(f"'{method}' cannot be compared with itself; choose another baseline.")
    method_scores, baseline_scores = score_table(results, method, metric), score_table(results, baseline, metric)
    has_init = {
        name: not (table.index.get_level_values(0) == NO_INIT).all()
        for name, table in ((method, method_scores), (baseline, baseline_scores))
    }
    broadcast: Literal["method", "baseline"] | None = None
    if has_init[method] != has_init[baseline]:
        broadcast = "baseline" if has_init[method] else "method"
        method_scores, baseline_scores = (
            (method_scores, _spread(baseline_scores, method_scores))
            if has_init[method]
            else (_spread(method_scores, baseline_scores), baseline_scores)
        )
    tasks = [task for task in method_scores.columns if task in baseline_scores.columns]
    if not tasks:
        raise UserError(f"'{method}' and '{baseline}' share no task; there is nothing to compare.")
    left_out = [
        f"Task '{task}' is left out: only '{method}' has it." for task in method_scores.columns if task not in tasks
    ]
    left_out += [
        f"Task '{task}' is left out: only '{baseline}' has it." for task in baseline_scores.columns if task not in tasks
    ]
    pairs = method_scores.index.union(baseline_scores.index)
    method_scores, baseline_scores = method_scores.reindex(pairs)[tasks], baseline_scores.reindex(pairs)[tasks]
    left_out += _gaps({method: method_scores, baseline: baseline_scores})
    both_scored = method_scores.notna() & baseline_scores.notna()
    any_task = both_scored.any(axis=1)
    if not any_task.any():
        raise UserError(f"'{method}' and '{baseline}' share no pair of seeds; there is nothing to compare.")
    return PairedScores(
        method_scores.where(both_scored)[any_task],
        baseline_scores.where(both_scored)[any_task],
        tuple(left_out),
        broadcast,
    )


def _spread(plain: pd.DataFrame, model: pd.DataFrame) -> pd.DataFrame:
    """Gives the scores of a method without initialisation to every initialisation of the other."""
    by_data = plain.droplevel("init_seed")
    pairs = [pair for pair in model.index if pair[1] in by_data.index]
    index = pd.MultiIndex.from_tuples(pairs, names=UNIT) if pairs else model.index[:0]
    return pd.DataFrame(
        by_data.loc[[data for _, data in pairs]].to_numpy(), index=index, columns=plain.columns, dtype=float
    )


def _gaps(tables: dict[str, pd.DataFrame]) -> list[str]:
    """One sentence for each method and task that lacks scores of some pairs."""
    sentences = []
    for name, table in tables.items():
        absent = table.isna()
        nothing = int(absent.all(axis=1).sum())
        if nothing:
            sentences.append(f"{nothing} of {len(table)} pairs of seeds are left out: '{name}' has no score of them.")
        for task in table.columns:
            gaps = int((absent[task] & ~absent.all(axis=1)).sum())
            if gaps:
                sentences.append(
                    f"{gaps} of {len(table)} pairs of seeds are left out of the mean over tasks: '{name}' has no score "
                    f"on '{task}'."
                )
    return sentences
