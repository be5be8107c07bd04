"""Which method scores highest, in one sentence that does not make more of it than there is."""

from __future__ import annotations

import pandas as pd

from metapt_explore.statistics.matrix import MEAN


def leader_sentence(matrix: pd.DataFrame, rows: str = "test") -> str:
    """Says who leads in the mean over tasks, by how much, and that leading is not yet being better.

    Args:
        matrix: What `statistics.matrix.score_matrix` returned.
        rows: What scores are on.

    Example:
        >>> cells = [("PT", "a", 2, 0.5, 0.4, 0.6), ("PPT", "a", 2, 0.6, 0.5, 0.7)]
        >>> cells += [(method, MEAN, *rest) for method, _, *rest in cells]
        >>> matrix = pd.DataFrame(cells, columns=["method", "task", "pairs", "mean", "low", "high"])
        >>> print(leader_sentence(matrix))
        PPT scores highest on a: 60.0 % on test (95 % interval 50.0 to 70.0, 2 pairs of seeds), 10.0 points above the \
next, PT. Whether that is more than luck is what Compare says.
    """
    tasks = [str(task) for task in dict.fromkeys(matrix["task"]) if task != MEAN]
    where = f"on {tasks[0]}" if len(tasks) == 1 else f"in the mean over {len(tasks)} tasks"
    means = matrix[(matrix["task"] == MEAN) & matrix["mean"].notna()].sort_values(
        "mean", ascending=False, kind="stable"
    )
    if means.empty:
        return "No method has a pair of seeds with every task yet: the table of methods and tasks shows what is there."
    first = means.iloc[0]
    pairs = f"{int(first['pairs'])} pair{'s' if first['pairs'] != 1 else ''} of seeds"
    interval = "" if pd.isna(first["low"]) else f"95 % interval {100 * first['low']:.1f} to {100 * first['high']:.1f}, "
    sentence = f"{first['method']} scores highest {where}: {100 * first['mean']:.1f} % on {rows} ({interval}{pairs})"
    if len(means) == 1:
        return f"{sentence}; no other method has every task yet."
    second = means.iloc[1]
    gap = 100 * (first["mean"] - second["mean"])
    # What is written with the same digits is level, as far as the sentence goes.
    level = [str(name) for name in means["method"].iloc[1:][means["mean"].iloc[1:] > first["mean"] - 5e-4]]
    told = f"level with {', '.join(level)}" if level else f"{gap:.1f} points above the next, {second['method']}"
    return f"{sentence}, {told}. Whether that is more than luck is what Compare says."
