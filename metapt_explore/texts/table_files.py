"""Files of rows as a study reads them: whatever is wrong with one is an error, with its name and row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metapt_explore.errors import UserError
from metapt_explore.texts.file_content import PACKED, SUFFIXES, existing
from metapt_explore.texts.finding import format_rows
from metapt_explore.texts.raw_table import RawTable, read_raw

__all__ = ["PACKED", "SUFFIXES", "Table", "existing", "read_sound", "read_table"]

Table = dict[str, list[Any]]


def read_table(path: Path) -> Table:
    """Reads a file as it is: column name to values.

    Args:
        path: CSV, TSV, JSON, JSONL, Parquet or an Excel workbook, also packed.

    Raises:
        UserError: Where it cannot be read, or not as a whole; names the file and the row.
    """
    return read_sound(path).table


def read_sound(path: Path) -> RawTable:
    """As `read_table`, with what is odd about the file and taken care of.

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
