"""Results tables drawn from known distributions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

COLUMNS = ["method", "task", "data_seed", "init_seed", "accuracy"]


def pairs_of(design: str, inits: int, datas: int) -> list[tuple[int, int]]:
    if design == "paired":
        assert inits == datas
        return [(seed, 100 + seed) for seed in range(inits)]
    return [(init, 100 + data) for init in range(inits) for data in range(datas)]


def simulated(
    rng: np.random.Generator,
    design: str = "paired",
    inits: int = 12,
    datas: int = 12,
    gain: float = 0.0,
    sd_init: float = 0.02,
    sd_data: float = 0.02,
    sd_rest: float = 0.02,
    tasks: Sequence[str] = ("mr", "subj"),
) -> pd.DataFrame:
    """A and B: same distribution, but for `gain` of A. Seeds bring effects of their own to each method."""
    rows = []
    for method, extra in (("A", gain), ("B", 0.0)):
        by_init = rng.normal(0, sd_init, inits)
        by_data = rng.normal(0, sd_data, max(datas, inits))
        for init, data in pairs_of(design, inits, datas):
            for task in tasks:
                score = 0.6 + extra + by_init[init] + by_data[data - 100] + rng.normal(0, sd_rest)
                rows.append((method, task, data, init, float(np.clip(score, 0, 1))))
    return pd.DataFrame(rows, columns=COLUMNS)


def table(scores: dict[str, dict[str, dict[tuple[int | None, int], float]]]) -> pd.DataFrame:
    """A results table from {method: {task: {(init_seed, data_seed): accuracy}}}."""
    rows = [
        (method, task, data, init, score)
        for method, tasks in scores.items()
        for task, cells in tasks.items()
        for (init, data), score in cells.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
