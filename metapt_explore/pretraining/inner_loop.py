"""The inner loop: gradient steps on each task's support rows, all tasks of a meta-batch together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.learner import TaskRecord


@dataclass(frozen=True)
class Adaptation:
    """What gradient descent from one prompt did on each task.

    Attributes:
        prompts: Prompts before each step and after the last, each `[tasks, prompt_tokens, width]`.
        gradients: Gradient of each step, the same shape.
        losses: Support losses before each step, each `[tasks]`.
    """

    prompts: list[Tensor]
    gradients: list[Tensor]
    losses: list[Tensor]

    @property
    def adapted(self) -> Tensor:
        """The prompts after the last step."""
        return self.prompts[-1]


def adapt(
    prompt: Tensor, rates: float | Tensor, batch: Batch, *, tasks: int, steps: int, objective: PromptObjective
) -> Adaptation:
    """Takes `steps` gradient steps from one prompt on each task.

    Args:
        prompt: Where all tasks begin, fp32 `[prompt_tokens, width]`.
        rates: Inner learning rate, or one for each number of the prompt.
        batch: Rows of all tasks; task i is group i.
        tasks: Number of tasks.
        steps: Gradient steps.
        objective: The backbone over the rows.
    """
    prompts, gradients, losses = [prompt.expand(tasks, -1, -1)], [], []
    for _ in range(steps):
        loss, gradient = objective.losses_and_gradients(prompts[-1], batch)
        losses.append(loss)
        gradients.append(gradient)
        prompts.append(prompts[-1] - rates * gradient)
    return Adaptation(prompts, gradients, losses)


def stack(rows: list[list[int]], labels: list[list[int]], patterns: Sequence[int] = ()) -> Batch:
    """One batch of the rows of several tasks; each task is a group and may have its own pattern."""
    return Batch(
        [row for part in rows for row in part],
        [group for group, part in enumerate(rows) for _ in part],
        [label for part in labels for label in part],
        [pattern for pattern, part in zip(patterns, rows, strict=False) for _ in part],
    )


def support_and_query(episode: Episode) -> tuple[Batch, Batch]:
    """Support and query rows of an episode, each as one batch."""
    patterns = episode.patterns
    return stack(episode.support, episode.support_labels, patterns), stack(
        episode.query, episode.query_labels, patterns
    )


def task_records(episode: Episode, *, before: Tensor, after: Tensor, query: Tensor) -> list[TaskRecord]:
    """One record for each task: support loss before and after the inner steps, and query loss after them."""
    columns = (before.tolist(), after.tolist(), query.tolist())
    return [
        TaskRecord(task=task, support_before=b, support_after=a, query=q)
        for task, b, a, q in zip(episode.tasks, *columns, strict=True)
    ]
