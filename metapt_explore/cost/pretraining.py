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
        key: What the draws are called: texts that they alone hold are encoded for them.
    """
    steps, episode = outer_steps(method, sizes), episode_work(method, sizes)
    support = method.support_rows_per_task(sizes) if isinstance(method, MetaPTMethod) else sizes.support_size
    drawn = steps * sizes.meta_batch_size * (support + sizes.query_size)
    encoded = _encoded_tokens(drawn, reckoning, key)
    return Work(steps * episode.trained, steps * episode.hessian, steps * episode.scored, encoded)


def _encoded_tokens(drawn: int, reckoning: Reckoning, key: str) -> int:
    """Tokens of the texts, and of the rows that formats made of them, among so many draws."""
    together: dict[str, float] = {}
    for each in reckoning.row_sets:
        together[each.name] = together.get(each.name, 0.0) + each.share
    tokens = 0
    for name, (rows, length) in {each.name: (each.rows, each.tokens) for each in reckoning.row_sets}.items():
        of_set = min(rows, round(together[name] * drawn))
        # Where most rows of a set are drawn anyway, all methods share one bank of them.
        whole = 2 * of_set > rows
        tokens += reckoning.encoded(name if whole else (key, name, of_set), rows if whole else of_set, length)
    return tokens


def episode_work(method: MethodConfig, sizes: PretrainingConfig) -> Work:
    """One outer step."""
    tasks, support, query = sizes.meta_batch_size, sizes.support_size, sizes.query_size
    if not isinstance(method, MetaPTMethod):
        return Work(trained=tasks * (support + query))
    inner = tasks * method.inner_steps * support
    # Every method looks at support rows after the inner steps; one whose gradient needs that looks once.
    forward = tasks * max(support, method.forward_rows_per_task(sizes))
    return Work(inner + tasks * query, inner if method.second_order else 0, forward)
