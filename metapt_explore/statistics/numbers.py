"""How numbers are written, the same on pages, in reports and in the terminal.

A true minus (−7.2), a dash where nothing is known, never a minus before zero, percent with a space (71.3 %).
"""

from __future__ import annotations

import math

import pandas as pd

#: Stands where there is no number.
MISSING = "–"
MINUS = "−"


def number(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Writes a number with so many digits behind the point.

    Args:
        value: The number; None and NaN are missing.
        digits: Behind the point.
        sign: Whether a plus stands before what is not below zero.

    Example:
        >>> number(-7.234, 1), number(-0.001), number(1234.5, 0), number(None), number(float("nan"))
        ('−7.2', '0.00', '1,234', '–', '–')
        >>> number(0.25, 1, sign=True), number(-0.001, sign=True)
        ('+0.2', '+0.00')
    """
    if value is None or pd.isna(value):
        return MISSING
    if math.isinf(value):
        return f"{MINUS}∞" if value < 0 else "∞"
    rounded = round(float(value), digits) + 0.0  # −0.0 becomes 0.0
    return f"{rounded:{'+' if sign else ''},.{digits}f}".replace("-", MINUS)


def short(value: float | None) -> str:
    """Writes a number of unknown size: three digits behind the point, without zeros at the end; more where it is small.

    Example:
        >>> short(61.03), short(-0.5), short(0.0004), short(1234567.0), short(None)
        ('61.03', '−0.5', '0.0004', '1,234,567', '–')
    """
    if value is None or pd.isna(value) or math.isinf(value):
        return number(value)
    if value != 0 and abs(value) < 0.0005:
        return f"{value:.2g}".replace("-", MINUS)
    if 0 < abs(value) < 0.01:
        return f"{value:.5f}".rstrip("0").replace("-", MINUS)
    written = number(value, 3)
    return written.rstrip("0").rstrip(".") if "." in written else written


def percent(share: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """Writes a share of 1 in percent, with its unit.

    Example:
        >>> percent(0.7126), percent(-0.0001), percent(None)
        ('71.3 %', '0.0 %', '–')
    """
    if share is None or pd.isna(share):
        return MISSING
    return f"{number(100 * share, digits, sign=sign)} %"


def points(value: float, *, sign: bool = True) -> str:
    """Writes a difference in points of a hundred.

    Example:
        >>> points(0.0123), points(-0.02), points(-0.0001)
        ('+1.2', '−2.0', '+0.0')
    """
    return number(100 * value, 1, sign=sign)


def interval(low: float | None, high: float | None) -> str:
    """Writes an interval in points; a dash where there is none.

    Example:
        >>> interval(-0.014, 0.007)
        '−1.4 to +0.7'
    """
    if low is None or high is None:
        return MISSING
    return f"{points(low)} to {points(high)}"


def p_value(p: float | None) -> str:
    """Writes a p-value; a dash where there is none."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
