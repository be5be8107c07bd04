"""The inner loop: gradient steps on each task's support rows, all tasks of a meta-batch together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from metapt_explore.pretraining.episodes import Episode
from metapt_explore.prompts.gradients import Batch, Scorer


@dataclass(frozen=True)
class Descent:
    """What gradient descent from one start did on each task.

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


def descend(prompt: Tensor, rates: float | Tensor, batch: Batch, tasks: int, steps: int, scorer: Scorer) -> Descent:
    """Takes `steps` gradient steps from one prompt on each task.

    Args:
        prompt: Where all tasks begin, fp32 `[prompt_tokens, width]`.
        rates: Inner learning rate, or one for each number of the prompt.
        batch: Rows of all tasks; task i is group i.
        tasks: Number of tasks.
        steps: Gradient steps.
        scorer: The backbone over the rows.
    """
    prompts, gradients, losses = [prompt.expand(tasks, -1, -1)], [], []
    for _ in range(steps):
        loss, gradient = scorer.losses_and_gradients(prompts[-1], batch)
        losses.append(loss)
        gradients.append(gradient)
        prompts.append(prompts[-1] - rates * gradient)
    return Descent(prompts, gradients, losses)


def stack(rows: list[list[int]], labels: list[list[int]], readers: Sequence[int] = ()) -> Batch:
    """Lays the rows of several tasks behind one another; each task is one group, and may have a reader of its own."""
    return Batch(
        [row for part in rows for row in part],
        [group for group, part in enumerate(rows) for _ in part],
        [label for part in labels for label in part],
        [reader for reader, part in zip(readers, rows, strict=False) for _ in part],
    )


def support_and_query(episode: Episode) -> tuple[Batch, Batch]:
    """The rows of an episode's tasks, stacked."""
    readers = episode.readers
    return stack(episode.support, episode.support_labels, readers), stack(episode.query, episode.query_labels, readers)


def task_records(episode: Episode, before: Tensor, after: Tensor, query: Tensor) -> list[dict[str, float]]:
    """One record for each task: support loss before and after the inner steps, and query loss after them."""
    columns = (before.tolist(), after.tolist(), query.tolist())
    return [
        {"task": task, "support_before": b, "support_after": a, "query": q}
        for task, b, a, q in zip(episode.tasks, *columns, strict=True)
    ]
