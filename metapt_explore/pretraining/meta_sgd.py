"""Meta-SGD: the inner learning rates are meta-learned with the prompt (Li et al., 2017, arXiv 1707.09835)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.inner_loop import adapt, support_and_query, task_records
from metapt_explore.pretraining.learner import TaskLearner


class MetaSGD(TaskLearner):
    """MAML with one inner rate for each number of the prompt.

    Rates are learned as logarithms: they stay positive, and the outer optimiser changes them by a share
    of themselves (the paper learns them as they are, and they may turn negative).
    """

    def parameters(self, start: Tensor) -> dict[str, Tensor]:
        """The prompt, and the logarithm of its inner rates, which begin at `inner_lr`."""
        return {"prompt": start, "log_rates": torch.full_like(start, math.log(self.pretraining_task.inner_lr))}

    def gradient(
        self, parameters: Mapping[str, Tensor], episode: Episode, objective: PromptObjective
    ) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        """Gradients of prompt and rates; with one inner step those of the rates are exact in either order."""
        support, query = support_and_query(episode)
        method, rates = self.pretraining_task.method, parameters["log_rates"].exp()
        path = adapt(parameters["prompt"], rates, support, len(episode.tasks), method.inner_steps, objective)
        query_losses, outer = objective.losses_and_gradients(path.adapted, query)
        d_rates = torch.zeros_like(rates)
        for prompts, inner in zip(reversed(path.prompts[:-1]), reversed(path.gradients), strict=True):
            d_rates -= (inner * outer).mean(dim=0)
            if method.order == "exact":
                outer = outer - objective.hessian_products(prompts, support, rates * outer)
        after = objective.losses(path.adapted, support)
        gradients = {"prompt": outer.mean(dim=0), "log_rates": rates * d_rates}
        records = task_records(episode, path.losses[0], after, query_losses)
        median = float(rates.median())
        return gradients, [{**record, "median_rate": median} for record in records]
