"""Reads a file that may be damaged as far as it can be read, and says what is wrong with it.

`texts.sources` refuses a file at the first thing that is wrong; here all of it is found at once.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metapt_explore.datacheck.finding import Finding, have
from metapt_explore.errors import UserError
from metapt_explore.escaping import from_csv_rows
from metapt_explore.texts.table_files import (
    SUFFIXES,
    existing,
    hide_returns,
    lines_of,
    long_fields,
    read_table,
    show_returns,
)

#: Separators that files have, whatever their suffix says.
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
WIDE = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
#: So many bad rows are looked for; a file with more is another kind of file.
MOST_BAD_ROWS = 200
#: Lines that are tried with each separator.
PROBED_LINES = 30
#: A quoted text over more lines than this has probably lost its closing mark.
MOST_LINES = 20
SAVE = "Save it as UTF-8, or let `metapt data check FILE --fix OUT.csv` do it."


@dataclass(frozen=True)
class RawTable:
    """What could be read of a file.

    Attributes:
        path: The file.
        columns: Names of the columns.
        rows: Cells of each row that could be read.
        lines: Where each of them begins (a row number for Parquet).
        encoding: How its bytes are read; empty for Parquet.
        separator: What stands between fields; empty where that is not a matter.
        findings: What is wrong with the file itself.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    lines: tuple[int, ...]
    encoding: str
    separator: str
    findings: tuple[Finding, ...]

    @property
    def noun(self) -> str:
        """What `lines` counts."""
        return "row" if self.path.suffix.lower() == ".parquet" else "line"

    @property
    def table(self) -> dict[str, list[Any]]:
        """Column name to values."""
        return {name: [row[place] for row in self.rows] for place, name in enumerate(self.columns)}


def read_raw(path: Path) -> RawTable:
    """Reads a CSV, TSV, JSONL or Parquet file as far as it goes.

    Args:
        path: The file.

    Raises:
        UserError: Where there is nothing to look at: no such file, another kind of file, or an empty one.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: the suffix '{path.suffix}' is not known; files end in {', '.join(SUFFIXES)}.")
    existing(path)
    if suffix == ".parquet":
        table = read_table(path)
        rows = tuple(zip(*table.values(), strict=True))
        return RawTable(path, tuple(table), rows, tuple(range(1, len(rows) + 1)), "", "", ())
    content = path.read_bytes()
    if not content.strip():
        raise UserError(f"{path} is empty.")
    found: list[Finding] = []
    text, encoding = _decode(content, found)
    if not text.strip():
        raise UserError(f"{path} is empty.")
    lines, separator = lines_of(text), ""
    if suffix == ".jsonl":
        columns, rows, where = _json_lines(lines, found)
    else:
        separator = _separator(lines, "," if suffix == ".csv" else "\t", found)
        columns, rows, where = _delimited(path, lines, separator, found)
    if not rows:
        why = next((f" {finding.said}" for finding in found if finding.level == "error"), "")
        raise UserError(f"{path} holds no rows that can be read.{why}")
    return RawTable(path, columns, rows, where, encoding, separator, tuple(found))


# ------------------------------------------------------------------------------------------ bytes


def _decode(content: bytes, found: list[Finding]) -> tuple[str, str]:
    """The file's text and the name of its encoding."""
    for mark, encoding in WIDE.items():
        if content.startswith(mark):
            found.append(Finding("error", "encoding", "The file is UTF-16; studies read UTF-8.", SAVE))
            return content.decode(encoding, errors="replace"), encoding
    if content.startswith(codecs.BOM_UTF8):
        said = "The file begins with a byte order mark (as spreadsheets write it); it is read without."
        found.append(Finding("note", "byte order mark", said))
        content = content[len(codecs.BOM_UTF8) :]
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    lines = content.split(b"\n")
    bad = [number for number, line in enumerate(lines, 1) if not _is_utf8(line)]
    encoding = _one_byte(b"\n".join(lines[number - 1] for number in bad))
    shown = lines[bad[0] - 1].decode(encoding, errors="replace").strip()
    beyond = re.search(r"[^\x00-\x7f]", shown)
    start = max(0, (beyond.start() if beyond else 0) - 15)
    reads = f"as {encoding} line {bad[0]} reads '…{shown[start : start + 30]}…'. Is that right?"
    good = sum(not line.isascii() for line in lines) - len(bad)
    if good > len(bad):
        # A few lines of another origin, or a character that was cut: the rest is what it says it is.
        said = f"{have(len(bad), 'line')} bytes that are not UTF-8, as the rest of the file is; {reads}"
        found.append(Finding("error", "encoding", said, SAVE, tuple(bad)))
        strange = set(bad)
        text = "\n".join(
            line.decode(encoding if number in strange else "utf-8", errors="replace")
            for number, line in enumerate(lines, 1)
        )
        return text, f"utf-8 and {encoding}"
    found.append(Finding("error", "encoding", f"The file is not UTF-8; {reads}", SAVE, tuple(bad)))
    return content.decode(encoding, errors="replace"), encoding


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _one_byte(content: bytes) -> str:
    """Windows-1252, which is what most such files are, where all bytes have a meaning in it; else Latin-1."""
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    # Files without any of the bytes in which the two differ are called by the simpler name.
    return "cp1252" if re.search(rb"[\x80-\x9f]", content) else "latin-1"


# ------------------------------------------------------------------------------------------- CSV


def _separator(lines: list[str], expected: str, found: list[Finding]) -> str:
    """What stands between fields: what the suffix says, unless only something else makes a table of the first rows."""
    fitting = [mark for mark in SEPARATORS if _makes_a_table(lines[:PROBED_LINES], mark)]
    if expected in fitting or not fitting:
        return expected
    most = fitting[0]
    said = f"Fields are separated by {SEPARATORS[most]}; studies expect {SEPARATORS[expected]} in such a file."
    mend = "Let `metapt data check FILE --fix OUT.csv` write it anew"
    mend += ", or call it .tsv." if most == "\t" else "."
    found.append(Finding("error", "separator", said, mend))
    return most


def _makes_a_table(lines: list[str], separator: str) -> bool:
    """Whether most rows have the header's two fields or more."""
    with long_fields():
        counts = [len(fields) for fields in csv.reader(hide_returns(lines), delimiter=separator) if fields]
    return bool(counts) and counts[0] > 1 and 2 * sum(count == counts[0] for count in counts[1:]) >= len(counts) - 1


Rows = tuple[tuple[str, ...], tuple[tuple[Any, ...], ...], tuple[int, ...]]


def _delimited(path: Path, lines: list[str], separator: str, found: list[Finding]) -> Rows:
    lines = hide_returns(lines)
    with long_fields():
        records, broken = _records(lines, separator)
        width = len(records[0][1]) if records else 0
        if separator == "\t" and (broken or any(len(fields) != width for _, fields, _ in records)):
            # Two customs for TSV: quoted as CSV is, or no quoting at all, where a '"' is a character.
            unquoted, none = _records(lines, separator, csv.QUOTE_NONE)
            if not none and all(len(fields) == len(unquoted[0][1]) for _, fields, _ in unquoted):
                records, broken = unquoted, none
    if not records:
        raise UserError(f"{path} holds no row that can be read; is it a text file with a header?")
    header = tuple(records[0][1])
    for name in sorted({name for name in header if header.count(name) > 1}):
        said = f"The column '{name}' stands twice in the header."
        found.append(Finding("error", "header", said, "Give one of them another name.", (records[0][0],)))
    if broken:
        said = f"{have(len(broken))} a quotation mark that does not close, or text behind a closing one."
        if len(broken) >= MOST_BAD_ROWS:
            said += " No row behind them was read."
        mend = 'Write a quotation mark inside a text twice (""), and quote the whole text.'
        found.append(Finding("error", "quotation marks", said, mend, tuple(broken)))
    whole, uneven, long = [], {}, []
    for line, end, fields in ((start, end, fields) for start, fields, end in records[1:]):
        if len(fields) != len(header):
            uneven[line] = len(fields)
        else:
            whole.append((line, fields))
            swallowed = separator == "\t" and any("\n" in field and "\t" in field for field in fields)
            if end - line >= MOST_LINES or swallowed:
                long.append(line)
    if uneven:
        counts = ", ".join(str(count) for count in sorted(set(uneven.values()))[:5])
        said = f"{have(len(uneven))} {counts} fields; the header names {len(header)} columns."
        mend = "Quote texts that hold the separator or a line break."
        found.append(Finding("error", "fields", said, mend, tuple(uneven)))
    if long:
        said = f"{have(len(long))} very many lines, or a tab, between quotation marks: one may be missing."
        found.append(Finding("warning", "long rows", said, "Look at these rows in an editor.", tuple(long)))
    first, *cells = from_csv_rows([header, *(fields for _, fields in whole)])
    return tuple(first), tuple(map(tuple, cells)), tuple(line for line, _ in whole)


def _records(
    lines: list[str], separator: str, quoting: Any = csv.QUOTE_MINIMAL
) -> tuple[list[tuple[int, list[str], int]], list[int]]:
    """Rows with their first and last line; and first lines of those that cannot be read, each left at its own line."""
    records: list[tuple[int, list[str], int]] = []
    broken: list[int] = []
    start = 0
    while start < len(lines) and len(broken) < MOST_BAD_ROWS:
        reader = csv.reader(lines[start:], delimiter=separator, strict=True, quoting=quoting)
        at = start
        try:
            for fields in reader:
                if fields:
                    records.append((at + 1, show_returns(fields), start + reader.line_num))
                at = start + reader.line_num
            break
        except csv.Error:
            broken.append(at + 1)
            start = at + 1
    return records, broken


# ------------------------------------------------------------------------------------------ JSON


def _json_lines(lines: Sequence[str], found: list[Finding]) -> Rows:
    objects: list[tuple[int, dict[str, Any]]] = []
    bad, others = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            bad.append(number)
            continue
        if isinstance(value, dict):
            objects.append((number, value))
        else:
            others.append(number)
    if bad:
        said, mend = f"{have(len(bad), 'line')} no valid JSON.", "Each line is one JSON object, in double quotes."
        found.append(Finding("error", "JSON", said, mend, tuple(bad)))
    if others:
        said = f"{have(len(others), 'line')} JSON that is no object."
        mend = 'A row is written {"text": "…", "label": "…"}.'
        found.append(Finding("error", "JSON", said, mend, tuple(others)))
    columns = tuple(dict.fromkeys(name for _, row in objects for name in row))
    rows = tuple(tuple(row.get(name) for name in columns) for _, row in objects)
    return columns, rows, tuple(number for number, _ in objects)
