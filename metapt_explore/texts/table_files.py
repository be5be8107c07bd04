"""Files of rows as they are: CSV, TSV, JSONL, Parquet. What is wrong with one is said with its name and row."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from metapt_explore.errors import UserError, nearest
from metapt_explore.escaping import from_csv_rows

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")

Table = dict[str, list[Any]]
#: Of Unicode's private use: stands for a carriage return inside a text while a table is taken apart.
HIDDEN = "\ue00d"


def existing(path: Path) -> Path:
    """The path, where a file is there.

    Raises:
        UserError: Where none is; names the nearest one beside it.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; a file ({', '.join(SUFFIXES)}) is expected.")
    if not path.exists():
        folder = path.parent
        beside = [entry.name for entry in folder.iterdir() if entry.suffix in SUFFIXES] if folder.is_dir() else []
        raise UserError(f"There is no file {path}." + (f" {nearest(path.name, beside)}" if beside else ""))
    return path


def read_table(path: Path) -> Table:
    """Reads a file as it is: column name to values.

    Args:
        path: CSV, TSV, JSONL or Parquet, by its suffix.

    Raises:
        UserError: Where it cannot be read; names the file and the row.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: the suffix '{path.suffix}' is not known; files end in {', '.join(SUFFIXES)}.")
    existing(path)
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty.")
    if suffix == ".parquet":
        table = _read_parquet(path)
    elif suffix == ".jsonl":
        table = _read_jsonl(path)
    else:
        table = _read_delimited(path, "," if suffix == ".csv" else "\t")
    if not any(table.values()):
        raise UserError(f"{path} holds no rows.")
    return table


def _read_parquet(path: Path) -> Table:
    try:
        # Not read_table: it would make columns of folders named key=value.
        table = pyarrow.parquet.ParquetFile(path).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} is not a Parquet file that can be read: {str(error).splitlines()[0]}") from None
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _lines(path: Path) -> list[str]:
    """Lines with their ends; read whole, because only that tells the line of a wrong byte."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        advice = f"Save it as UTF-8, or see `metapt data check {path}`."
        raise UserError(f"{path}, line {line}: not UTF-8. {advice}") from None
    return lines_of(text)


def lines_of(text: str) -> list[str]:
    r"""Lines with their ends: "\n", "\r\n", or "\r" where no other ends a line (as old Macintoshes wrote it).

    Example:
        >>> lines_of("a\u2028b\nc"), lines_of("a\rb")
        (['a\u2028b\n', 'c'], ['a\n', 'b'])
    """
    # Where the header ends in a lone "\r", so does every row, and "\n" stands inside quoted texts only.
    header = re.match(r'(?:"(?:[^"]|"")*"|[^"\r\n])*(\r*\n|\r)?', text)
    if header is not None and header.group(1) == "\r":
        text = text.replace("\r", "\n")
    # Not splitlines: it also splits at characters that are text, such as U+2028.
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _read_jsonl(path: Path) -> Table:
    rows = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, row {number}: not valid JSON ({error.msg}, column {error.colno}).") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}, row {number}: a JSON object is expected, found {type(row).__name__}.")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _read_delimited(path: Path, delimiter: str) -> Table:
    lines = hide_returns(_lines(path))
    if delimiter == ",":
        return _parse(path, lines, csv.reader(lines, delimiter=delimiter, strict=True))
    # Two customs for TSV: quoted as CSV is, or no quoting at all, where a '"' is a character. Where every line is a row
    # as it stands, a '"' at the beginning of one text and at the end of a later one must not make one row of both.
    try:
        quoted = _parse(path, lines, csv.reader(lines, delimiter=delimiter, strict=True))
    except UserError:
        return _parse(path, lines, csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
    if not any('"' in line for line in lines):
        return quoted
    try:
        plain = _parse(path, lines, csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
    except UserError:
        return quoted
    return plain if _rows_of(plain) > _rows_of(quoted) else quoted


def _rows_of(table: Table) -> int:
    return max(map(len, table.values()), default=0)


def hide_returns(lines: list[str]) -> list[str]:
    r"""Lines whose "\r" stand for something else for a while, the ends of lines excepted.

    Tables that pandas wrote have them inside texts without quotation marks, where the csv module refuses them.
    """
    return [re.sub(r"\r(?!\r*(?:\n|\Z))", HIDDEN, line) if "\r" in line else line for line in lines]


def show_returns(fields: list[str]) -> list[str]:
    """Fields of a row as they were before `hide_returns`."""
    return [field.replace(HIDDEN, "\r") if HIDDEN in field else field for field in fields]


def _parse(path: Path, lines: list[str], reader: Any) -> Table:
    # Line numbers, as an editor shows them; a quoted text may run over several.
    with long_fields():
        header: list[str] = []
        rows: list[list[str]] = []
        start = 1
        try:
            for fields in reader:
                if not header:
                    header = show_returns(fields)
                elif fields and len(fields) != len(header):
                    raise UserError(
                        f"{path}, row at line {start}: {len(fields)} fields, but the header names "
                        f"{len(header)} columns. Quote texts that hold the separator or a line break."
                    )
                elif fields:
                    rows.append(show_returns(fields))
                start = reader.line_num + 1
        except csv.Error as error:
            raise UserError(f"{path}, row at line {start}: {error}. Check the quotation marks of this row.") from None
    if header:
        header, *rows = from_csv_rows([header, *rows])
    if repeated := {name for name in header if header.count(name) > 1}:
        raise UserError(f"{path}: the column {sorted(repeated)[0]!r} stands twice in the header.")
    return {name: [row[index] for row in rows] for index, name in enumerate(header)}


@contextmanager
def long_fields() -> Iterator[None]:
    """Lifts the csv module's limit of 128 KiB a field while a file is read."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)
