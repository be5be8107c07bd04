"""A prompt for each cluster, pre-trained side by side; few-shot rows choose a mixture of them downstream.

One prompt a source task, of which the target takes the nearest, is SPoT (Vu et al., ACL 2022, arXiv 2110.07904); a
mixture of them is ATTEMPT (Asai et al., EMNLP 2022, arXiv 2205.11961). Theirs are trained apart, on a whole data set
each. A cluster has few rows, so each prompt here is a common one plus an offset of its own, learned together
(regularised multi-task learning, Evgeniou and Pontil, KDD 2004): the common prompt learns from every row, and a cluster
that is seldom drawn stays near it. The choice downstream is `fewshot/mixture.py`; ATTEMPT's attention over prompts is
not built.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.gate import offset_name
from metapt_explore.pretraining.inner_loop import support_and_query
from metapt_explore.pretraining.learner import TaskLearner, TaskRecord


class PromptPerCluster(TaskLearner):
    """Lowers the loss of each task's rows at the task's own prompt; without inner steps, as pooled pre-training."""

    def parameters(self, initial_prompt: Tensor) -> dict[str, Tensor]:
        """The common prompt, and an offset for each task, which begins at zero."""
        tasks = sorted(self.pretraining_task.tasks)
        return {"prompt": initial_prompt, **{offset_name(task): torch.zeros_like(initial_prompt) for task in tasks}}

    def gradient(
        self, parameters: Mapping[str, Tensor], episode: Episode, objective: PromptObjective
    ) -> tuple[dict[str, Tensor], list[TaskRecord]]:
        """Gradient of the mean loss over tasks for the common prompt, and of its own loss for each task's offset."""
        support, query = support_and_query(episode)
        batch = Batch(
            [*support.rows, *query.rows],
            [*support.groups, *query.groups],
            [*support.labels, *query.labels],
            [*support.patterns, *query.patterns],
        )
        starts = torch.stack([parameters["prompt"] + parameters[offset_name(task)] for task in episode.tasks])
        losses, gradients = objective.losses_and_gradients(starts, batch)
        outer = {"prompt": gradients.mean(dim=0)}
        for task in dict.fromkeys(episode.tasks):
            # With fewer tasks than places in an episode, one stands there more than once.
            places = [place for place, drawn in enumerate(episode.tasks) if drawn == task]
            outer[offset_name(task)] = torch.stack([gradients[place] for place in places]).mean(dim=0)
        records = [TaskRecord(task=task, loss=loss) for task, loss in zip(episode.tasks, losses.unbind(), strict=True)]
        return outer, records
