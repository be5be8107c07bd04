"""How often the t tests of `mean_over_pairs` find a difference where there is none: 5 % of studies is meant.

All shares of the seeds with many more studies: `false_alarms_by_share.py`.

python benchmarks/false_alarms.py                  # samples that share rows, as in docs/statistics.md; five minutes
python benchmarks/false_alarms.py --studies 1000   # rougher
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metapt_explore.statistics.designs import mean_over_pairs

Pairs = list[tuple[int, int]]

DESIGNS: dict[str, Pairs] = {
    "paired, 10 pairs": [(i, i) for i in range(10)],
    "crossed, 5 × 10": [(i, j) for i in range(5) for j in range(10)],
    "mixed, 10 initialisations on 5 samples": [(i, i % 5) for i in range(10)],
    "mixed, 7 initialisations on 5 samples": [(i, i % 5) for i in range(7)],
    "mixed, 6 × 6 without a diagonal": [(i, j) for i in range(6) for j in range(6) if i != j],
    "mixed, 8 × 8, three samples each": [(i, (i + k) % 8) for i in range(8) for k in range(3)],
    "mixed, 10 pairs and 5 × 5": [(i, i) for i in range(10)] + [(i, j) for i in range(5) for j in range(5) if i != j],
}
#: Standard deviations of what initialisation, few-shot sample and the rest bring.
EFFECTS = [(0.0, 0.0, 1.0), (1.0, 0.0, 0.3), (0.0, 1.0, 0.3), (1.0, 1.0, 1.0)]
#: Shares of rows that few-shot samples have in common.
SHARED = (0.0, 0.1, 0.2, 0.5)


def false_alarms(
    pairs: Pairs, draw: Callable[[np.random.Generator], NDArray[np.float64]], *, studies: int, shared: float = 0.0
) -> float:
    """Percent of studies with p below 5 %, none of which has a difference."""
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_tuples(pairs, names=["init_seed", "data_seed"])
    found = 0
    for _ in range(studies):
        p = mean_over_pairs(pd.Series(draw(rng), index=index), shared=shared).p
        found += p is not None and p < 0.05
    return 100 * found / studies


def seed_effects(
    pairs: Pairs, effects: tuple[float, float, float]
) -> Callable[[np.random.Generator], NDArray[np.float64]]:
    """Differences of which seeds and the rest bring a part each."""
    init, data = (np.array([pair[place] for pair in pairs]) for place in (0, 1))
    first, second, rest = effects

    def draw(rng: np.random.Generator) -> NDArray[np.float64]:
        by_init, by_data = rng.normal(0, first, init.max() + 1), rng.normal(0, second, data.max() + 1)
        scores: NDArray[np.float64] = by_init[init] + by_data[data] + rng.normal(0, rest, len(pairs))
        return scores

    return draw


def row_effects(samples: int, share: float) -> Callable[[np.random.Generator], NDArray[np.float64]]:
    """Differences that are means of rows' effects; any two samples have a share of their 100 rows in common."""
    rows = 100
    common = round(rows * share)

    def draw(rng: np.random.Generator) -> NDArray[np.float64]:
        shared = rng.normal(size=common).sum()
        means: NDArray[np.float64] = (shared + rng.normal(size=(samples, rows - common)).sum(axis=1)) / rows
        return means

    return draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=5_000)
    studies = parser.parse_args().studies
    print("| design | " + " | ".join(f"{a:g}, {b:g}, {c:g}" for a, b, c in EFFECTS) + " |")
    print("| --- |" + " ---: |" * len(EFFECTS))
    for name, pairs in DESIGNS.items():
        rates = [false_alarms(pairs, seed_effects(pairs, effects), studies=studies) for effects in EFFECTS]
        print(f"| {name} | " + " | ".join(f"{rate:.1f}" for rate in rates) + " |", flush=True)
    print()
    print("| samples share | " + " | ".join(f"{100 * share:.0f} %" for share in SHARED) + " |")
    print("| --- |" + " ---: |" * len(SHARED))
    for samples in (5, 10):
        pairs = [(i, i) for i in range(samples)]
        for title, known in (("as if they did not", False), ("counted", True)):
            rates = [
                false_alarms(pairs, row_effects(samples, share), studies=studies, shared=share if known else 0.0)
                for share in SHARED
            ]
            print(f"| {samples} samples, {title} | " + " | ".join(f"{rate:.1f}" for rate in rates) + " |", flush=True)


if __name__ == "__main__":
    main()
