"""Holm's correction for several tests, and how many pairs of seeds a difference takes to be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import stats

#: Beyond so many pairs the answer is "out of reach".
MAX_PAIRS = 100_000


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Step-down correction that keeps the chance of any false alarm at the level (Holm 1979).

    The smallest of m p values is multiplied by m, the next by m − 1 and so on; no corrected value is less than one
    before it, none more than 1.

    Args:
        p_values: In any order; None where a test could not be made, which does not count.

    Returns:
        Corrected values in the same order.

    Example:
        >>> holm([0.01, 0.04, 0.03, None])
        [0.03, 0.06, 0.06, None]
    """
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, index) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - rank)))
        corrected[index] = least
    return corrected


def paired_power(pairs: int, difference: float, deviation: float, *, level: float = 0.05) -> float:
    """Chance that a two-sided paired t test over so many pairs sees a difference (Cohen 1988, noncentral t).

    Args:
        pairs: Independent pairs, two or more.
        difference: The true mean difference.
        deviation: Standard deviation of the differences, in the same unit.
        level: Of the test.

    Example:
        >>> round(paired_power(34, 0.5, 1.0), 3)
        0.808
    """
    df, shift = pairs - 1, abs(difference) / deviation * math.sqrt(pairs)
    critical = float(stats.t.ppf(1 - level / 2, df))
    power = float(stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift))
    # Scipy has no answer for a difference of very many deviations; it cannot be missed.
    return 1.0 if math.isnan(power) else power


def pairs_needed(difference: float, deviation: float, *, power: float = 0.8, level: float = 0.05) -> int | None:
    """Fewest independent pairs whose paired t test sees a difference with the wanted power.

    Args:
        difference: The true mean difference.
        deviation: Standard deviation of the differences between pairs, in the same unit.
        power: Wanted chance to see it.
        level: Of the two-sided test.

    Returns:
        Two or more; None where the difference is 0 or more than a hundred thousand pairs would be needed.

    Example:
        >>> pairs_needed(0.5, 1.0), pairs_needed(0.8, 1.0), pairs_needed(0.0, 1.0)
        (34, 15, None)
    """
    if difference == 0:
        return None
    if deviation == 0:
        return 2
    low, high = 2, MAX_PAIRS
    if paired_power(high, difference, deviation, level=level) < power:
        return None
    while low < high:
        middle = (low + high) // 2
        if paired_power(middle, difference, deviation, level=level) >= power:
            high = middle
        else:
            low = middle + 1
    return low
