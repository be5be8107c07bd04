"""The order of a study: its tasks, methods and seeds as they are listed, whatever was computed first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from metapt_explore.config import StudyConfig
from metapt_explore.errors import UserError
from metapt_explore.storage.files import read_json
from metapt_explore.storage.integrity import DamagedFile
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace


@dataclass(frozen=True)
class StudyOrder:
    """Positions of tasks, methods, seeds … in the study; unlisted ones come last, by name.

    Attributes:
        tasks: Downstream tasks.
        methods: Methods, then baselines.
        init_seeds: Initialisation seeds.
        data_seeds: Data seeds.
        shots: Numbers of examples that are scored beside the study's own, `evaluation.more_shots`.
        clusterings: Clusterings.
    """

    tasks: Sequence[str] = ()
    methods: Sequence[str] = ()
    init_seeds: Sequence[int] = ()
    data_seeds: Sequence[int] = ()
    shots: Sequence[int] = ()
    clusterings: Sequence[str] = ()

    def entries(self, entries: Sequence[IndexEntry]) -> list[IndexEntry]:
        """Entries of a study's list, task by task, method by method, seed by seed."""
        task, method, init = place(self.tasks), place(self.methods), place(self.init_seeds)
        # The study's own number of examples stands in no entry, and comes first.
        shots, clustering = place([0, *self.shots]), place(self.clusterings)

        def key(entry: IndexEntry) -> Any:
            cell = task(entry.get("task")), method(entry.get("method")), init(entry.get("init_seed"))
            return *cell, shots(entry.get("shots", 0)), clustering(entry.get("clustering")), str(entry["id"])

        return sorted(entries, key=key)

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of a table of scores or curves in the same order; rows of one score keep theirs."""
        columns = {
            "task": self.tasks,
            "method": self.methods,
            "init_seed": self.init_seeds,
            "data_seed": self.data_seeds,
        }
        places = {
            name: [place(known)(value) for value in table[name]] for name, known in columns.items() if name in table
        }
        if table.empty or not places:
            return table
        keys = list(zip(*places.values(), strict=True))
        return table.iloc[sorted(range(len(table)), key=keys.__getitem__)].reset_index(drop=True)


def place(listed: Sequence[Any]) -> Callable[[Any], tuple[int, float, str]]:
    """Where something stands in a list: listed things first, then others by number or name, nothing at all last.

    Example:
        >>> sorted(["b", "z", "a", None, "c"], key=place(["c", "b"]))
        ['c', 'b', 'a', 'z', None]
    """
    known = {value: number for number, value in enumerate(listed)}

    def of(value: Any) -> tuple[int, float, str]:
        if value is None or value is pd.NA or value != value:
            return len(known) + 1, 0.0, ""
        if value in known:
            return known[value], 0.0, ""
        return len(known), float(value) if isinstance(value, Real) else 0.0, str(value)

    return of


def study_order(workspace: Workspace, study: str) -> StudyOrder:
    """Reads the order of a study; of one that the workspace does not have nothing is known.

    Raises:
        DamagedFile: Where the study's file is damaged: in another order the table would be another one.
    """
    try:
        return order_of(workspace.study_config(study), read_json(workspace.study_folder(study) / "tasks.json"))
    except DamagedFile:
        raise
    except UserError:
        return StudyOrder()


def order_of(config: StudyConfig, tasks: Any = None) -> StudyOrder:
    """The order of a study.

    Args:
        config: The study.
        tasks: What its ``tasks.json`` holds: its tasks' names in order. Else a task is called as its file.
    """
    # A task's name is in its file, which may be gone.
    names = list(tasks) if isinstance(tasks, dict) else [Path(source).stem for source in config.evaluation.tasks]
    methods = [*(method.name for method in config.methods), *(baseline.name for baseline in config.baselines)]
    evaluation, clusterings = config.evaluation, [clustering.name for clustering in config.clusterings]
    return StudyOrder(names, methods, evaluation.init_seeds, evaluation.data_seeds, evaluation.more_shots, clusterings)
