"""MetaPT with MAML over the prompt, first-order or exact.

MetaPT (Huang, Qian, Yu, arXiv 2205.12471) meta-learns the prompt over clusters of the pre-training
text: for each task one temporary gradient step on support rows, then the prompt is updated by the
losses on query rows at the adapted prompts. MAML (Finn et al., ICML 2017, arXiv 1703.03400)
differentiates that through the inner steps; its first-order form takes the query gradient at the
adapted prompt as the gradient of the start. Which of the two the MetaPT paper used is not known to us.

`adapted` leaves the first vectors as they are in the inner steps: they are shared by all tasks, as the layers below the
last one in ANIL (Raghu et al., ICLR 2020, arXiv 1909.09157) and all but the context in CAVIA (Zintgraf et al.,
ICML 2019, arXiv 1810.03642). The start of the adapted ones is learned, too, as in ANIL; in CAVIA it is zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from metapt_explore.config import MAMLMethod
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.inner_loop import Adaptation, adapt, support_and_query, task_records
from metapt_explore.pretraining.learner import TaskLearner, TaskRecord


class MAML(TaskLearner):
    """All tasks of a meta-batch are adapted and scored together, each as one group of stacked prompts."""

    def gradient(
        self, parameters: Mapping[str, Tensor], episode: Episode, objective: PromptObjective
    ) -> tuple[dict[str, Tensor], list[TaskRecord]]:
        """Mean over tasks of the gradient of the query loss after the inner steps.

        `pooled_weight` is the share of the gradient of the support loss before the inner steps: the pooled objective's
        gradient on the same rows, which is known already.
        """
        support, query = support_and_query(episode)
        prompt, tasks = parameters["prompt"], len(episode.tasks)
        method, rate = self.pretraining_task.method, self.pretraining_task.inner_lr
        assert isinstance(method, MAMLMethod)
        trajectory = adapt(
            prompt, rate, support, episode_tasks=tasks, pretraining_task=self.pretraining_task, objective=objective
        )
        query_losses, outer = objective.losses_and_gradients(trajectory.adapted, query)
        if method.second_order:
            adapted = self.pretraining_task.adapted_vectors(prompt)
            rates = rate if adapted is None else rate * adapted
            outer = through_steps(outer, trajectory, rates, support=support, objective=objective)
        after = objective.losses(trajectory.adapted, support)
        weights = task_weights(method.task_weights, query_losses, outer)
        if method.pooled_weight:
            outer = torch.lerp(outer, trajectory.gradients[0], method.pooled_weight)
        mean = outer.mean(dim=0)
        if weights is not None:
            mean = torch.where(weights.any(), torch.einsum("t,tpw->pw", weights, outer), mean)
        return {"prompt": mean}, task_records(episode, before=trajectory.losses[0], after=after, query=query_losses)


def through_steps(
    outer: Tensor, trajectory: Adaptation, rates: float | Tensor, *, support: Batch, objective: PromptObjective
) -> Tensor:
    """Carries gradients at the adapted prompts back through the inner steps, exactly.

    A step `p' = p - rates * g(p)` has the derivative `I - diag(rates) H(p)`; each step therefore needs one
    product with the Hessian of the support loss. Only the prompts between the steps are stored, so memory hardly grows
    with the number of steps, unlike with one graph over all of them.

    Args:
        outer: Gradient at the adapted prompts, `[tasks, prompt_tokens, width]`.
        trajectory: The inner steps.
        rates: Inner learning rates.
        support: The rows they were taken on.
        objective: The backbone over the rows.

    Returns:
        The gradient at the start of each task, the shape of `outer`.
    """
    for prompts in reversed(trajectory.prompts[:-1]):
        outer = outer - objective.hessian_products(prompts, support, rates * outer)
    return outer


def task_weights(by: str, query_losses: Tensor, gradients: Tensor) -> Tensor | None:
    """Weights of the tasks of an episode, which sum to 1; None, or all of them 0, where tasks count equally.

    Args:
        by: ``equal``; ``loss``: in proportion to the query loss, so that hard tasks count more; ``agreement``: in
            proportion to the cosine of a task's gradient with the mean of the others' directions, where that is
            positive, so that a task that pulls elsewhere counts less (in the spirit of gradient surgery, Yu et al.,
            NeurIPS 2020, arXiv 2001.06782). Zeros where nothing tells them apart.
        query_losses: `[tasks]`.
        gradients: Outer gradient of each task, `[tasks, prompt_tokens, width]`.

    Returns:
        `[tasks]`, or None. Nobody looks at them before the gradient is weighed: that would wait for a card.

    Example:
        >>> task_weights("loss", torch.tensor([1.0, 3.0]), torch.zeros(2, 1, 4)).tolist()
        [0.25, 0.75]
    """
    if by == "equal":
        return None
    weights = query_losses.clamp(min=0.0)
    if by == "agreement":
        directions = torch.nn.functional.normalize(gradients.flatten(1), dim=1)
        others = directions.sum(dim=0) - directions
        weights = torch.nn.functional.cosine_similarity(directions, others, dim=1).clamp(min=0.0)
    total = weights.sum()
    return torch.where(total > 0, weights / total, torch.zeros_like(weights))
