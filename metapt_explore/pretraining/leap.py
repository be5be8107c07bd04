"""Leap: shorten the way that tasks' own training has to go (Flennerhag et al., ICLR 2019, arXiv 1812.01054)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from metapt_explore.config import LeapMethod
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.inner_loop import adapt, support_and_query, task_records
from metapt_explore.pretraining.learner import TaskRecord
from metapt_explore.pretraining.reptile import TrajectoryLearner

#: A step shorter than this has no direction.
SHORTEST = 1e-12


class Leap(TrajectoryLearner):
    """Inner steps on support rows and a last one on the query rows, as Reptile; how far each lowers the loss counts.

    A task's way is a chain of points `(prompt, loss)`. Leap moves the start so that each point comes nearer to the next
    one, which is held fixed (the pull-forward objective). The loss of a step is taken on the rows of that step before
    and after it: they are sent forward once more for that, and counted (`FORWARD_COST`).
    """

    def gradient(
        self, parameters: Mapping[str, Tensor], episode: Episode, objective: PromptObjective
    ) -> tuple[dict[str, Tensor], list[TaskRecord]]:
        """Mean over tasks and steps of the pull-forward gradient."""
        support, query = self.support_of_steps(episode), support_and_query(episode)[1]
        prompt, tasks = parameters["prompt"], len(episode.tasks)
        method, rate = self.pretraining_task.method, self.pretraining_task.inner_lr
        assert isinstance(method, LeapMethod)
        trajectory = adapt(
            prompt, rate, support, episode_tasks=tasks, pretraining_task=self.pretraining_task, objective=objective
        )
        query_losses, last = objective.losses_and_gradients(trajectory.adapted, query)
        end = trajectory.adapted - rate * trajectory.optimiser.direction(last)
        prompts, before = [*trajectory.prompts, end], [*trajectory.losses, query_losses]
        changes = []
        for step, batch in enumerate([*support, query]):
            if step + 1 < len(support) and support[step + 1] is batch:  # the next step knows it
                changes.append(before[step + 1] - before[step])
            else:
                changes.append(objective.losses(prompts[step + 1], batch, for_gradient=True) - before[step])
        by_length = method.path == "length"
        pull = pull_forward(prompts, [*trajectory.gradients, last], changes, by_length=by_length)
        after = objective.losses(trajectory.adapted, support[0])
        return {"prompt": pull.mean(dim=0)}, task_records(episode, before=before[0], after=after, query=query_losses)


def pull_forward(
    prompts: Sequence[Tensor], gradients: Sequence[Tensor], loss_changes: Sequence[Tensor], *, by_length: bool
) -> Tensor:
    """Gradient of the pull-forward objective with respect to the start, the mean over steps.

    The way of step `i` is `(p', f(p')) - (p, f(p))`; with `p'` and `f(p')` fixed, half its squared length has the
    gradient `-(p' - p) - (f(p') - f(p)) g(p)` at `p`, which counts as that at the start (the paper's approximation:
    steps hardly turn a small change of the start). Where a step made the loss larger, the sign of the change is turned,
    so that the gradient never climbs (the paper's stabiliser).

    Args:
        prompts: Before each step and after the last, each `[tasks, prompt_tokens, width]`.
        gradients: Of each step's loss before it, the same shape.
        loss_changes: Of each step's loss, on the same rows before and after it, each `[tasks]`.
        by_length: Whether the length of the way is shortened, so that each step counts by its direction; else its
            energy, half the squared length, where long steps count more.

    Returns:
        `[tasks, prompt_tokens, width]`.

    Example:
        One step of 0.5 along a gradient of 1, which lowers the loss by 2: the energy's gradient is 0.5 + 2.

        >>> prompts, gradient = [torch.zeros(1, 1, 1), torch.full((1, 1, 1), -0.5)], torch.ones(1, 1, 1)
        >>> pull_forward(prompts, [gradient], [torch.tensor([-2.0])], by_length=False).item()
        2.5
    """
    total = torch.zeros_like(gradients[0])
    for before, later, gradient, change in zip(prompts, prompts[1:], gradients, loss_changes, strict=False):
        way, fall = later - before, change.abs()
        pull = fall[:, None, None] * gradient - way
        if by_length:
            length = (way.flatten(1).square().sum(dim=1) + fall.square()).sqrt().clamp(min=SHORTEST)
            pull = pull / length[:, None, None]
        total += pull
    return total / len(gradients)
