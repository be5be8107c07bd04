"""What curves of tuning are drawn from."""

from __future__ import annotations

import pandas as pd


def drawn_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Test scores after each scored step, every pair of seeds at every step.

    A chosen learning rate that dropped out on the way (`evaluation.halving_steps`) has no later scores; it keeps its
    last one, as the prompt that was kept does, so that means at all steps are over the same pairs.

    Args:
        curves: What `curves_table` returned.

    Returns:
        Columns method, task, init_seed, data_seed, step, test_accuracy.
    """
    unit = ["method", "task", "init_seed", "data_seed"]
    if "test_accuracy" not in curves:
        return pd.DataFrame(columns=[*unit, "step", "test_accuracy"])
    wide = curves.dropna(subset=["test_accuracy"]).pivot_table(
        index=unit, columns="step", values="test_accuracy", sort=False
    )
    # Methods that tune for longer (`extra_tuning`) have steps of their own.
    frames = [
        own.dropna(axis="columns", how="all").sort_index(axis="columns").ffill(axis="columns").stack()
        for _, own in wide.groupby(level="method", sort=False)
    ]
    return pd.concat(frames).rename("test_accuracy").reset_index() if frames else pd.DataFrame(columns=[*unit, "step"])
