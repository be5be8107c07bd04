"""Before a study starts: the smallest true difference that it would find, going by the spread of recorded studies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize, stats

from metapt_explore.statistics.shared_seeds import Clustered, Floats, Layout, clustered_values, raw_variance
from metapt_explore.statistics.significance import paired_power
from metapt_explore.statistics.width_factors import width_factors

#: Spread of differences in recorded studies; made by `benchmarks/recorded_spread.py`.
RECORDED = Path(__file__).with_name("recorded_spread.csv")
#: Simulated studies where pairs share seeds; their luck moves the answer by less than a hundredth of it.
DRAWS = 20_000
#: Pairs × simulated studies whose every difference is drawn. Of more, crossed seeds draw sums alone, and other layouts
#: draw fewer studies, but not fewer than `LEAST_DRAWS`.
MOST_NUMBERS = 4_000_000
LEAST_DRAWS = 2_000
#: How much of the variance initialisation, few-shot sample and the rest are taken to bring, where pairs share seeds.
SHARES = (1 / 3, 1 / 3, 1 / 3)


@dataclass(frozen=True)
class RecordedSpread:
    """How far the differences in accuracy of two methods vary from pair to pair, in recorded studies.

    Attributes:
        deviation: Standard deviation of the mean over tasks, for one pair of seeds.
        studies: Whose differences it was taken from.
        shots: Examples a class that these have.
        alike: Whether these compare methods of the same two kinds; else all that are there were taken.
    """

    deviation: float
    studies: tuple[str, ...]
    shots: tuple[int, ...]
    alike: bool


def recorded_spread(kinds: tuple[str, str], tasks: int, shots: int) -> RecordedSpread:
    """The spread to be expected of a comparison, from recorded ones of the same kinds and nearest number of examples.

    A mean over T tasks varies by the covariance of two tasks and a T-th of what a task has beyond it. Variances are
    averaged with the degrees of freedom as weights.

    Args:
        kinds: Of both methods, such as ``("metapt", "ppt")``; the order does not matter.
        tasks: Of the mean.
        shots: Examples a class.

    Example:
        >>> found = recorded_spread(("metapt", "ppt"), tasks=7, shots=16)
        >>> found.alike, 0.005 < found.deviation < 0.03
        (True, True)
    """
    table = _recorded()
    alike = table[table["kinds"] == "-".join(sorted(kinds))]
    chosen = alike if len(alike) else table
    distance = (np.log(chosen["shots"]) - math.log(shots)).abs()
    chosen = chosen[distance == distance.min()]
    weights = chosen["pairs"] - 1
    within = float(np.average(chosen["task_variance"], weights=weights))
    covariance = max(0.0, float(np.average(chosen["covariance"], weights=weights)))
    deviation = math.sqrt(covariance + max(within - covariance, 0.0) / tasks)
    studies, shown = (tuple(dict.fromkeys(chosen[column].tolist())) for column in ("study", "shots"))
    return RecordedSpread(deviation, studies, shown, bool(len(alike)))


@lru_cache(maxsize=1)
def _recorded() -> pd.DataFrame:
    return pd.read_csv(RECORDED, comment="#")


def smallest_difference(
    pairs: Sequence[tuple[int, int]],
    deviation: float,
    *,
    power: float = 0.8,
    level: float = 0.05,
    shares: tuple[float, float, float] = SHARES,
) -> float | None:
    """The smallest true difference that `compare` finds with the wanted power.

    Pairs that share no seed: noncentral t. Else the very test of `mean_over_pairs` on simulated studies.

    Args:
        pairs: Initialisation and data seed of each pair.
        deviation: Standard deviation of the difference of one pair with seeds of its own.
        power: Wanted chance to find it.
        level: Of the two-sided test; where pairs share seeds only 0.05 is calibrated.
        shares: Of the variance, that initialisation, few-shot sample and the rest bring; of consequence only where
            pairs share seeds.

    Returns:
        In the unit of the deviation; None with fewer than two pairs.

    Example:
        >>> round(smallest_difference([(i, i) for i in range(10)], 1.0), 2)
        1.0
        >>> crossed = smallest_difference([(i, j) for i in range(5) for j in range(10)], 1.0)
        >>> 0.5 < crossed < 1.2
        True
    """
    if len(pairs) < 2:
        return None
    codes = [pd.factorize(np.array([pair[place] for pair in pairs]))[0] for place in (0, 1)]
    layout = Layout(tuple(codes[0].tolist()), tuple(codes[1].tolist()))
    if max(layout.levels) == layout.pairs and (min(layout.levels) in (1, layout.pairs)):
        found = optimize.brentq(lambda d: paired_power(layout.pairs, d, 1.0, level=level) - power, 1e-6, 1e3)
        return float(found) * deviation
    by_sums = layout.crossed and layout.pairs * DRAWS > MOST_NUMBERS and min(layout.levels) > 1
    means, parts = (simulated_sums if by_sums else simulated_values)(layout, shares)
    variance, df = raw_variance(parts, layout)
    factors = width_factors(layout)
    reach = stats.t.ppf(1 - level / 2, df) * np.sqrt(variance) * (1.0 if factors is None else factors.factor(parts))
    # A study finds a difference d where |mean + d| is beyond its reach; beyond the far side counts as found, too.
    low, high = 0.0, 1.0

    def found_share(difference: float) -> float:
        return float((np.abs(means + difference) > reach).mean())

    while found_share(high) < power:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if found_share(middle) >= power else (middle, high)
    return high * deviation


def simulated_values(layout: Layout, shares: tuple[float, float, float]) -> tuple[Floats, Clustered]:
    """The means of simulated studies, shape [draws], and what is seen of their spread: every pair is drawn.

    Args:
        layout: Which seeds each pair has.
        shares: Of the variance, that initialisation, few-shot sample and the rest bring.
    """
    rng, draws = np.random.default_rng(0), min(DRAWS, max(LEAST_DRAWS, MOST_NUMBERS // layout.pairs))
    effects = [rng.normal(size=(draws, n)) @ m.T for n, m in zip(layout.levels, layout.members, strict=True)]
    effects.append(rng.normal(size=(draws, layout.pairs)))
    values = np.asarray(sum(math.sqrt(share) * effect for share, effect in zip(shares, effects, strict=True)))
    return values.mean(axis=1), clustered_values(values, layout)


def simulated_sums(layout: Layout, shares: tuple[float, float, float]) -> tuple[Floats, Clustered]:
    """The same for crossed seeds without drawing pairs: the mean and three sums of squares, which are independent.

    With a rows, b columns and variances A, B, E of their shares: the mean is normal with variance A/a + B/b + E/ab; the
    squares of the rows' means around it add up to (A + E/b) χ²(a-1), of the columns' to (B + E/a) χ²(b-1), and those of
    the rest to E χ²((a-1)(b-1)) (Searle, Casella and McCulloch 1992, Variance Components, section 4.7).
    """
    (rows, columns), n, rng = layout.levels, layout.pairs, np.random.default_rng(0)
    first, second, rest = shares
    means = math.sqrt(first / rows + second / columns + rest / n) * rng.normal(size=DRAWS)
    of_rows = (first + rest / columns) * rng.chisquare(rows - 1, DRAWS)
    of_columns = (second + rest / rows) * rng.chisquare(columns - 1, DRAWS)
    squares = columns * of_rows + rows * of_columns + rest * rng.chisquare((rows - 1) * (columns - 1), DRAWS)
    return means, Clustered(
        rows / (rows - 1) * columns**2 * of_rows / n**2,
        columns / (columns - 1) * rows**2 * of_columns / n**2,
        squares / ((n - 1) * n),
    )
