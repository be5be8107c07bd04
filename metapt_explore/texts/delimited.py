"""Rows of a CSV or TSV file, read as far as they can be read."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

from metapt_explore.escaping import from_csv_rows
from metapt_explore.texts.first_lines import (
    PROBED_LINES,
    find_start,
    hide_returns,
    is_customary,
    long_fields,
    show_returns,
)
from metapt_explore.texts.guess import CUSTOMARY_NAMES
from metapt_explore.texts.header import Row, name_columns
from metapt_explore.texts.messages import Finding, NoTable, have

#: Bad rows after which reading stops: such a file is of another kind.
MOST_BAD_ROWS = 200
#: A quoted text with more lines has probably lost its closing mark.
MOST_LINES = 20

#: First line, fields and last line of a row.
Record = tuple[int, list[str], int]
#: Names of columns, rows, and the line where each begins.
Grid = tuple[tuple[str, ...], tuple[Row, ...], tuple[int, ...]]


def read_delimited(lines: list[str], expected: str, findings: list[Finding]) -> tuple[Grid, str]:
    """Splits lines into rows.

    Args:
        lines: All lines of the file, with their ends.
        expected: The separator implied by the suffix.
        findings: Problems are appended to it.

    Returns:
        The table and the separator.

    Raises:
        NoTable: If there is not even a header.
    """
    lines, mark = hide_returns(lines)
    start = find_start(lines, expected, findings)
    with long_fields():
        records, broken = _records(lines, start.line, start.separator, mark=mark)
        if start.separator == "\t" and any('"' in line for line in lines):
            records, broken = _without_quoting(lines, start.line, mark, records=records, broken=broken)
    if not records:
        raise NoTable("it holds no row that can be read; is it a text file with a header?")
    if broken:
        message = f"{have(len(broken))} a quotation mark that does not close, or text behind a closing one."
        if len(broken) >= MOST_BAD_ROWS:
            message += " No row behind them was read."
        advice = 'Write a quotation mark inside a text twice (""), and quote the whole text.'
        findings.append(Finding("error", "quotation marks", message, advice, tuple(broken)))
    (line, header, _), *rest = records
    even_rows = _even_rows(rest, len(header), start.separator, findings=findings)
    header, *cells = from_csv_rows([header, *(fields for _, fields in even_rows)])
    names, rows = name_columns(header, cells, (line,), findings=findings)
    return (names, rows, tuple(line for line, _ in even_rows)), start.separator


def is_table(lines: list[str]) -> bool:
    """Whether a text file holds a table, as spreadsheets save "text": tabs, or a header with a name of custom.

    Args:
        lines: All lines of the file, with their ends.
    """
    plain, mark = hide_returns(lines)
    start = find_start(plain, "\t", [])
    with long_fields():
        records, _ = _records(plain[: start.line + PROBED_LINES], start.line, start.separator, mark=mark)
    header = records[0][1] if records else []
    if len(header) < 2:
        return len(header) == 1 and len(records) > 1 and header[0].strip().lower() in CUSTOMARY_NAMES["text"]
    return start.separator == "\t" or is_customary(header)


def read_lines(lines: list[str]) -> Grid:
    r"""A file of one text a line, without a header; blank lines part them.

    Example:
        >>> read_lines(["It rains.\n", "\n", "It pours.\n"])
        (('text',), (('It rains.',), ('It pours.',)), (1, 3))
    """
    filled = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    return ("text",), tuple((line,) for _, line in filled), tuple(number for number, _ in filled)


def _even_rows(
    records: Sequence[Record], width: int, separator: str, *, findings: list[Finding]
) -> list[tuple[int, list[str]]]:
    """Rows with as many fields as the header, each with its line."""
    even_rows: list[tuple[int, list[str]]] = []
    uneven: dict[int, int] = {}
    trailing, long = [], []
    for line, fields, end in records:
        if len(fields) > width and not any(field.strip() for field in fields[width:]):
            fields = fields[:width]
            trailing.append(line)
        if len(fields) != width:
            uneven[line] = len(fields)
            continue
        even_rows.append((line, fields))
        swallowed = separator == "\t" and any("\n" in field and "\t" in field for field in fields)
        if end - line >= MOST_LINES or swallowed:
            long.append(line)
    if uneven:
        counts = ", ".join(str(count) for count in sorted(set(uneven.values()))[:5])
        message = f"{have(len(uneven))} {counts} fields; the header names {width} column{'s' if width != 1 else ''}."
        advice = "Quote texts that hold the separator or a line break."
        findings.append(Finding("error", "fields", message, advice, tuple(uneven)))
    if trailing:
        message = f"{have(len(trailing))} empty fields behind the last column; they are passed over."
        findings.append(Finding("note", "empty fields", message, "", tuple(trailing)))
    if long:
        message = f"{have(len(long))} very many lines, or a tab, between quotation marks: one may be missing."
        findings.append(Finding("warning", "long rows", message, "Look at these rows in an editor.", tuple(long)))
    return even_rows


def _without_quoting(
    lines: list[str], start: int, mark: str, *, records: list[Record], broken: list[int]
) -> tuple[list[Record], list[int]]:
    """Chooses between TSV quoted like CSV and TSV without quoting (a '"' is a character).

    Where every line is a row as it stands, a '"' at the beginning of one text and at the end of a later one must not
    make one row of both.
    """
    plain, none = _records(lines, start, "\t", mark=mark, quoting=csv.QUOTE_NONE)
    if none or not _even(plain):
        return records, broken
    return (plain, []) if broken or not _even(records) or len(plain) > len(records) else (records, broken)


def _even(records: Sequence[Record]) -> bool:
    return bool(records) and all(len(fields) == len(records[0][1]) for _, fields, _ in records)


def _records(
    lines: list[str], start: int, separator: str, *, mark: str, quoting: Any = csv.QUOTE_MINIMAL
) -> tuple[list[Record], list[int]]:
    """Rows with their first and last line, and the first lines of rows that cannot be read."""
    records: list[Record] = []
    broken: list[int] = []
    while start < len(lines) and len(broken) < MOST_BAD_ROWS:
        reader = csv.reader(lines[start:], delimiter=separator, strict=True, quoting=quoting)
        at = start
        try:
            for fields in reader:
                if fields:
                    records.append((at + 1, show_returns(fields, mark), start + reader.line_num))
                at = start + reader.line_num
            break
        except csv.Error:
            broken.append(at + 1)
            start = at + 1
    return records, broken
