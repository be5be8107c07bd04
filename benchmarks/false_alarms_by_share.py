"""False alarms of the interval where pairs share seeds, at every share of the variance, and what that costs in power.

python benchmarks/false_alarms_by_share.py                   # the table of docs/statistics.md, three minutes on a core
python benchmarks/false_alarms_by_share.py --studies 20000   # rougher

Shares of initialisation, few-shot sample and rest go from 0 to 100 % by 10 %: 66 mixtures a design. Of each, so many
studies without a difference; in the table the mixtures with fewest and most false alarms, at levels of 5, 1 and 10 %,
with the factor and without it. Effects are normal, or (`--skewed`) exponential.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from false_alarms import DESIGNS
from numpy.typing import NDArray
from scipy import stats

from metapt_explore.statistics.shared_seeds import Layout, clustered_values, raw_variance
from metapt_explore.statistics.width_factors import width_factors

MORE = {
    "crossed, 3 × 10": [(i, j) for i in range(3) for j in range(10)],
    "crossed, 10 × 10": [(i, j) for i in range(10) for j in range(10)],
    "mixed, 5 × 10 of which 33 are done": [(i, j) for i in range(5) for j in range(10)][:33],
    "mixed, 10 pairs and 3 × 3": [(i, i) for i in range(10)] + [(i, j) for i in range(3) for j in range(3) if i != j],
    "mixed, 15 samples on 10 initialisations": [(i % 10, i) for i in range(15)],
}
LEVELS = (0.05, 0.01, 0.1)
STEPS = 10
#: A true difference of so many standard errors, whose discovery is counted.
EFFECT = 3.0

Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return rng.normal(size=shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return rng.exponential(size=shape) - 1


def p_values(values: NDArray[np.float64], layout: Layout, *, calibrated: bool) -> NDArray[np.float64]:
    """As `mean_over_pairs`, for many studies at once."""
    parts = clustered_values(values, layout)
    variance, df = raw_variance(parts, layout)
    factors = width_factors(layout) if calibrated else None
    error = np.sqrt(variance) * (1 if factors is None else factors.factor(parts))
    p: NDArray[np.float64] = 2 * stats.t.sf(np.abs(values.mean(axis=-1)) / error, df)
    return p


def rates(layout: Layout, shares: tuple[float, ...], *, studies: int, draw: Draw) -> list[float]:
    """Percent of false alarms with the factor at each level, without it at 5 %; of true differences found, by both."""
    rng = np.random.default_rng(1)
    found: list[list[float]] = []
    covariance = sum(share * member @ member.T for share, member in zip(shares, layout.members, strict=False))
    covariance = covariance + shares[2] * np.eye(layout.pairs)
    effect = EFFECT * np.sqrt(covariance.mean())
    for _ in range(10):
        effects = [
            draw(rng, (studies // 10, levels)) @ m.T for levels, m in zip(layout.levels, layout.members, strict=True)
        ]
        effects.append(draw(rng, (studies // 10, layout.pairs)))
        values = np.asarray(sum(np.sqrt(share) * part for share, part in zip(shares, effects, strict=True)))
        p = p_values(values, layout, calibrated=True)
        found.append(
            [
                *(float((p < level).mean()) for level in LEVELS),
                float((p_values(values, layout, calibrated=False) < LEVELS[0]).mean()),
                *(float((p_values(values + effect, layout, calibrated=c) < LEVELS[0]).mean()) for c in (True, False)),
            ]
        )
    return [100 * float(rate) for rate in np.mean(found, axis=0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--skewed", action="store_true")
    arguments = parser.parse_args()
    draw = skewed if arguments.skewed else normal
    parts = [(a / STEPS, b / STEPS, (STEPS - a - b) / STEPS) for a in range(STEPS + 1) for b in range(STEPS + 1 - a)]
    print("| design | at 5 % | without the factor | at 1 % | at 10 % | power | without the factor |")
    print("| --- |" + " ---: |" * 6)
    for name, pairs in (DESIGNS | MORE).items():
        layout = Layout(*(tuple(part) for part in zip(*pairs, strict=True)))
        table = np.array([rates(layout, shares, studies=arguments.studies, draw=draw) for shares in parts])
        low, high = table.min(axis=0), table.max(axis=0)
        columns = [f"{low[k]:.1f} to {high[k]:.1f}" for k in (0, 3, 1, 2)] + [
            f"{table[:, k].mean():.0f}" for k in (4, 5)
        ]
        print(f"| {name} | " + " | ".join(columns) + " |", flush=True)


if __name__ == "__main__":
    main()
