"""Meta-SGD: the inner learning rates are meta-learned with the prompt (Li et al., 2017, arXiv 1707.09835)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.inner_loop import adapt, support_and_query, task_records
from metapt_explore.pretraining.learner import TaskLearner, TaskRecord


class MetaSGD(TaskLearner):
    """MAML with one inner rate for each number of the prompt.

    Rates are learned as logarithms: they stay positive, and the outer optimiser changes them by a share
    of themselves (the paper learns them as they are, and they may turn negative).
    """

    def parameters(self, initial_prompt: Tensor) -> dict[str, Tensor]:
        """The prompt, and the logarithm of its inner rates, which begin at `inner_lr`."""
        log_rate = math.log(self.pretraining_task.inner_lr)
        return {"prompt": initial_prompt, "log_rates": torch.full_like(initial_prompt, log_rate)}

    def gradient(
        self, parameters: Mapping[str, Tensor], episode: Episode, objective: PromptObjective
    ) -> tuple[dict[str, Tensor], list[TaskRecord]]:
        """Gradients of prompt and rates; with one inner step those of the rates are exact in either order."""
        support, query = support_and_query(episode)
        prompt, tasks = parameters["prompt"], len(episode.tasks)
        pretraining_task, rates = self.pretraining_task, parameters["log_rates"].exp()
        trajectory = adapt(
            prompt, rates, support, episode_tasks=tasks, pretraining_task=pretraining_task, objective=objective
        )
        query_losses, outer = objective.losses_and_gradients(trajectory.adapted, query)
        d_rates = torch.zeros_like(rates)
        for prompts, inner in zip(reversed(trajectory.prompts[:-1]), reversed(trajectory.directions), strict=True):
            d_rates -= (inner * outer).mean(dim=0)
            if pretraining_task.method.second_order:
                outer = outer - objective.hessian_products(prompts, support, rates * outer)
        after = objective.losses(trajectory.adapted, support)
        gradients = {"prompt": outer.mean(dim=0), "log_rates": rates * d_rates}
        records = task_records(episode, before=trajectory.losses[0], after=after, query=query_losses)
        median = float(rates.median())
        return gradients, [TaskRecord(**record, median_rate=median) for record in records]
