"""Column names: blank, repeated and padded ones, as spreadsheets, joins and exports make them, become unique names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from metapt_explore.texts.messages import Finding, shown

#: Invisible characters around a name: spaces, byte order marks, zero-width and control characters.
UNSEEN = re.compile(r"^[\s\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff]+|[\s\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff]+$")
#: Unpaired surrogates (half characters): JSON can hold them, UTF-8 cannot.
SURROGATE = re.compile("[\ud800-\udfff]")

Row = tuple[Any, ...]


def clean_name(name: object) -> str:
    r"""A column's name without invisible characters around it.

    Example:
        >>> clean_name(" text\u200b "), clean_name(None)
        ('text', '')
    """
    return "" if name is None else SURROGATE.sub("\ufffd", UNSEEN.sub("", str(name)))


def name_columns(
    header: Sequence[object], rows: Sequence[Sequence[Any]], line: tuple[int, ...], *, findings: list[Finding]
) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    """Gives each column a unique name, and drops columns without a name and values.

    Args:
        header: Names as in the file.
        rows: Cells of each row, as many as names.
        line: The header's line.
        findings: Problems are appended to it.

    Returns:
        The names, and the rows under them.
    """
    names = [clean_name(name) for name in header]
    empty = [index for index, name in enumerate(names) if not name and not any(_filled(row[index]) for row in rows)]
    if empty:
        message = f"{_columns(empty)} neither a name nor a value; it is as if they were not there."
        findings.append(Finding("note", "empty columns", message, "", line))
    nameless = [index for index, name in enumerate(names) if not name and index not in set(empty)]
    for index in nameless:
        names[index] = _free(f"column_{index + 1}", names)
    if nameless:
        called = ", ".join(f"'{names[index]}'" for index in nameless[:5]) + (" …" if len(nameless) > 5 else "")
        message = f"{_columns(nameless)} values but no name: called {called}."
        findings.append(Finding("note", "nameless columns", message, "", line))
    padded = [str(old) for old, new in zip(header, names, strict=True) if old is not None and new and str(old) != new]
    if padded := [name for name in padded if clean_name(name)]:
        named = ", ".join(f"'{shown(name, 40)}'" for name in padded[:5]) + (" …" if len(padded) > 5 else "")
        message = f"Names of columns have spaces or unseen characters around them ({named}); they are read without."
        findings.append(Finding("note", "padded names", message, "", line))
    _rename_doubled(names, set(empty), line, findings=findings)
    filled_columns = [index for index in range(len(names)) if index not in set(empty)]
    if len(filled_columns) == len(names):
        return tuple(names), tuple(row if isinstance(row, tuple) else tuple(row) for row in rows)
    return tuple(names[index] for index in filled_columns), tuple(
        tuple(row[index] for index in filled_columns) for row in rows
    )


def _rename_doubled(names: list[str], empty: set[int], line: tuple[int, ...], *, findings: list[Finding]) -> None:
    seen: set[str] = set()
    called: dict[str, list[str]] = {}
    for index, name in enumerate(names):
        if index in empty:
            continue
        if name in seen:
            names[index] = _free(f"{name}_2", names)
            called.setdefault(name, []).append(names[index])
        seen.add(names[index])
    for name, others in list(called.items())[:10]:
        times = "twice" if len(others) == 1 else f"{len(others) + 1} times"
        message = f"The column '{shown(name, 40)}' stands {times} in the header."
        to = ", ".join(f"'{shown(other, 45)}'" for other in others[:5])
        advice = f"Give each another name; `metapt data check FILE --fix OUT.csv` calls the later ones {to}."
        findings.append(Finding("error", "header", message, advice, line))


def _filled(cell: object) -> bool:
    return cell is not None and (not isinstance(cell, str) or bool(cell.strip()))


def _columns(indices: Sequence[int]) -> str:
    """The beginning of a sentence about some columns.

    Example:
        >>> _columns([2]), _columns([2, 3])
        ('Column 3 has', 'Columns 3, 4 have')
    """
    shown_places = ", ".join(str(index + 1) for index in indices[:10]) + (" …" if len(indices) > 10 else "")
    return f"Column {shown_places} has" if len(indices) == 1 else f"Columns {shown_places} have"


def _free(wanted: str, names: Sequence[str]) -> str:
    """The name, or the next number of it that no column has."""
    stem, number = wanted.rsplit("_", 1)
    taken, count = set(names), int(number)
    while f"{stem}_{count}" in taken:
        count += 1
    return f"{stem}_{count}"
