"""How the report writes numbers."""

from __future__ import annotations


def points(value: float, *, sign: bool = True) -> str:
    """Writes a difference in points of a hundred.

    Example:
        >>> points(0.0123), points(-0.02)
        ('+1.2', '−2.0')
    """
    return f"{100 * value:{'+' if sign else ''}.1f}".replace("-", "−")


def interval(low: float | None, high: float | None) -> str:
    """Writes an interval in points; a dash where there is none."""
    if low is None or high is None:
        return "–"
    return f"{points(low)} to {points(high)}"


def p_value(p: float | None) -> str:
    """Writes a p-value; a dash where there is none."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
