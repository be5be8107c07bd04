"""Reptile: move towards where each task's own training ends (Nichol et al., 2018, arXiv 1803.02999)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from metapt_explore.config import TrajectoryMethod
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.inner_loop import adapt, support_and_query, support_of_steps, task_records
from metapt_explore.pretraining.learner import TaskLearner, TaskRecord
from metapt_explore.seeds import stream


class TrajectoryLearner(TaskLearner):
    """What meta-learners share that learn from the way of each task's own training.

    Each inner step has rows of its own, as in the papers: by steps on the same few rows again a prompt learns those by
    heart, and a learner that follows the whole way takes that over (Nichol et al., section 6.2).
    """

    def draw(self, step: int) -> Episode:
        """Draws tasks, support rows of each inner step, and query rows; the first step's are those that MAML has."""
        episode, task, method = super().draw(step), self.pretraining_task, self.pretraining_task.method
        assert isinstance(method, TrajectoryMethod)
        if method.inner_rows == "same":
            return episode
        tasks = {**task.tasks, **(task.topics.tasks if task.topics is not None else {})}
        rng = stream(task.seed, "rows of inner steps", task.init_seed, step)
        support, support_labels = [], []
        for number, first, labels, query in zip(
            episode.tasks, episode.support, episode.support_labels, episode.query, strict=True
        ):
            pools = [np.asarray(rows) for rows in tasks[number].values()]
            rows = list(first)
            for _ in range(method.inner_steps - 1):
                rows += _new_rows(pools, labels, used=rows, never=query, rng=rng)
            support.append(rows)
            support_labels.append(labels * method.inner_steps)
        return replace(episode, support=support, support_labels=support_labels)

    def support_of_steps(self, episode: Episode) -> list[Batch]:
        """Rows of each inner step."""
        method = self.pretraining_task.method
        assert isinstance(method, TrajectoryMethod)
        if method.inner_rows == "same":
            return [support_and_query(episode)[0]] * method.inner_steps
        return support_of_steps(episode, method.inner_steps)


def _new_rows(
    pools: Sequence[np.ndarray],
    labels: Sequence[int],
    *,
    used: Sequence[int],
    never: Sequence[int],
    rng: np.random.Generator,
) -> list[int]:
    """A row of each label's class: such as were not used, else such as are not in `never`, else any."""
    rows: list[int] = []
    for label, number in sorted(Counter(labels).items()):
        pool = pools[label]
        choices = [pool[~np.isin(pool, [*used, *never])], pool[~np.isin(pool, never)], pool]
        chosen = next((of for of in choices if len(of) >= number), pool)
        rows += map(int, rng.choice(chosen, size=number, replace=len(chosen) < number))
    return rows


class Reptile(TrajectoryLearner):
    """Inner steps on support rows and a last one on the query rows; no gradient goes through them.

    The outer gradient is the way from the adapted prompt back to the start, divided by the inner rate
    and by the number of steps, so that it has the size of a gradient and of MAML's.
    """

    def gradient(
        self, parameters: Mapping[str, Tensor], episode: Episode, objective: PromptObjective
    ) -> tuple[dict[str, Tensor], list[TaskRecord]]:
        """Mean over tasks of the mean direction along each task's trajectory."""
        support, query = self.support_of_steps(episode), support_and_query(episode)[1]
        prompt, tasks = parameters["prompt"], len(episode.tasks)
        steps, rate = self.pretraining_task.inner_steps, self.pretraining_task.inner_lr
        trajectory = adapt(
            prompt, rate, support, episode_tasks=tasks, pretraining_task=self.pretraining_task, objective=objective
        )
        query_losses, last = objective.losses_and_gradients(trajectory.adapted, query)
        end = trajectory.adapted - rate * trajectory.optimiser.direction(last)
        direction = (trajectory.prompts[0] - end) / (rate * (steps + 1))
        after = objective.losses(trajectory.adapted, support[0])
        return {"prompt": direction.mean(dim=0)}, task_records(
            episode, before=trajectory.losses[0], after=after, query=query_losses
        )
