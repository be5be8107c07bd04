"""How much each task of an episode counts in the outer gradient."""

from __future__ import annotations

import torch
from torch import Tensor


def task_weights(by: str, query_losses: Tensor, gradients: Tensor) -> Tensor | None:
    """Weights of the tasks of an episode, which sum to 1; None where all count equally.

    Args:
        by: ``equal``; ``loss``: in proportion to the query loss, so that hard tasks count more; ``agreement``: in
            proportion to the cosine of a task's gradient with the mean of the others' directions, where that is
            positive, so that a task that pulls elsewhere counts less (in the spirit of gradient surgery, Yu et al.,
            NeurIPS 2020, arXiv 2001.06782). Equal where nothing tells them apart.
        query_losses: `[tasks]`.
        gradients: Outer gradient of each task, `[tasks, prompt_tokens, width]`.

    Returns:
        `[tasks]`, or None: a plain mean.

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
    return weights / total if total > 0 else None
