"""One thing that is wrong, or odd, about a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

#: ``error``: a study would stop, or read something wrong; ``warning``: it would run, and the scores may say less than
#: they seem to; ``note``: it is taken care of.
Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
SHOWN_ROWS = 10


class NoTable(Exception):
    """Why a file cannot be read as a table; whoever opened it adds the file's name."""


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        level: How bad it is.
        kind: A short name, such as ``encoding`` or ``blank``.
        message: What is wrong, in a sentence.
        advice: What to do, in a sentence; empty for a note.
        rows: Where: lines of a text file as an editor counts them; rows of Parquet and JSON from 1, those of a workbook
            as it counts them.
        quote: How the file reads there, for whoever asked about this file; never part of an error.
    """

    level: Level
    kind: str
    message: str
    advice: str = ""
    rows: tuple[int, ...] = ()
    quote: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "rows": list(self.rows)}


def format_rows(rows: Sequence[int], noun: str = "line") -> str:
    """Line numbers for a sentence, the first of them where there are many.

    Example:
        >>> format_rows([3]), format_rows([3, 7]), format_rows(range(1, 14))
        ('line 3', 'lines 3, 7', 'lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more')
    """
    shown = ", ".join(str(row) for row in rows[:SHOWN_ROWS])
    more = f" and {len(rows) - SHOWN_ROWS:,} more" if len(rows) > SHOWN_ROWS else ""
    return f"{noun}{'s' if len(rows) != 1 else ''} {shown}{more}"


def have(count: int, noun: str = "row") -> str:
    """The beginning of a sentence about some rows.

    Example:
        >>> have(1), have(1200, "text")
        ('1 row has', '1,200 texts have')
    """
    return f"1 {noun} has" if count == 1 else f"{count:,} {noun}s have"


def worst(findings: Sequence[Finding]) -> Level | None:
    """The worst level that occurs; None where nothing was found."""
    return next((level for level in LEVELS if any(finding.level == level for finding in findings)), None)
