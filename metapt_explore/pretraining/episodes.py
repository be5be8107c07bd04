"""What one outer step sees: tasks, and label-balanced support and query rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from metapt_explore.config import PretrainingConfig
from metapt_explore.seeds import stream

#: Auxiliary tasks: task id -> class name -> rows.
Tasks = Mapping[int, Mapping[str, Sequence[int]]]


@dataclass(frozen=True)
class Episode:
    """Rows of one outer step.

    Attributes:
        tasks: Task ids, one for each task of the meta-batch.
        support: Rows of each task for the inner step.
        query: Rows of each task for the outer gradient; disjoint from its support where the task
            has rows enough.
        support_labels: Class index of each support row.
        query_labels: Class index of each query row.
        patterns: Which pattern each task is read by; empty where there is one.
    """

    tasks: list[int]
    support: list[list[int]]
    query: list[list[int]]
    support_labels: list[list[int]]
    query_labels: list[list[int]]
    patterns: list[int] = field(default_factory=list)

    @property
    def rows(self) -> list[int]:
        """All rows of the episode."""
        return [row for part in (*self.support, *self.query) for row in part]


@dataclass(frozen=True)
class TaskFormats:
    """Which format each auxiliary task is of, and how often each format is drawn.

    Attributes:
        of_task: Place of each task's format.
        weights: Of each format; in proportion to them an outer step's tasks are shared out.
    """

    of_task: Mapping[int, int]
    weights: Sequence[float]

    def slots(self, number: int, start: float) -> list[int]:
        """The format of each of so many tasks, in proportion to the weights (systematic sampling).

        Args:
            number: Tasks of an outer step.
            start: Drawn evenly from 0 to 1; over many steps it makes the shares exact.

        Example:
            >>> TaskFormats({}, [3.0, 1.0]).slots(4, 0.5), TaskFormats({}, [1.0, 1.0]).slots(1, 0.7)
            ([0, 0, 0, 1], [1])
        """
        bounds = np.cumsum(self.weights) / sum(self.weights)
        points = (np.arange(number) + start) / number
        return [min(int(place), len(bounds) - 1) for place in np.searchsorted(bounds, points, side="right")]


def read_tasks(table: pd.DataFrame, labels: Sequence[str]) -> dict[int, dict[str, list[int]]]:
    """Auxiliary tasks from the table of a `tasks` artifact.

    Args:
        table: Columns task, label and row.
        labels: Class names in the order of the label words, which the draws depend on.

    Example:
        >>> read_tasks(pd.DataFrame({"task": [3, 3], "label": ["good", "bad"], "row": [0, 1]}), ["bad", "good"])
        {3: {'bad': [1], 'good': [0]}}
    """
    tasks = {}
    for task, by_task in table.groupby("task"):
        groups = {label: list(map(int, rows["row"])) for label, rows in by_task.groupby("label")}
        tasks[int(str(task))] = {label: groups[label] for label in labels}
    return tasks


def draw_episode(
    tasks: Tasks,
    config: PretrainingConfig,
    *,
    seed: int,
    init_seed: int,
    step: int,
    stream_name: str = "episodes",
    formats: TaskFormats | None = None,
) -> Episode:
    """Draws the tasks and rows of one outer step.

    Tasks are drawn without replacement (with, once all are used). Rows are label-balanced: each
    class has the same number, a remainder goes to classes drawn at random. A class with too few
    rows for support and query is drawn with replacement.

    Args:
        tasks: The auxiliary tasks.
        config: Sizes of the meta-batch, support and query.
        seed: The study seed.
        init_seed: The initialisation seed.
        step: The outer step; the draw depends on no other step, so that a resumed run draws the same.
        stream_name: Name of the random stream.
        formats: Shares out the tasks of the step over formats, where there are several.

    Example:
        >>> tasks = {0: {"bad": [0, 1, 2], "good": [3, 4, 5]}}
        >>> config = PretrainingConfig(meta_batch_size=1, support_size=2, query_size=2)
        >>> episode = draw_episode(tasks, config, seed=0, init_seed=0, step=0)
        >>> len(set(episode.rows))
        4
    """
    rng = stream(seed, stream_name, init_seed, step)
    if formats is None:
        chosen = _draw_tasks(sorted(tasks), config.meta_batch_size, rng)
    else:
        chosen = []
        places = formats.slots(config.meta_batch_size, float(rng.random()))
        for place in sorted(set(places)):
            of_format = [task for task in sorted(tasks) if formats.of_task[task] == place]
            chosen += _draw_tasks(of_format, places.count(place), rng)
    parts = [_draw_rows(tasks[task], (config.support_size, config.query_size), rng) for task in chosen]
    return Episode(
        chosen,
        [part[0][0] for part in parts],
        [part[1][0] for part in parts],
        [part[0][1] for part in parts],
        [part[1][1] for part in parts],
    )


def _draw_tasks(names: Sequence[int], number: int, rng: np.random.Generator) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < number:
        chosen += [names[i] for i in rng.permutation(len(names))[: number - len(chosen)]]
    return chosen


def _draw_rows(
    classes: Mapping[str, Sequence[int]], sizes: tuple[int, ...], rng: np.random.Generator
) -> list[tuple[list[int], list[int]]]:
    """Draws disjoint balanced sets of the given sizes; returns (rows, class indices) of each."""
    pools = [np.asarray(rows) for rows in classes.values()]
    counts = [_balanced(size, len(pools), rng) for size in sizes]
    drawn = []
    for index, pool in enumerate(pools):
        total = int(sum(count[index] for count in counts))
        enough = len(pool) >= total
        drawn.append(list(map(int, rng.choice(pool, size=total, replace=not enough))))
    sets = []
    for count in counts:
        rows = [row for index in range(len(pools)) for row in _take(drawn[index], count[index])]
        labels = [index for index in range(len(pools)) for _ in range(count[index])]
        sets.append((rows, labels))
    return sets


def _take(rows: list[int], number: int) -> list[int]:
    taken = rows[:number]
    del rows[:number]
    return taken


def _balanced(size: int, classes: int, rng: np.random.Generator) -> list[int]:
    counts = np.full(classes, size // classes)
    counts[rng.permutation(classes)[: size % classes]] += 1
    return [int(count) for count in counts]
