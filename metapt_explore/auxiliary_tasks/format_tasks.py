"""The auxiliary tasks of several formats together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from metapt_explore.auxiliary_tasks.formats.cluster_classes import Grouping, draw_cluster_tasks
from metapt_explore.auxiliary_tasks.formats.vocabulary import common_words
from metapt_explore.auxiliary_tasks.labels import auxiliary_tasks
from metapt_explore.config import AuxiliaryTasksConfig
from metapt_explore.config.task_formats import ClusterClassesFormat, LabelsFormat, SizedFormat, TaskFormat
from metapt_explore.errors import UserError


@dataclass(frozen=True, eq=False)
class FormatTask:
    """One auxiliary task of a format.

    Attributes:
        format: Place of its format in the list of all.
        name: What people call it.
        rows: Rows of each class, in the order of the label words.
        words: Candidates for the label word of each class, best first; empty where the format has words for all tasks.
    """

    format: int
    name: str
    rows: dict[str, np.ndarray]
    words: dict[str, list[str]] = field(default_factory=dict)


def format_tasks(
    rows: pd.DataFrame,
    classes: Sequence[str | None],
    groupings: Sequence[Grouping],
    *,
    config: AuxiliaryTasksConfig,
    others: Mapping[str, Grouping],
    seed: int,
) -> tuple[list[FormatTask], list[str]]:
    """Makes the tasks of every format.

    Args:
        rows: The table of `format_rows`: columns text, label, document, format; texts stand first.
        classes: Class of each text, for the tasks that tell labels apart.
        groupings: The method's clusterings; none: all rows of a format are one task.
        config: The formats.
        others: Clusterings that formats name for themselves.
        seed: The study seed.

    Returns:
        The tasks, and why clusters are no task of some format.

    Raises:
        UserError: Where a format makes no task, naming it.
    """
    tasks: list[FormatTask] = []
    dropped: list[str] = []
    documents = rows[rows["format"] == ""]
    place = 0
    if config.labels:
        labelled = _Labelled(np.arange(len(documents)), classes, documents["document"].to_numpy())
        tasks += _of_clusters(labelled, groupings, config, place=0, dropped=dropped, called=config.called)
        place = 1
    for number, each in enumerate(config.formats, place):
        if isinstance(each, ClusterClassesFormat):
            chosen = [others[name] for name in each.clusterings] or list(groupings)
            tasks += _of_classes(each, chosen, list(documents["text"]), place=number, seed=seed)
            continue
        assert isinstance(each, SizedFormat)
        made = rows[rows["format"] == each.called]
        labelled = _Labelled(made.index.to_numpy(), list(made["label"]), made["document"].to_numpy())
        own_set = isinstance(each, LabelsFormat) and each.texts is not None
        groups = [] if own_set else groupings
        tasks += _of_clusters(labelled, groups, each, place=number, dropped=dropped, called=each.called)
    return tasks, dropped


@dataclass(frozen=True, eq=False)
class _Labelled:
    """Rows of one format: their numbers, classes, and the texts that they were made of."""

    rows: np.ndarray
    classes: Sequence[str | None]
    documents: np.ndarray


def _of_clusters(
    labelled: _Labelled,
    groupings: Sequence[Grouping],
    config: AuxiliaryTasksConfig | SizedFormat,
    *,
    place: int,
    dropped: list[str],
    called: str,
) -> Iterator[FormatTask]:
    """A task for each cluster with enough rows; one for all rows where nothing groups them."""
    reading = config.reading if isinstance(config, TaskFormat) else config
    assert reading is not None
    names = list(reading.labels)
    listed: Sequence[Grouping | None] = groupings or [None]
    for grouping in listed:
        clusters = np.zeros(len(labelled.rows), int) if grouping is None else grouping.clusters[labelled.documents]
        try:
            made = auxiliary_tasks(clusters, labelled.classes, names, config=config)
        except UserError as error:
            where = f"auxiliary_tasks '{called}'" + (f", clustering '{grouping.name}'" if grouping is not None else "")
            raise UserError(f"{where}: {error}") from None
        several = f"{grouping.name} " if grouping is not None and len(groupings) > 1 else ""
        for cluster, of_class in made.tasks.items():
            title = called if grouping is None else f"{called}: {several}{grouping.names.get(cluster, cluster)}"
            yield FormatTask(place, title, {name: labelled.rows[rows] for name, rows in of_class.items()})
        dropped += [f"{called}: {several}cluster {cluster}: {why}" for cluster, why in made.dropped.items()]


def _of_classes(
    each: ClusterClassesFormat, groupings: Sequence[Grouping], texts: list[str], *, place: int, seed: int
) -> Iterator[FormatTask]:
    """Tasks whose classes are clusters, each with its own words."""
    drawn = draw_cluster_tasks(
        groupings,
        common_words(texts),
        n_tasks=each.n_tasks,
        classes=each.classes,
        min_per_class=each.min_per_class,
        words=each.words,
        seed=seed,
    )
    for task in drawn:
        labels = [f"cluster {cluster}" for cluster in task.clusters]
        where = f"{task.clustering} " if len(groupings) > 1 else ""
        yield FormatTask(
            place,
            f"{each.called}: {where}clusters {', '.join(map(str, task.clusters))}",
            dict(zip(labels, task.rows, strict=True)),
            {label: list(words) for label, words in zip(labels, task.words, strict=True)},
        )


def task_summary(
    tasks: Sequence[FormatTask], dropped: Sequence[str], rows: pd.DataFrame, config: AuxiliaryTasksConfig
) -> dict[str, object]:
    """What a `tasks` artifact says of the tasks of several formats; `read_formats` reads it again."""
    used = {int(row) for task in tasks for members in task.rows.values() for row in members}
    names = [*([config.called] if config.labels else []), *(each.called for each in config.formats)]
    kinds = [*(["labels"] if config.labels else []), *(each.format for each in config.formats)]
    weights = [*([config.weight] if config.labels else []), *(each.weight for each in config.formats)]
    of = [[task for task in tasks if task.format == place] for place in range(len(names))]
    return {
        "tasks": len(tasks),
        "sizes": {str(n): int(sum(len(members) for members in task.rows.values())) for n, task in enumerate(tasks)},
        "names": {str(number): task.name for number, task in enumerate(tasks)},
        "dropped": {},
        "not_tasks": list(dropped),
        "counts": {"used": len(used), "not_used": len(rows) - len(used)},
        "formats": [
            {
                "name": name,
                "format": kind,
                "weight": weight,
                "tasks": len(made),
                "rows": len({int(row) for task in made for members in task.rows.values() for row in members}),
            }
            for name, kind, weight, made in zip(names, kinds, weights, of, strict=True)
        ],
        "task_formats": [task.format for task in tasks],
        "task_classes": [list(task.rows) for task in tasks],
        "task_words": {str(number): task.words for number, task in enumerate(tasks) if task.words},
    }


def task_table(tasks: Sequence[FormatTask]) -> pd.DataFrame:
    """One line for each row of each task: task, label and row."""
    records = [
        {"task": number, "label": label, "row": int(row)}
        for number, task in enumerate(tasks)
        for label, members in task.rows.items()
        for row in members
    ]
    return pd.DataFrame(records, columns=["task", "label", "row"])
