"""How many rows a method sends through the model, so that all methods may send equally many.

A pass is one row's forward plus backward. The budget of a study is that of first-order MAML with one
inner step: `steps * meta_batch_size * (support_size + query_size)`. A method whose outer step costs
more takes fewer outer steps.
"""

from __future__ import annotations

from metapt_explore.config import MethodConfig, PretrainingConfig
from metapt_explore.prompts.passes import SECOND_ORDER_COST


def row_passes_per_step(method: MethodConfig, config: PretrainingConfig) -> float:
    """Row passes of one outer step.

    Example:
        >>> config = PretrainingConfig(meta_batch_size=4, support_size=8, query_size=8)
        >>> method = MethodConfig(name="MetaPT", kind="metapt", clustering="kmeans", inner_steps=3)
        >>> row_passes_per_step(method, config)
        128.0
    """
    support, query = config.support_size, config.query_size
    if method.kind != "metapt":
        return float(config.meta_batch_size * (support + query))
    per_inner_step = support * (1 + (SECOND_ORDER_COST if method.order == "exact" else 0))
    return float(config.meta_batch_size * (method.inner_steps * per_inner_step + query))


def budget(config: PretrainingConfig) -> int:
    """Row passes that every method may spend."""
    return config.steps * config.meta_batch_size * (config.support_size + config.query_size)


def outer_steps(method: MethodConfig, config: PretrainingConfig) -> int:
    """Outer steps that spend the budget; at least one."""
    return max(1, round(budget(config) / row_passes_per_step(method, config)))
