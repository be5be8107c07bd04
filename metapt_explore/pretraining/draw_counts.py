"""Which rows a pre-training drew, computed afterwards: draws depend on tasks, sizes and seeds, not on the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from metapt_explore.config import MethodConfig, PretrainedMethod, PretrainingConfig, TrajectoryMethod
from metapt_explore.pretraining.episodes import Episode, TaskFormats, Tasks
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.registry import make_learner
from metapt_explore.pretraining.topics import Topics

COLUMNS = ["task", "row", "support", "query", "drawn"]


def recorded_task(
    config: Mapping[str, Any], tasks: Tasks, topics: Topics | None = None, formats: TaskFormats | None = None
) -> PretrainingTask:
    """The task of a pre-training, read from its artifact's ``stage.json``.

    Args:
        config: Configuration of a `prompt` stage that was pre-trained.
        tasks: Its auxiliary tasks.
        topics: Its topic tasks, where it has some.
        formats: The formats of its tasks, where there are several.
    """
    sizes = {key: config[key] for key in PretrainingConfig.model_fields if key in config}
    recipe = {key: config[key] for key in ("kind", "learner", "order", "inner_steps", "families") if key in config}
    clustering = "recorded" if config["kind"] == "metapt" else None
    method = MethodConfig(name="recorded", clustering=clustering, **recipe)
    if isinstance(method, TrajectoryMethod):
        method = method.model_copy(update={"inner_rows": config.get("inner_rows", "same")})
    assert isinstance(method, PretrainedMethod)
    return PretrainingTask(
        tasks,
        PretrainingConfig(**sizes),
        method,
        int(config["seed"]),
        int(config["init_seed"]),
        topics=topics,
        formats=formats,
    )


def episodes(pretraining_task: PretrainingTask, steps: int | None = None) -> Iterator[Episode]:
    """The episodes of a pre-training, in their order; the first `steps` of them, or all."""
    learner = make_learner(pretraining_task)
    for step in range(pretraining_task.steps if steps is None else min(steps, pretraining_task.steps)):
        yield learner.draw(step)


def draw_counts(pretraining_task: PretrainingTask, steps: int | None = None) -> pd.DataFrame:
    """How often each row was drawn.

    Args:
        pretraining_task: Tasks, sizes, method and seeds.
        steps: Outer steps that were taken, where that is not all.

    Returns:
        One line for each row of each task: task, row, support, query and drawn (their sum). Pooled pre-training makes
        no difference between support and query: there they are missing. A row that several tasks hold is drawn,
        and counted, for the first of them.

    Example:
        >>> config = PretrainingConfig(steps=1, meta_batch_size=1, support_size=2, query_size=2)
        >>> method = MethodConfig(name="MetaPT", kind="metapt", clustering="kmeans")
        >>> draw_counts(PretrainingTask({0: {"bad": [0, 1], "good": [2, 3]}}, config, method, 0, 0))["drawn"].tolist()
        [1, 1, 1, 1]
    """
    pooled = not pretraining_task.method.meta_learned
    topic_tasks = pretraining_task.topics.tasks if pretraining_task.topics is not None else {}
    all_tasks = {**pretraining_task.tasks, **topic_tasks}
    members = {task: [int(row) for rows in classes.values() for row in rows] for task, classes in all_tasks.items()}
    first_task: dict[int, int] = {}
    for task in sorted(pretraining_task.tasks):
        for row in members[task]:
            first_task.setdefault(row, task)
    counts: dict[str, Counter[tuple[int, int]]] = {"support": Counter(), "query": Counter()}
    for episode in episodes(pretraining_task, steps):
        for part, sets in (("support", episode.support), ("query", episode.query)):
            for task, rows in zip(episode.tasks, sets, strict=True):
                from_pool = pooled and task not in topic_tasks and pretraining_task.formats is None
                counts[part].update((first_task[row] if from_pool else task, row) for row in rows)
    table = pd.DataFrame(
        [
            (task, row, counts["support"][task, row], counts["query"][task, row])
            for task, rows in sorted(members.items())
            for row in sorted(rows)
        ],
        columns=COLUMNS[:-1],
    )
    table["drawn"] = table["support"] + table["query"]
    if pooled:
        table["support"] = table["query"] = pd.array([pd.NA] * len(table), dtype="Int64")
    return table


def agrees_with(pretraining_task: PretrainingTask, metrics: pd.DataFrame) -> bool | None:
    """Whether the draws match the tasks that the pre-training recorded, step by step.

    Args:
        pretraining_task: Tasks, sizes, method and seeds.
        metrics: The prompt's metrics.

    Returns:
        None where no tasks were recorded (pooled pre-training, no step yet).
    """
    if not pretraining_task.method.meta_learned or metrics.empty or "task" not in metrics:
        return None
    recorded = {int(str(step)): rows["task"].tolist() for step, rows in metrics.groupby("step", sort=False)}
    drawn = [episode.tasks for episode in episodes(pretraining_task)]
    return all(step < len(drawn) and drawn[step] == tasks for step, tasks in recorded.items())
