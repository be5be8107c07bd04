"""Rows in a few letters: ``0-4, 9, 12-20``."""

from __future__ import annotations

from collections.abc import Iterable

#: A study file holds no more letters of them.
MOST_LETTERS = 1_000_000


def parse_rows(text: str) -> list[int]:
    """Rows of a list of numbers and ranges, in order, each once.

    Raises:
        ValueError: Naming the part that is neither.

    Example:
        >>> parse_rows("7, 0-2 2")
        [0, 1, 2, 7]
    """
    rows: set[int] = set()
    for part in text.replace("–", "-").replace(",", " ").split():
        first, dash, last = part.partition("-")
        digits = [first, last] if dash else [first]
        if not all(number.isascii() and number.isdigit() and len(number) <= 9 for number in digits):
            raise ValueError(f"'{part[:40]}' is neither a row nor a range of rows, such as 0-4, 9")
        start, end = int(first), int(last if dash else first)
        if end < start or end - start >= 10_000_000:
            raise ValueError(f"'{part[:40]}' is no range of rows: it goes from the smaller to the larger number")
        rows.update(range(start, end + 1))
    return sorted(rows)


def format_rows(rows: Iterable[int]) -> str:
    """Writes rows as numbers and ranges, the other way round than `parse_rows`.

    Example:
        >>> format_rows([7, 2, 1, 0])
        '0-2, 7'
    """
    runs: list[list[int]] = []
    for row in sorted(set(map(int, rows))):
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)
