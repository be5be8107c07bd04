"""The one place where a file of rows is read, as far as it can be read, and what is wrong with it is said.

Studies (`table_files.read_table`) refuse a file in which something is wrong; `metapt data check` says all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metapt_explore.errors import UserError
from metapt_explore.texts.delimited import Grid, is_table, read_delimited, read_lines
from metapt_explore.texts.encodings import decode
from metapt_explore.texts.file_content import SAY_KINDS, Content, read_content
from metapt_explore.texts.first_lines import lines_of
from metapt_explore.texts.json_rows import BEGINS_AS_OBJECTS, read_json
from metapt_explore.texts.messages import Finding, NoTable, format_rows, memory_ran_out, shown

#: A file of more columns is another kind of file.
MOST_COLUMNS = 20_000

Table = dict[str, list[Any]]


@dataclass(frozen=True)
class RawTable:
    """What could be read of a file.

    Attributes:
        path: The file.
        columns: Names of the columns, each its own.
        rows: Cells of each readable row.
        lines: First line of each row.
        encoding: Of its text; empty for binary files.
        separator: Of fields; empty for kinds without one.
        findings: What is wrong with the file itself.
        noun: Unit of `lines`: "line", or "row" in files without lines.
        kind: What the file is, by its bytes: csv, tsv, txt (a text a line), json, jsonl, parquet or
            xlsx.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    lines: tuple[int, ...]
    encoding: str
    separator: str
    findings: tuple[Finding, ...]
    noun: str
    kind: str = "csv"

    @property
    def table(self) -> dict[str, list[Any]]:
        """Column name to values."""
        return {name: [row[index] for row in self.rows] for index, name in enumerate(self.columns)}


def read_raw(path: Path, encoding: str = "") -> RawTable:
    """Reads a file of rows as far as it goes.

    Args:
        path: CSV, TSV, JSON, JSONL, Parquet or an Excel workbook, also packed; told apart by first bytes, then suffix.
        encoding: How its text is written; guessed from its bytes if empty.

    Raises:
        UserError: If there is no such file, it is of another kind, damaged or without rows.
    """
    kind = ""
    try:
        content = read_content(path)
        kind = content.kind
        return _read(path, content, encoding)
    except UserError:
        raise
    except NoTable as error:
        raise UserError(f"{path}: {str(error).rstrip('.')}.") from None
    except ModuleNotFoundError:
        raise  # our own installation, not the file
    except MemoryError:  # Arrow's is one, too
        raise UserError(memory_ran_out(str(path))) from None
    except Exception as error:
        # Libraries raise all kinds of errors for a damaged file.
        what = SAY_KINDS.get(kind, "a file")
        raise UserError(f"{path} cannot be read as {what}: {_reason(error)}. Is it whole? Write it anew.") from None


def _reason(error: Exception) -> str:
    """A library's message without quotations, which may be private lines of the file."""
    if isinstance(error, OSError) and error.strerror:
        return shown(error.strerror)
    first = (str(error).splitlines() or [""])[0]
    bare = re.sub(r"['\"`].*", "", first).strip(" .:(b")
    return f"{shown(bare, 100)} ({type(error).__name__})" if bare else type(error).__name__


def _read(path: Path, content: Content, given_encoding: str) -> RawTable:
    findings = list(content.findings)
    encoding = separator = ""
    noun, kind = "row", content.kind
    grid: Grid
    if content.kind in ("parquet", "xlsx"):
        from metapt_explore.texts import binary_tables

        read = binary_tables.read_parquet if content.kind == "parquet" else binary_tables.read_workbook
        grid = read(content.take(), findings)
    else:
        text, encoding = decode(content.take(), findings, given_encoding)
        if not text.strip():
            raise UserError(f"{path} is empty.")
        if content.kind in ("json", "jsonl") or _holds_objects(text):
            if content.kind not in ("json", "jsonl"):
                message = "The file holds JSON, whatever its name says; it is read as that."
                findings.append(Finding("note", "another kind", message))
            grid, noun = read_json(text, whole=content.kind == "json", findings=findings)
            kind = "jsonl" if noun == "line" else "json"
        else:
            lines_of_text = lines_of(text)
            del text
            if content.kind == "txt" and not is_table(lines_of_text):
                grid = read_lines(lines_of_text)
            else:
                kind = "tsv" if kind == "txt" else kind
                grid, separator = read_delimited(lines_of_text, "," if kind == "csv" else "\t", findings)
            noun = "line"
    columns, rows, lines = grid
    if len(columns) > MOST_COLUMNS:
        raise UserError(f"{path} has {len(columns):,} columns; a table of at most {MOST_COLUMNS:,} is read.")
    if not rows or not columns:
        why = next((f" {_with_place(finding, noun)}" for finding in findings if finding.level == "error"), "")
        raise UserError(f"{path} holds no rows that can be read.{why}")
    return RawTable(path, columns, rows, lines, encoding, separator, tuple(findings), noun, kind)


def _with_place(finding: Finding, noun: str) -> str:
    return f"{finding.message} ({format_rows(finding.rows, noun)})" if finding.rows else finding.message


def _holds_objects(text: str) -> bool:
    """Whether a text that is called CSV is JSON: its first line begins an object or a list of objects."""
    return BEGINS_AS_OBJECTS.match(text) is not None


# ------------------------------------------------------------------------------ as studies read


def read_table(path: Path) -> Table:
    """Reads a file as it is: column name to values.

    Args:
        path: CSV, TSV, JSON, JSONL, Parquet or an Excel workbook, also packed.

    Raises:
        UserError: Where it cannot be read, or not as a whole; names the file and the row.
    """
    return read_sound(path).table


def read_sound(path: Path) -> RawTable:
    """Like `read_table`, with the findings that do not stop a study.

    Raises:
        UserError: As `read_table`.
    """
    raw = read_raw(path)
    for finding in raw.findings:
        if finding.level == "error":
            where = f", {format_rows(finding.rows, raw.noun)}" if finding.rows else ""
            advice = finding.advice.replace(" FILE ", f" {path} ")
            more = "" if "metapt data check" in advice else f" `metapt data check {path}` says all that is wrong."
            raise UserError(f"{path}{where}: {finding.message} {advice}{more}")
    return raw
