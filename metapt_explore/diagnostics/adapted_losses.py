"""Losses of tasks before and after adapting, at one prompt, all tasks of a draw together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from metapt_explore.config import MAMLMethod
from metapt_explore.diagnostics.task_gradients import Draw, Half
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.inner_loop import InnerSteps, adapt, stack
from metapt_explore.pretraining.learner import PretrainingTask

#: Steps of the adaptation that is like tuning: as few as few-shot learning is about.
TUNING_STEPS = 5


def support_of(half: Half, rows: int, classes: int) -> Half:
    """The first rows of a balanced half, equally many of each class.

    Args:
        half: Rows and their classes, ordered by class.
        rows: How many are wanted in all; at least one of each class is taken.
        classes: Number of classes.

    Example:
        >>> support_of(([5, 6, 7, 8, 9, 10], [0, 0, 0, 1, 1, 1]), 4, 2)
        ([5, 6, 8, 9], [0, 0, 1, 1])
    """
    each = max(1, rows // classes)
    seen: dict[int, int] = {}
    chosen: Half = ([], [])
    for row, label in zip(*half, strict=True):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= each:
            chosen[0].append(row)
            chosen[1].append(label)
    return chosen


def adapted_losses(
    objective: PromptObjective,
    prompt: Tensor,
    *,
    draws: Mapping[int, Sequence[Draw]],
    pretraining_task: PretrainingTask,
    tuning_rate: float,
    on_draw: Callable[[], None] = lambda: None,
) -> pd.DataFrame:
    """Losses on unseen rows before and after adapting, for each task and draw.

    Args:
        objective: The backbone over the rows that draws point into.
        prompt: Where every task begins, fp32 `[prompt_tokens, width]`.
        draws: Draws of each task, each of two halves: support, of which as many rows are taken as the method's inner
            loop sees, and query. All tasks have the same number of draws.
        pretraining_task: The method: its inner steps and rates; its patterns are those of the objective.
        tuning_rate: Rate of the steps that are like tuning.
        on_draw: Called after each draw; may raise to stop.

    Returns:
        A row for each task and draw: ``task``, ``draw``, ``support_rows``, ``query_rows``; losses in nats:
        ``support_before``, ``support_after`` (the method's steps), ``query_before``, ``query_inner`` (the method's
        steps), ``query_tuning`` (`TUNING_STEPS` steps as tuning takes them), ``query_other`` (such steps on another
        task's support rows; NaN with a single task); root mean square movements ``moved_inner``, ``moved_outer``,
        ``moved_tuning`` (one step) and ``moved_tuned`` (all of them).
    """
    tuned_by = _as_tuned(pretraining_task)
    tasks = list(draws)
    start = prompt.detach().expand(len(tasks), -1, -1).contiguous()
    records: list[dict[str, Any]] = []
    for draw in range(max(len(of_task) for of_task in draws.values())):
        halves = [draws[task][draw] for task in tasks]
        classes = [len(set(query[1])) for _, query in halves]
        size = pretraining_task.config.support_size
        supports = [support_of(half[0], size, count) for half, count in zip(halves, classes, strict=True)]
        of_task = [pretraining_task.patterns[task] for task in tasks] if pretraining_task.patterns else []
        support = stack([rows for rows, _ in supports], [labels for _, labels in supports], of_task)
        query = stack([half[1][0] for half in halves], [half[1][1] for half in halves], of_task)
        objective.prepare(query)
        objective.prepare(support)
        inner = adapt(
            prompt,
            pretraining_task.inner_lr,
            support,
            episode_tasks=len(tasks),
            pretraining_task=pretraining_task,
            objective=objective,
        )
        tuned = adapt(
            prompt, tuning_rate, support, episode_tasks=len(tasks), pretraining_task=tuned_by, objective=objective
        )
        shift = 1 + draw % (len(tasks) - 1) if len(tasks) > 1 else 0
        other = objective.losses(tuned.adapted.roll(shift, 0), query) if shift else torch.full((1,), float("nan"))
        columns = {
            "support_before": inner.losses[0],
            "support_after": objective.losses(inner.adapted, support),
            "query_before": objective.losses(start, query),
            "query_inner": objective.losses(inner.adapted, query),
            "query_tuning": objective.losses(tuned.adapted, query),
            "query_other": other,
            "moved_inner": moved(inner.adapted - start),
            "moved_outer": moved(_outer_step(inner.gradients[0], pretraining_task.outer_lr)).expand(len(tasks)),
            "moved_tuning": moved(tuned.prompts[1] - start),
            "moved_tuned": moved(tuned.adapted - start),
        }
        values = {name: column.double().cpu().tolist() for name, column in columns.items()}
        for place, task in enumerate(tasks):
            sizes = {"support_rows": len(supports[place][0]), "query_rows": len(halves[place][1][0])}
            records.append({"task": task, "draw": draw, **sizes, **{name: v[place] for name, v in values.items()}})
        on_draw()
    return pd.DataFrame(records)


def moved(difference: Tensor) -> Tensor:
    """Root mean square over the numbers of each prompt, `[tasks]`.

    Args:
        difference: `[tasks, prompt_tokens, width]`.

    Example:
        >>> moved(torch.tensor([[[3.0, -4.0]]])).tolist()
        [3.535533905029297]
    """
    return difference.flatten(1).square().mean(dim=1).sqrt()


def _as_tuned(pretraining_task: PretrainingTask) -> PretrainingTask:
    """The same task for a method whose inner steps are few-shot tuning: Adam, all numbers of the prompt."""
    steps = MAMLMethod(
        name="tuning",
        kind="metapt",
        clustering="any",
        inner_optimiser="adam",
        inner_steps=TUNING_STEPS,
    )
    own = pretraining_task
    return PretrainingTask(own.tasks, own.config, steps, own.seed, own.init_seed)


def _outer_step(gradients: Tensor, rate: float) -> Tensor:
    """A first outer step on the mean gradient of the tasks, `[1, prompt_tokens, width]`."""
    return rate * InnerSteps("adam").direction(gradients.mean(dim=0, keepdim=True))
