"""Meta-SGD: the inner learning rates are meta-learned with the prompt (Li et al., 2017, arXiv 1707.09835).

Meta-SGD has a rate for each number. Few tasks teach so many rates little; one for each vector, for each step, or for
each vector in each step (MAML++, Antoniou et al., ICLR 2019, arXiv 1810.09502) are fewer to learn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from metapt_explore.config import MetaSGDMethod
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.inner_loop import adapt, rates_of_step, support_and_query, task_records
from metapt_explore.pretraining.learner import TaskLearner, TaskRecord


class MetaSGD(TaskLearner):
    """MAML with learned inner rates: one for each number of the prompt, or fewer (`rates`).

    Rates are learned as logarithms: they stay positive, and the outer optimiser changes them by a share
    of themselves (the paper learns them as they are, and they may turn negative).
    """

    def parameters(self, initial_prompt: Tensor) -> dict[str, Tensor]:
        """The prompt, and the logarithm of its inner rates, which begin at `inner_lr`."""
        method, (vectors, width) = self.pretraining_task.method, initial_prompt.shape
        assert isinstance(method, MetaSGDMethod)
        shapes = {
            "number": (vectors, width),
            "vector": (vectors, 1),
            "step": (method.inner_steps, 1, 1),
            "vector_and_step": (method.inner_steps, vectors, 1),
        }
        log_rates = initial_prompt.new_full(shapes[method.rates], math.log(self.pretraining_task.inner_lr))
        return {"prompt": initial_prompt, "log_rates": log_rates}

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
        d_rates, adapted = torch.zeros_like(rates), pretraining_task.adapted_vectors(prompt)
        for step in reversed(range(pretraining_task.inner_steps)):
            of_step = rates_of_step(rates, step)
            d_step = d_rates[step] if d_rates.ndim == 3 else d_rates
            d_step -= (trajectory.directions[step] * outer).mean(dim=0).sum_to_size(d_step.shape)
            if pretraining_task.method.second_order:
                moved = of_step * outer if adapted is None else of_step * adapted * outer
                outer = outer - objective.hessian_products(trajectory.prompts[step], support, moved)
        after = objective.losses(trajectory.adapted, support)
        gradients = {"prompt": outer.mean(dim=0), "log_rates": rates * d_rates}
        records = task_records(episode, before=trajectory.losses[0], after=after, query=query_losses)
        median = rates.median()
        return gradients, [TaskRecord(**record, median_rate=median) for record in records]
