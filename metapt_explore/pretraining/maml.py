"""MetaPT with first-order MAML over the prompt.

MetaPT (Huang, Qian, Yu, arXiv 2205.12471) meta-learns the prompt over clusters of the pre-training
text: for each task one temporary gradient step on support rows, then the prompt is updated by the
losses on query rows at the adapted prompts. First order (Finn et al., ICML 2017, arXiv 1703.03400)
takes the query gradient at the adapted prompt as the gradient of the start. Which order the paper
used is not known to us.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from metapt_explore.pretraining.episodes import Episode, draw_episode
from metapt_explore.pretraining.learner import Setting
from metapt_explore.prompts.gradients import Batch, Scorer


class FirstOrderMAML:
    """All tasks of a meta-batch are adapted and scored together, each as one group of stacked prompts."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def draw(self, step: int) -> Episode:
        """Draws tasks, support and query rows."""
        setting = self.setting
        return draw_episode(setting.tasks, setting.config, setting.seed, setting.init_seed, step)

    def gradient(self, prompt: Tensor, episode: Episode, scorer: Scorer) -> tuple[Tensor, list[dict[str, Any]]]:
        """Mean over tasks of the query gradient at each task's adapted prompt."""
        support = stack(episode.support, episode.support_labels)
        query = stack(episode.query, episode.query_labels)
        start = prompt.expand(len(episode.tasks), -1, -1)
        before, inner = scorer.losses_and_gradients(start, support)
        adapted = start - self.setting.config.inner_lr * inner
        query_losses, outer = scorer.losses_and_gradients(adapted, query)
        after = scorer.losses(adapted, support)
        records = [
            {
                "task": task,
                "support_before": float(before[index]),
                "support_after": float(after[index]),
                "query": float(query_losses[index]),
            }
            for index, task in enumerate(episode.tasks)
        ]
        return outer.mean(dim=0), records


def stack(rows: list[list[int]], labels: list[list[int]]) -> Batch:
    """Lays the rows of several tasks behind one another; each task is one group."""
    return Batch(
        [row for part in rows for row in part],
        [group for group, part in enumerate(rows) for _ in part],
        [label for part in labels for label in part],
    )
