"""Results tables made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd


def table(
    scores: dict[str, np.ndarray], pairs: list[tuple[int, int]], tasks: list[str], **more: object
) -> pd.DataFrame:
    """Scores of each method, `[units, tasks]`, as `results_table` lays them out."""
    rows = [
        {"method": method, "task": task, "init_seed": init, "data_seed": data, "accuracy": values[u, t], **more}
        for method, values in scores.items()
        for u, (init, data) in enumerate(pairs)
        for t, task in enumerate(tasks)
    ]
    return pd.DataFrame(rows)


def crossed(inits: int, data: int) -> list[tuple[int, int]]:
    return [(i, d) for i in range(inits) for d in range(data)]
