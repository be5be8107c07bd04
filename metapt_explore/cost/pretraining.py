"""Rows that pre-training sends through the model."""

from __future__ import annotations

from metapt_explore.config import MetaPTMethod, MethodConfig, PretrainingConfig
from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.pretraining.budget import outer_steps


def pretraining_work(method: MethodConfig, sizes: PretrainingConfig, reckoning: Reckoning, key: str) -> Work:
    """Work of a whole pre-training.

    Args:
        method: The method.
        sizes: Steps, and rows of a step.
        reckoning: What is counted by; knows the texts.
        key: What the pre-training is called: texts that it alone draws are encoded for it.
    """
    rows, steps, episode = reckoning.text_rows, outer_steps(method, sizes), episode_work(method, sizes)
    support = method.support_rows_per_task(sizes) if isinstance(method, MetaPTMethod) else sizes.support_size
    drawn = min(rows, steps * sizes.meta_batch_size * (support + sizes.query_size))
    # Where most texts are drawn anyway, all methods share one bank of them.
    whole = 2 * drawn > rows
    encoded = reckoning.encoded("texts" if whole else key, rows if whole else drawn)
    return Work(steps * episode.trained, steps * episode.hessian, steps * episode.scored, encoded)


def episode_work(method: MethodConfig, sizes: PretrainingConfig) -> Work:
    """One outer step."""
    tasks, support, query = sizes.meta_batch_size, sizes.support_size, sizes.query_size
    if not isinstance(method, MetaPTMethod):
        return Work(trained=tasks * (support + query))
    inner = tasks * method.inner_steps * support
    # Every method looks at support rows after the inner steps; one whose gradient needs that looks once.
    forward = tasks * max(support, method.forward_rows_per_task(sizes))
    return Work(inner + tasks * query, inner if method.second_order else 0, forward)
