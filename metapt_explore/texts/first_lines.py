"""Where the table begins in a CSV or TSV file, and its separator.

Before the header there may be blank lines, `sep=;`, comments, or a title.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from metapt_explore.texts.guess import CUSTOMARY_NAMES
from metapt_explore.texts.messages import Finding

#: Separators in use, whatever the suffix.
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
#: Lines tried with each separator.
PROBED_LINES = 30
#: Characters of a line without filled cells.
BLANK = " \t\r\n,;|\ufeff"
#: Lines of a title, at most.
MOST_TITLE_LINES = 8
#: Unicode's private use area: a character that the file lacks temporarily replaces carriage returns inside texts.
PRIVATE_USE = range(0xE00D, 0xF8FF)
#: A carriage return that does not end a line.
INNER_RETURN = re.compile(r"\r(?!\r*(?:\n|\Z))")
SEP_LINE = re.compile(r'\s*"?\s*sep=(\\t|[^\w"\s]|\t)\s*"?[,;|\t\s]*', re.IGNORECASE)
CUSTOMARY_WORDS = frozenset(name for names in CUSTOMARY_NAMES.values() for name in names)
#: A longer cell is not a column name.
LONGEST_NAME = 60


@dataclass(frozen=True)
class Start:
    """Where a table begins.

    Attributes:
        line: Index of the header's line.
        separator: What stands between fields.
    """

    line: int
    separator: str


def find_start(lines: Sequence[str], expected: str, findings: list[Finding]) -> Start:
    """Finds the header and the separator.

    Args:
        lines: The file's lines, as `hide_returns` leaves them.
        expected: The separator that the file's suffix says.
        findings: Problems are appended to it.
    """
    first = next((index for index, line in enumerate(lines) if line.strip(BLANK)), 0)
    if first:
        many = "The first line is" if first == 1 else f"The first {first} lines are"
        findings.append(Finding("note", "first lines", f"{many} blank; the table begins below."))
    declared = SEP_LINE.fullmatch(lines[first].strip("\r\n\ufeff")) if lines else None
    if declared is not None and first + 1 < len(lines):
        mark = "\t" if declared.group(1) == "\\t" else declared.group(1)
        message = f"Line {first + 1} says that fields are separated by {_say(mark)}; the table begins below it."
        findings.append(Finding("note", "sep line", message, "", (first + 1,)))
        return _choose(lines, first + 1, mark, separators=(mark, *SEPARATORS), findings=findings)
    return _choose(lines, first, expected, separators=(expected, *SEPARATORS), findings=findings)


def _say(mark: str) -> str:
    return SEPARATORS.get(mark, f"'{mark}'")


def _choose(
    lines: Sequence[str], first: int, expected: str, *, separators: Sequence[str], findings: list[Finding]
) -> Start:
    """The expected separator, unless only another makes a table of the first rows; a header in line one goes first."""
    starts = {mark: _header(lines, first, mark) for mark in dict.fromkeys(separators)}
    fitting = sorted(
        (header > first, rank, mark) for rank, (mark, header) in enumerate(starts.items()) if header is not None
    )
    if not fitting:
        alone = _below_comments(lines, first)
        _tell_skipped(lines, first, alone, findings=findings)
        return Start(alone, expected)
    _, _, mark = fitting[0]
    header = starts[mark]
    assert header is not None
    if mark != expected:
        message = f"Fields are separated by {_say(mark)}; studies expect {_say(expected)} in such a file."
        advice = "Let `metapt data check FILE --fix OUT.csv` write it anew"
        advice += ", or call it .tsv." if mark == "\t" else "."
        findings.append(Finding("error", "separator", message, advice))
    _tell_skipped(lines, first, header, findings=findings)
    return Start(header, mark)


def _tell_skipped(lines: Sequence[str], first: int, header: int, *, findings: list[Finding]) -> None:
    skipped = [index for index in range(first, header) if lines[index].strip(BLANK)]
    if skipped:
        comments = all(lines[index].lstrip().startswith("#") for index in skipped)
        what = "comment" if comments else "title"
        message = f"The table begins in line {header + 1}; what stands above it is a {what}, as it seems."
        advice = "Take it out, or let `metapt data check FILE --fix OUT.csv` do it."
        findings.append(Finding("error", "first lines", message, advice, tuple(index + 1 for index in skipped)))


# ---------------------------------------------------------------------------------------- the header


def _header(lines: Sequence[str], first: int, separator: str) -> int | None:
    """Line of the header where this separator makes a table; None where it makes none."""
    records = _probed(lines, first, separator)
    if not records:
        return None
    (line, top), below = records[0], records[1:]
    if _fits(top, below) and not _is_title(top, [cells for _, cells in below]) and not _is_comment(top, below):
        return line
    for index in range(1, min(len(records) - 1, MOST_TITLE_LINES)):
        line, fields = records[index]
        above = [cells for _, cells in records[:index]]
        comments = all(cells[0].lstrip().startswith("#") for cells in above)
        titles = all(sum(bool(cell.strip()) for cell in cells) <= 1 or _is_prose(cells) for cells in above)
        below = records[index + 1 :]
        names = _could_be_names(fields) and not fields[0].lstrip().startswith("#")
        if (comments or titles) and names and _fits(fields, below) and _telling(fields, below):
            return line
    return None


def _probed(lines: Sequence[str], first: int, separator: str) -> list[tuple[int, list[str]]]:
    """Rows of the first lines that hold anything, each with the line where it begins."""
    records, start = [], first
    with long_fields():
        reader = csv.reader(lines[first : first + PROBED_LINES], delimiter=separator)
        try:
            for fields in reader:
                if any(cell.strip() for cell in fields):
                    records.append((start, fields))
                start = first + reader.line_num
        except csv.Error:
            return records
    return records


def _fits(top: list[str], below: Sequence[tuple[int, list[str]]]) -> bool:
    """Whether most rows have the header's two fields or more."""
    return len(top) > 1 and 2 * sum(_as_wide(cells, len(top)) for _, cells in below) >= len(below)


def _as_wide(cells: list[str], width: int) -> bool:
    return len(cells) == width or (len(cells) > width and not any(cell.strip() for cell in cells[width:]))


def is_customary(cells: Iterable[str]) -> bool:
    """Whether one of them is a name that columns of texts, labels or groups often have."""
    return any(re.sub(r"[^a-z]", "", cell.lower()) in CUSTOMARY_WORDS for cell in cells)


def _could_be_names(cells: Sequence[str]) -> bool:
    filled = [cell.strip() for cell in cells if cell.strip()]
    return len(filled) > 1 and len(set(filled)) == len(filled) and max(map(len, filled)) <= LONGEST_NAME


def _telling(fields: list[str], below: Sequence[tuple[int, list[str]]]) -> bool:
    """Whether this is a header below a title, and not the first row of prose with separators in it.

    Either it has a name that such columns have, or every row is as wide as it and no field of it begins with a space.
    """
    even = all(_as_wide(cells, len(fields)) for _, cells in below)
    return is_customary(fields) or (even and bool(below) and not any(cell.startswith(" ") for cell in fields))


def _is_prose(cells: list[str]) -> bool:
    return any(cell.startswith(" ") for cell in cells) and not is_customary(cells)


def _is_title(top: list[str], below: list[list[str]]) -> bool:
    """Whether a line of the table's width is a title, and the next line names columns.

    Of a title one cell is filled, or it is prose with a separator in it. Names of columns are such as they often have,
    or, in whatever language, unlike what stands below them.
    """
    names, rows = below[0] if below else [], below[1:]
    filled = [cell for cell in top if cell.strip()]
    alone = len(filled) == 1 < len(top)
    if not (alone or _is_prose(top)) or is_customary(filled) or not _could_be_names(names):
        return False
    return is_customary(names) or (alone and bool(top[0].strip()) and _unlike_rows(names, rows))


def _unlike_rows(names: list[str], rows: list[list[str]]) -> bool:
    """Whether a full row of short cells without numbers stands above a column of numbers, or of much longer cells."""
    if len(rows) < 2 or not all(cell.strip() for cell in names) or any(_is_number(cell) for cell in names):
        return False
    columns = [[cells[i].strip() for cells in rows if i < len(cells) and cells[i].strip()] for i in range(len(names))]
    if any(name.strip() in column for name, column in zip(names, columns, strict=True)):
        return False  # a value, no name
    return any(
        len(column) > 1 and (all(map(_is_number, column)) or min(map(len, column)) > 2 * len(name.strip()))
        for name, column in zip(names, columns, strict=True)
    )


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"\s*[-+]?\d+([.,]\d+)*\s*%?\s*", cell) is not None


def _is_comment(top: list[str], below: Sequence[tuple[int, list[str]]]) -> bool:
    """Whether a line of the table's width is a comment: it begins with '#', and only the next names columns."""
    names = next((cells for _, cells in below if not cells[0].lstrip().startswith("#")), [])
    return top[0].lstrip().startswith("#") and not is_customary(top) and _could_be_names(names) and is_customary(names)


def _below_comments(lines: Sequence[str], first: int) -> int:
    """Line of the header of a single column: below comments only where it is a name that such a column has."""
    below = next(
        (p for p in range(first, len(lines)) if lines[p].strip() and not lines[p].lstrip().startswith("#")), first
    )
    return below if below > first and lines[below].strip().lower() in CUSTOMARY_NAMES["text"] else first


# ------------------------------------------------------------------------------------------ lines


def lines_of(text: str) -> list[str]:
    r"""Lines with their ends: "\n", "\r\n", or "\r" where no other ends a line (as old Macintoshes wrote it).

    Example:
        >>> lines_of("a\u2028b\nc"), lines_of("a\rb")
        (['a\u2028b\n', 'c'], ['a\n', 'b'])
    """
    # Where the header ends in a lone "\r", so does every row, and "\n" stands inside quoted texts only.
    header = re.match(r'(?:"[^"]*"|[^"\r\n]+)*(\r*\n|\r)?', text)
    if header is not None and header.group(1) == "\r":
        text = text.replace("\r", "\n")
    # Not splitlines: it also splits at characters that are text, such as U+2028.
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def hide_returns(lines: list[str]) -> tuple[list[str], str]:
    r"""Replaces each "\r" inside a line by a mark, except at line ends; returns the lines and the mark.

    pandas writes them inside unquoted texts, where the csv module refuses them. The mark is "" if there are none.
    """
    if not any("\r" in line and INNER_RETURN.search(line) for line in lines):
        return lines, ""
    mark = next(letter for letter in map(chr, PRIVATE_USE) if not any(letter in line for line in lines))
    return [INNER_RETURN.sub(mark, line) if "\r" in line else line for line in lines], mark


def show_returns(fields: list[str], mark: str) -> list[str]:
    """Fields of a row as they were before `hide_returns`."""
    return [field.replace(mark, "\r") for field in fields] if mark else fields


@contextmanager
def long_fields() -> Iterator[None]:
    """Lifts the csv module's limit of 128 KiB a field while a file is read."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)
