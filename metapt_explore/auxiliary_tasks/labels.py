"""From clusters to auxiliary tasks: which are large and balanced enough to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metapt_explore.config import AuxiliaryTasksConfig
from metapt_explore.config.task_formats import SizedFormat
from metapt_explore.errors import UserError


@dataclass(frozen=True, eq=False)
class AuxiliaryTasks:
    """The tasks of meta-learning, and what became of every row.

    Attributes:
        tasks: Cluster id to label name to row indices (ascending).
        dropped: Cluster id to the reason why it is no task.
        counts: Rows that are ``unlabelled`` (wherever they are), labelled ``outliers``, labelled in
            ``dropped_clusters``, and ``used``; they add up to all rows.
    """

    tasks: dict[int, dict[str, np.ndarray]]
    dropped: dict[int, str]
    counts: dict[str, int]


@dataclass(frozen=True)
class _Shortfall:
    """A rule that a cluster fails: how many rows it has (of one label, or labelled at all) and needs."""

    have: int
    need: int
    label: str | None = None

    @property
    def key(self) -> str:
        return "min_size" if self.label is None else "min_per_label"

    def __str__(self) -> str:
        rows = "row" if self.have < 2 else "rows"
        which = f"labelled {rows}" if self.label is None else f"{rows} of label '{self.label}'"
        return f"{self.have or 'no'} {which}, {self.key} is {self.need}"


def auxiliary_tasks(
    labels: np.ndarray,
    classes: Sequence[str | None],
    label_names: Sequence[str],
    *,
    config: AuxiliaryTasksConfig | SizedFormat,
    members: np.ndarray | None = None,
) -> AuxiliaryTasks:
    """Makes a task of each cluster with enough labelled rows, and enough of every label.

    Every label must be there because support and query sets are label-balanced.

    Args:
        labels: ``[rows]`` cluster ids, negative for outliers.
        classes: The label name of each row; None, or a name outside `label_names`, is unlabelled.
        label_names: The labels of the auxiliary tasks.
        config: `min_size` and `min_per_label`, in rows.
        members: ``[rows, clusters]`` whether a row belongs to a cluster, where it may belong to several (`soft.py`);
            to its own only when absent.

    Raises:
        UserError: Where no cluster can become a task: the rules that the nearest one fails, and
            what to lower.
        ValueError: Where `classes` has not one entry per row.

    Example:
        >>> labels = {"negative": "negative", "positive": "positive"}
        >>> config = AuxiliaryTasksConfig(labels=labels, min_size=2, min_per_label=1)
        >>> classes = ["positive", "negative", None, "positive"]
        >>> made = auxiliary_tasks(np.array([0, 0, 0, 1]), classes, list(labels), config=config)
        >>> {label: rows.tolist() for label, rows in made.tasks[0].items()}
        {'negative': [1], 'positive': [0]}
        >>> made.dropped
        {1: "1 labelled row, min_size is 2; no row of label 'negative', min_per_label is 1"}
    """
    labels = np.asarray(labels)
    if len(classes) != len(labels):
        raise ValueError(f"{len(classes)} classes for {len(labels)} rows")
    order: dict[str | None, int] = {name: index for index, name in enumerate(label_names)}
    class_ids = np.array([order.get(name, -1) for name in classes], dtype=np.int64)
    labelled = class_ids >= 0
    tasks: dict[int, dict[str, np.ndarray]] = {}
    failed: dict[int, list[_Shortfall]] = {}
    for cluster_id in np.unique(labels[labels >= 0]).tolist():
        inside = (labels == cluster_id if members is None else members[:, cluster_id]) & labelled
        rows = {name: np.flatnonzero(inside & (class_ids == index)) for index, name in enumerate(label_names)}
        shortfalls = _shortfalls({name: len(label_rows) for name, label_rows in rows.items()}, config)
        if shortfalls:
            failed[cluster_id] = shortfalls
        else:
            tasks[cluster_id] = rows
    if not tasks:
        raise UserError(_no_task(failed, int(labelled.sum()), label_names))
    used = used_rows(tasks, len(labels))
    counts = {
        "unlabelled": int((~labelled).sum()),
        "outliers": int((labelled & (labels < 0)).sum()),
        "dropped_clusters": int((labelled & (labels >= 0) & ~used).sum()),
        "used": int(used.sum()),
    }
    return AuxiliaryTasks(tasks, {key: "; ".join(map(str, rules)) for key, rules in failed.items()}, counts)


def used_rows(tasks: dict[int, dict[str, np.ndarray]], rows: int) -> np.ndarray:
    """Which rows are in any task, ``[rows]``."""
    used = np.zeros(rows, dtype=bool)
    for task in tasks.values():
        for label_rows in task.values():
            used[label_rows] = True
    return used


def _shortfalls(per_label: dict[str, int], config: AuxiliaryTasksConfig | SizedFormat) -> list[_Shortfall]:
    rules = [_Shortfall(sum(per_label.values()), config.min_size)]
    rules += [_Shortfall(have, config.min_per_label, label) for label, have in per_label.items()]
    return [rule for rule in rules if rule.have < rule.need]


def _no_task(failed: dict[int, list[_Shortfall]], labelled: int, label_names: Sequence[str]) -> str:
    """Says which rules the nearest cluster fails: the one whose worst rule is closest to being met."""
    start = "No cluster can become an auxiliary task: "
    if not failed:
        return start + "every text is an outlier. Lower min_cluster_size or use another algorithm."
    if not labelled:
        return (
            f"{start}no text has a label among {', '.join(label_names)}. Check texts.columns.label and the "
            "values under auxiliary_tasks.labels."
        )
    nearest = max(failed, key=lambda cluster_id: min(rule.have / rule.need for rule in failed[cluster_id]))
    rules = failed[nearest]
    advice = []
    for key, smallest in (("min_size", 2), ("min_per_label", 1)):
        # A setting has a smallest value: below it, only other clusters help.
        reach = min((rule.have for rule in rules if rule.key == key), default=None)
        if reach is not None and reach >= smallest:
            advice.append(f"auxiliary_tasks.{key} to {reach}")
    lower = f"Lower {' and '.join(advice)}, or make" if len(advice) == len({r.key for r in rules}) else "Make"
    return (
        f"{start}the nearest is cluster {nearest} with {'; '.join(map(str, rules))}. "
        f"{lower} fewer, larger clusters (n_clusters, min_cluster_size) or use more labelled texts."
    )
