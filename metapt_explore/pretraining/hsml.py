"""HSML, simplified: a gate over families of starts gives each task a start of its own.

Hierarchically structured meta-learning (Yao, Wei, Huang and Li, ICML 2019, arXiv 1905.05301) embeds a task's support
rows, assigns it softly to learned clusters in levels, and tailors the start by gates that depend on the assignment.
Here there is one level and no embedding: families are learned offsets from a common prompt, and the gate is softmax of
minus the support loss at each family's start, over a temperature. The same gate chooses downstream
(`fewshot/mixture.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from metapt_explore.config.learners import HSMLMethod
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.gate import gate_weights, losses_at_starts, mixed, offset_name
from metapt_explore.pretraining.inner_loop import adapt, support_and_query, task_records
from metapt_explore.pretraining.learner import TaskLearner, TaskRecord
from metapt_explore.seeds import torch_stream

#: Families begin apart by noise of this share of the initial prompt's own spread: equal ones would stay equal.
NOISE = 0.1


class HSML(TaskLearner):
    """First-order MAML from the mixture of families that each task's support rows choose.

    The weights are taken as constants: the gradient reaches a family in proportion to its weight, so that each becomes
    the start of the tasks that choose it (as in expectation maximisation), and does not flow through the gate.
    """

    def parameters(self, initial_prompt: Tensor) -> dict[str, Tensor]:
        """The common prompt, and the offset of each family."""
        task, method = self.pretraining_task, self.pretraining_task.method
        assert isinstance(method, HSMLMethod)
        generator = torch_stream(task.seed, "families", task.init_seed)
        noise = torch.randn(method.families, *initial_prompt.shape, generator=generator)
        offsets = NOISE * initial_prompt.std() * noise.to(initial_prompt)
        return {"prompt": initial_prompt, **{offset_name(family): each for family, each in enumerate(offsets)}}

    def gradient(
        self, parameters: Mapping[str, Tensor], episode: Episode, objective: PromptObjective
    ) -> tuple[dict[str, Tensor], list[TaskRecord]]:
        """Mean over tasks of the query gradient after the inner steps; a family's by its weight in each task."""
        support, query = support_and_query(episode)
        prompt, tasks = parameters["prompt"], len(episode.tasks)
        task, method = self.pretraining_task, self.pretraining_task.method
        assert isinstance(method, HSMLMethod)
        offsets = torch.stack([parameters[offset_name(family)] for family in range(method.families)])
        weights = gate_weights(losses_at_starts(prompt, offsets, support, objective), method.temperature)
        trajectory = adapt(
            mixed(prompt, offsets, weights),
            task.inner_lr,
            support,
            episode_tasks=tasks,
            pretraining_task=task,
            objective=objective,
        )
        query_losses, outer = objective.losses_and_gradients(trajectory.adapted, query)
        after = objective.losses(trajectory.adapted, support)
        of_families = torch.einsum("ts,tpw->spw", weights, outer) / tasks
        gradients = {offset_name(family): each for family, each in enumerate(of_families)}
        records = task_records(episode, before=trajectory.losses[0], after=after, query=query_losses)
        return {"prompt": outer.mean(dim=0), **gradients}, records
