"""Holm's correction for several tests."""

from __future__ import annotations

from collections.abc import Sequence


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
    order = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, place) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - rank)))
        corrected[place] = least
    return corrected
