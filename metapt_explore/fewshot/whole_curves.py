"""Curves of tuning without gaps; imports nothing heavy."""

from __future__ import annotations

import pandas as pd


def whole_curves(curves: pd.DataFrame, metric: str = "test_accuracy") -> pd.DataFrame:
    """Scores after each scored step, every pair of seeds at every step.

    A chosen learning rate that dropped out on the way (`evaluation.halving_steps`) has no later scores; it keeps its
    last one, as the prompt that was kept does, so that means at all steps are over the same pairs.

    Args:
        curves: What `curves_table` returned; rows without a test score are of learning rates that were not chosen.
        metric: The score.

    Returns:
        Columns method, task, init_seed, data_seed, step and the metric.

    Example:
        >>> unit = {"method": "PT", "task": "trec", "init_seed": 0}
        >>> scores = [(13, 0, 0.2), (13, 5, 0.4), (21, 0, 0.1), (21, 5, 0.3), (21, 10, 0.5)]
        >>> curves = pd.DataFrame([{**unit, "data_seed": d, "step": s, "test_accuracy": a} for d, s, a in scores])
        >>> whole_curves(curves)["test_accuracy"].tolist()
        [0.2, 0.4, 0.4, 0.1, 0.3, 0.5]
    """
    unit = ["method", "task", "init_seed", "data_seed"]
    if metric not in curves:
        return pd.DataFrame(columns=[*unit, "step", metric])
    wide = curves.dropna(subset=[metric]).pivot_table(index=unit, columns="step", values=metric, sort=False)
    # Methods that tune for longer (`extra_tuning`) have steps of their own.
    frames = [
        own.dropna(axis="columns", how="all").sort_index(axis="columns").ffill(axis="columns").stack()
        for _, own in wide.groupby(level="method", sort=False)
    ]
    return pd.concat(frames).rename(metric).reset_index() if frames else pd.DataFrame(columns=[*unit, "step"])
