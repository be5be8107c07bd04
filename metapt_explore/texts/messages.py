"""What is wrong or odd about a file, and how messages quote it: short, without control characters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from metapt_explore.errors import did_you_mean

#: ``error``: a study would stop, or read something wrong; ``warning``: it would run, and the scores may say less than
#: they seem to; ``note``: it is taken care of.
Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
SHOWN_ROWS = 10
MOST_LETTERS = 60
MOST_NAMES = 30
#: A file of one column may not be a table (a list of passwords, a private key): only a plain name is shown.
PLAIN_NAME = re.compile(r"[^\W_][\w-]{0,29}(?: [\w-]{1,20}){0,2}")


class NoTable(Exception):
    """Why a file cannot be read as a table; the caller adds the file's name."""


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        level: Severity.
        kind: A short name, such as ``encoding`` or ``blank``.
        message: What is wrong, in a sentence.
        advice: What to do, in a sentence; empty for a note.
        rows: Where: lines of a text file as an editor counts them; rows of Parquet and JSON from 1, those of a workbook
            as it counts them.
        quote: The text at that place, shown by `metapt data check` only, never in an error.
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


def shown(value: object, most: int = MOST_LETTERS) -> str:
    r"""A cell or a name on one line, cut where it is long, with `�` for control characters.

    Example:
        >>> shown("a\x1b[31m\nb"), shown("word " * 3, most=8)
        ('a�[31m�b', 'word wor…')
    """
    text = str(value)
    plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:most])
    return plain + ("…" if len(text) > most else "")


def memory_ran_out(source: str) -> str:
    """What to say where a source needs more memory than there is: it is not damaged.

    Args:
        source: The file, or another name of the source.

    Example:
        >>> memory_ran_out("reviews.json")[:45]
        'reviews.json: memory ran out while it was rea'
    """
    return (
        f"{source}: memory ran out while it was read; nothing is wrong with it. Close other programs, set "
        "texts.limit, or save it as Parquet, CSV or JSONL, unpacked: large files of these kinds are read in parts."
    )


def nearest_column(name: str, columns: Iterable[object]) -> str:
    """Suggests the column that was probably meant; quotes nothing from a file that may not be a table.

    Args:
        name: What was asked for.
        columns: The columns that there are.

    Example:
        >>> nearest_column("txt", ["text", "label"])
        "Did you mean 'text'? Valid: label, text."
        >>> nearest_column("text", ["root:x:0:0:root:/root:/bin/bash"])
        'It has one column, and that does not look like a table of texts.'
    """
    names = [str(column) for column in columns]
    if len(names) == 1 and not PLAIN_NAME.fullmatch(names[0]):
        return "It has one column, and that does not look like a table of texts."
    suggestion = did_you_mean(name, [shown(column, 40) for column in names[:MOST_NAMES]])
    return suggestion if len(names) <= MOST_NAMES else f"{suggestion[:-1]} and {len(names) - MOST_NAMES:,} more."
