"""Reptile: move towards where each task's own training ends (Nichol et al., 2018, arXiv 1803.02999)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.inner_loop import adapt, support_and_query, task_records
from metapt_explore.pretraining.learner import TaskLearner


class Reptile(TaskLearner):
    """Inner steps on the support rows and a last one on the query rows; no gradient goes through them.

    The outer gradient is the way from the adapted prompt back to the start, divided by the inner rate
    and by the number of steps, so that it has the size of a gradient and of MAML's.
    """

    def gradient(
        self, parameters: Mapping[str, Tensor], episode: Episode, objective: PromptObjective
    ) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        """Mean over tasks of the mean gradient along each task's descent."""
        support, query = support_and_query(episode)
        method, rate = self.pretraining_task.method, self.pretraining_task.inner_lr
        path = adapt(parameters["prompt"], rate, support, len(episode.tasks), method.inner_steps, objective)
        query_losses, last = objective.losses_and_gradients(path.adapted, query)
        end = path.adapted - rate * last
        direction = (path.prompts[0] - end) / (rate * (method.inner_steps + 1))
        after = objective.losses(path.adapted, support)
        return {"prompt": direction.mean(dim=0)}, task_records(episode, path.losses[0], after, query_losses)
