"""The unit of a comparison: one pre-training seed and one data seed, under both methods, on every task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from metapt_explore.errors import UserError, nearest

UNIT = ["init_seed", "data_seed"]


@dataclass(frozen=True)
class Units:
    """Scores of two methods on the same units and tasks.

    Attributes:
        method: `[units, tasks]`.
        baseline: `[units, tasks]`.
        tasks: Names of the columns.
        pairs: Initialisation and data seed of each row.
        left_out: Units that lack a task under one of the methods.
    """

    method: np.ndarray
    baseline: np.ndarray
    tasks: list[str]
    pairs: list[tuple[int, int]]
    left_out: int

    @property
    def differences(self) -> np.ndarray:
        """Mean over tasks of method minus baseline, `[units]`."""
        return (self.method - self.baseline).mean(axis=1)

    @property
    def grid(self) -> np.ndarray | None:
        """Where each unit stands in a complete grid of initialisation × data seeds, `[inits, data seeds]`; else None.

        None too where one of the two has a single seed: then units share nothing that differs between them.
        """
        inits = sorted({init for init, _ in self.pairs})
        seeds = sorted({seed for _, seed in self.pairs})
        if len(inits) < 2 or len(seeds) < 2 or len(self.pairs) != len(inits) * len(seeds):
            return None
        place = {pair: index for index, pair in enumerate(self.pairs)}
        return np.array([[place[init, seed] for seed in seeds] for init in inits])


def paired_units(results: pd.DataFrame, method: str, baseline: str, metric: str = "accuracy") -> Units:
    """Lays the scores of two methods side by side.

    A baseline without an initialisation (its ``init_seed`` is missing) stands beside every initialisation seed of the
    same data seed.

    Args:
        results: Columns method, task, data_seed, init_seed and `metric`.
        method: Whose gain is asked for.
        baseline: What it is compared with.
        metric: The score.

    Raises:
        UserError: Where a method has no scores, or the two share no unit with all tasks.
    """
    for name in (method, baseline):
        if name not in set(results["method"]):
            raise UserError(f"There are no scores of '{name}'. {nearest(name, results['method'].unique())}")
    sides = [results[results["method"] == name] for name in (method, baseline)]
    tasks = [task for task in dict.fromkeys(sides[0]["task"]) if task in set(sides[1]["task"])]
    if not tasks:
        raise UserError(f"'{method}' and '{baseline}' have no task in common.")
    tables = [side.pivot_table(index=UNIT, columns="task", values=metric, dropna=False, sort=False) for side in sides]
    # Keeping missing keys also makes every combination of seeds: those without any score are none.
    tables = [table[tasks].dropna(how="all") for table in tables]
    everywhere = [table.index.get_level_values("init_seed").isna().all() for table in tables]
    if any(everywhere) and not all(everywhere):
        alone, other = tables[everywhere.index(True)], tables[everywhere.index(False)]
        seeds = other.index.get_level_values("data_seed")
        by_seed = alone.droplevel("init_seed").reindex(seeds)
        by_seed.index = other.index
        tables[everywhere.index(True)] = by_seed
    joined = tables[0].join(tables[1], how="outer", lsuffix=" (method)", rsuffix=" (baseline)")
    whole = joined.dropna()
    if whole.empty:
        raise UserError(
            f"No pair of seeds has a score of '{method}' and of '{baseline}' on all of: {', '.join(tasks)}."
        )
    values = whole.to_numpy(dtype=float)
    pairs = [(-1 if pd.isna(init) else int(init), int(seed)) for init, seed in whole.index]
    return Units(values[:, : len(tasks)], values[:, len(tasks) :], tasks, pairs, len(joined) - len(whole))
