"""The inner loop: steps on each task's support rows, all tasks of a meta-batch together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metapt_explore.config.pretraining import InnerOptimiser
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.learner import PretrainingTask, TaskRecord
from metapt_explore.pretraining.state import CLIP_NORM

#: Adam's own numbers, as `torch.optim.Adam` has them.
MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8


class InnerSteps:
    """Turns gradients into the directions of inner steps, each task by itself; the state begins anew in each episode.

    `adam` is what few-shot tuning is (`TrainingState`): each task's gradient is clipped, moments are corrected for
    their bias (Kingma and Ba, ICLR 2015, arXiv 1412.6980). Derivatives do not go through the moments: first order.

    Args:
        optimiser: ``gradient``: the direction is the gradient; or ``adam``.
        adapted: 1 for vectors that move and 0 for the others, `[prompt_tokens, 1]`; all move when absent. The norm
            that is clipped is that of what moves.

    Example:
        >>> InnerSteps("adam").direction(torch.full((1, 1, 2), 0.5)).tolist()
        [[[1.0, 1.0]]]
    """

    def __init__(self, optimiser: InnerOptimiser, adapted: Tensor | None = None) -> None:
        self._adam, self._adapted = optimiser == "adam", adapted
        self._moments: tuple[Tensor, Tensor] | None = None
        self._steps = 0

    def direction(self, gradient: Tensor) -> Tensor:
        """The direction of the next step, by which the rate is multiplied.

        Args:
            gradient: `[tasks, prompt_tokens, width]`.
        """
        if self._adapted is not None:
            gradient = gradient * self._adapted
        if not self._adam:
            return gradient
        norms = gradient.flatten(1).norm(dim=1)[:, None, None]
        clipped = gradient * (CLIP_NORM / (norms + 1e-6)).clamp(max=1.0)
        mean, square = self._moments or (torch.zeros_like(clipped), torch.zeros_like(clipped))
        mean, square = torch.lerp(mean, clipped, 1 - MEAN_DECAY), torch.lerp(square, clipped**2, 1 - SQUARE_DECAY)
        self._moments, self._steps = (mean, square), self._steps + 1
        corrected = (square / (1 - SQUARE_DECAY**self._steps)).sqrt()
        return mean / (1 - MEAN_DECAY**self._steps) / (corrected + EPSILON)


@dataclass(frozen=True)
class Adaptation:
    """What inner steps from one prompt did on each task.

    Attributes:
        prompts: Prompts before each step and after the last, each `[tasks, prompt_tokens, width]`.
        gradients: Gradient of each step, the same shape.
        directions: What the rate of each step was multiplied by: the gradient, or Adam's direction.
        losses: Support losses before each step, each `[tasks]`.
        optimiser: The optimiser after the last step, for a method that goes on.
    """

    prompts: list[Tensor]
    gradients: list[Tensor]
    directions: list[Tensor]
    losses: list[Tensor]
    optimiser: InnerSteps

    @property
    def adapted(self) -> Tensor:
        """The prompts after the last step."""
        return self.prompts[-1]


def adapt(
    prompt: Tensor,
    rates: float | Tensor,
    support: Batch | Sequence[Batch],
    *,
    episode_tasks: int,
    pretraining_task: PretrainingTask,
    objective: PromptObjective,
) -> Adaptation:
    """Takes a method's inner steps from one prompt on each task.

    Args:
        prompt: Where all tasks begin, fp32 `[prompt_tokens, width]`; or where each does, stacked by task.
        rates: Inner learning rate, or one for each number or vector of the prompt; with a third dimension in front for
            each step.
        support: Rows of all tasks, for all steps or of each step; task i is group i.
        episode_tasks: Number of tasks.
        pretraining_task: Says how many steps, by which optimiser.
        objective: The backbone over the rows.
    """
    optimiser = InnerSteps(pretraining_task.inner_optimiser, pretraining_task.adapted_vectors(prompt))
    prompts, gradients, directions, losses = [prompt.expand(episode_tasks, -1, -1)], [], [], []
    batches = [support] * pretraining_task.inner_steps if isinstance(support, Batch) else support
    for step, batch in enumerate(batches):
        loss, gradient = objective.losses_and_gradients(prompts[-1], batch)
        losses.append(loss)
        gradients.append(gradient)
        directions.append(optimiser.direction(gradient))
        prompts.append(prompts[-1] - rates_of_step(rates, step) * directions[-1])
    return Adaptation(prompts, gradients, directions, losses, optimiser)


def rates_of_step(rates: float | Tensor, step: int) -> float | Tensor:
    """The rates of one inner step, where each has its own; else the rates."""
    return rates[step] if isinstance(rates, Tensor) and rates.ndim == 3 else rates


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


def support_of_steps(episode: Episode, steps: int) -> list[Batch]:
    """Support rows of an episode in as many equal parts as there are inner steps.

    Example:
        >>> drawn = Episode([0], [[1, 2, 3, 4]], [[9]], [[0, 1, 0, 1]], [[0]])
        >>> [(batch.rows, batch.labels) for batch in support_of_steps(drawn, 2)]
        [([1, 2], [0, 1]), ([3, 4], [0, 1])]
    """

    def part(drawn: list[int], step: int) -> list[int]:
        size = len(drawn) // steps
        return drawn[step * size : (step + 1) * size]

    rows = [[part(drawn, step) for drawn in episode.support] for step in range(steps)]
    labels = [[part(drawn, step) for drawn in episode.support_labels] for step in range(steps)]
    return [stack(*of_step, episode.patterns) for of_step in zip(rows, labels, strict=True)]


def task_records(episode: Episode, *, before: Tensor, after: Tensor, query: Tensor) -> list[TaskRecord]:
    """One record for each task: support loss before and after the inner steps, and query loss after them."""
    columns = (before.unbind(), after.unbind(), query.unbind())
    return [
        TaskRecord(task=task, support_before=b, support_after=a, query=q)
        for task, b, a, q in zip(episode.tasks, *columns, strict=True)
    ]
