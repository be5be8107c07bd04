"""How often the interval of `labels_needed` holds the truth on curves of which it is known: 95 % of studies is meant.

python benchmarks/labels_saved.py                  # the table of docs/statistics.md, some minutes on a core
python benchmarks/labels_saved.py --studies 100    # rougher
python benchmarks/labels_saved.py --plain          # with the middle 95 % whatever the number of seeds
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.statistics import labels_needed

MEASURED = (1, 2, 4, 8, 16, 32)
#: The method at 4 examples scores as the baseline does with 8.
AT, TRUTH = 4, 8.0
Pairs = list[tuple[int, int]]
DESIGNS: dict[str, Pairs] = {
    "paired, 5 pairs": [(i, i) for i in range(5)],
    "paired, 7 pairs": [(i, i) for i in range(7)],
    "paired, 10 pairs": [(i, i) for i in range(10)],
    "paired, 20 pairs": [(i, i) for i in range(20)],
    "crossed, 5 × 10": [(i, j) for i in range(5) for j in range(10)],
}
#: Six points for each doubling; initialisation, few-shot sample and the rest bring so much to each method.
RISE, INIT, DATA, REST = 0.06, 0.02, 0.02, 0.03


def study(pairs: Pairs, rng: np.random.Generator) -> dict[int, pd.DataFrame]:
    """A results table for each number of examples."""
    rows = []
    for method, worth in (("PT", 1.0), ("MetaPT", TRUTH / AT)):
        by_init = rng.normal(0, INIT, 1 + max(i for i, _ in pairs))
        by_data = rng.normal(0, DATA, 1 + max(j for _, j in pairs))
        for shots in MEASURED:
            for i, j in pairs:
                score = 0.5 + RISE * math.log2(worth * shots) + by_init[i] + by_data[j] + rng.normal(0, REST)
                rows.append((shots, method, "task", j, i, float(np.clip(score, 0, 1))))
    table = pd.DataFrame(rows, columns=["shots", "method", "task", "data_seed", "init_seed", "accuracy"])
    return {shots: table[table["shots"] == shots] for shots in MEASURED}


def held(pairs: Pairs, studies: int) -> float:
    """Percent of studies whose interval at `AT` examples holds the truth."""
    count = 0
    for seed in range(studies):
        found = labels_needed(study(pairs, np.random.default_rng(seed)), "MetaPT", "PT")
        each = next(each for each in found if each.shots == AT)
        assert each.low is not None and each.high is not None
        count += each.low <= TRUTH <= each.high
    return 100 * count / studies


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--plain", action="store_true")
    chosen = parser.parse_args()
    if chosen.plain:
        module: Any = sys.modules[labels_needed.__module__]
        module.expanded_tail = lambda confidence, seeds: (1 - confidence) / 2
    for name, pairs in DESIGNS.items():
        print(f"{name}: {held(pairs, chosen.studies):.1f} %")
