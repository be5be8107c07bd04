"""Tables in Parquet files and Excel workbooks."""

from __future__ import annotations

import io
from typing import Any

import pyarrow
import pyarrow.parquet

from metapt_explore.texts.delimited import Grid
from metapt_explore.texts.file_content import GIB, MOST_BYTES
from metapt_explore.texts.first_lines import MOST_TITLE_LINES, PROBED_LINES, is_customary
from metapt_explore.texts.header import name_columns
from metapt_explore.texts.messages import Finding, NoTable, shown

#: Cells up to which a table is read; one of nothing but nulls takes no bytes.
MOST_CELLS = 200_000_000
#: Excel's own limits.
MOST_SHEET_ROWS, MOST_SHEET_COLUMNS = 1_048_576, 16_384


def read_parquet(data: bytes, findings: list[Finding]) -> Grid:
    """Reads a Parquet file.

    Args:
        data: Its bytes.
        findings: Problems are appended to it.

    Raises:
        NoTable: Where it is too large, or its texts are not UTF-8.
    """
    # Not read_table: it would make columns of folders named key=value.
    file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data), page_checksum_verification=True)
    parts = file.metadata
    size = sum(parts.row_group(index).total_byte_size for index in range(parts.num_row_groups))
    if size > MOST_BYTES or parts.num_rows * max(1, parts.num_columns) > MOST_CELLS:
        raise NoTable(
            f"it holds {parts.num_rows:,} rows of {parts.num_columns:,} columns, {size / GIB:.1f} GiB unpacked; at "
            f"most {MOST_CELLS:,} cells and {MOST_BYTES // GIB} GiB are read. Take some of its rows"
        )
    table = file.read()
    columns = []
    for index, name in enumerate(table.column_names):
        column = table.column(index)
        try:
            column.validate(full=True)
            values = column.to_pylist()
        except (pyarrow.ArrowInvalid, UnicodeDecodeError) as error:
            not_utf8 = isinstance(error, UnicodeDecodeError) or "utf8" in str(error).lower()
            what = "holds text that is not UTF-8" if not_utf8 else "is damaged"
            raise NoTable(f"its column '{shown(name, 40)}' {what}; write the file anew") from None
        columns.append(_text_of_bytes(name, values, findings))
    rows = list(zip(*columns, strict=True))
    names, named_rows = name_columns(table.column_names, rows, (), findings=findings)
    return names, named_rows, tuple(range(1, len(named_rows) + 1))


def _text_of_bytes(name: str, values: list[Any], findings: list[Finding]) -> list[Any]:
    """A column of bytes as text, where all of it is UTF-8: some programs write text without saying so."""
    if not any(isinstance(value, bytes) for value in values):
        return values
    try:
        decoded = [value.decode("utf-8") if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError:
        return values
    findings.append(
        Finding("note", "bytes", f"The column '{shown(name, 40)}' is stored as bytes; it is read as UTF-8.")
    )
    return decoded


def read_workbook(data: bytes, findings: list[Finding]) -> Grid:
    """Reads the first sheet of an Excel workbook that holds anything.

    Args:
        data: Its bytes.
        findings: Problems are appended to it.

    Raises:
        NoTable: Where the library is not installed, or no sheet holds a row.
    """
    try:
        import openpyxl
    except ImportError:
        raise NoTable(
            "Excel workbooks are read by openpyxl, which is not installed: `pip install openpyxl` "
            "(metapt-explore's extra `xlsx`), or save the sheet as CSV"
        ) from None
    # Values as they were last computed, row by row.
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    sheets = [(sheet.title, rows) for sheet in book.worksheets if (rows := _sheet_rows(sheet))]
    if not sheets:
        raise NoTable("no sheet of the workbook holds a row")
    title, records = sheets[0]
    if len(sheets) > 1:
        message = f"{len(sheets)} sheets of the workbook hold something; the first, '{shown(title, 40)}', is read."
        findings.append(
            Finding("warning", "sheets", message, "Save another sheet as a file of its own if it is meant.")
        )
    header_index = _header_place(records)
    if header_index:
        above = tuple(line for line, _ in records[:header_index])
        message = f"The table begins in row {records[header_index][0]}; what stands above it is a title, as it seems."
        advice = "Take it out, or let `metapt data check FILE --fix OUT.csv` do it."
        findings.append(Finding("error", "first lines", message, advice, above))
    width = max(len(cells) for _, cells in records)
    line, header = records[header_index]
    rows = [_to_width(cells, width) for _, cells in records[header_index + 1 :]]
    names, named_rows = name_columns(_to_width(header, width), rows, (line,), findings=findings)
    return names, named_rows, tuple(number for number, _ in records[header_index + 1 :])


def _to_width(cells: tuple[Any, ...], width: int) -> tuple[Any, ...]:
    return cells + (None,) * (width - len(cells))


def _sheet_rows(sheet: Any) -> list[tuple[int, tuple[Any, ...]]]:
    """Rows that hold anything, with their numbers, each as far as its last cell."""
    sheet.reset_dimensions()  # what a file says of its own size is not to be believed
    filled_rows = []
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        if number > MOST_SHEET_ROWS or len(cells) > MOST_SHEET_COLUMNS:
            raise NoTable(f"a sheet has more than {MOST_SHEET_ROWS:,} rows or {MOST_SHEET_COLUMNS:,} columns")
        last = max((column for column, cell in enumerate(cells, 1) if cell not in (None, "")), default=0)
        if last:
            filled_rows.append((number, tuple(cells[:last])))
    return filled_rows


def _header_place(records: list[tuple[int, tuple[Any, ...]]]) -> int:
    """Which row is the header: the first of several cells, where what stands above it is one cell, a title."""
    widths = [sum(cell not in (None, "") for cell in cells) for _, cells in records[:PROBED_LINES]]
    index = next((index for index, width in enumerate(widths) if width > 1), 0)
    cells = [cell for cell in records[index][1] if cell not in (None, "")]
    named = all(isinstance(cell, str) for cell in cells) and len(set(cells)) == len(cells)
    below = widths[index + 1 :]
    if not 0 < index <= MOST_TITLE_LINES or not named or is_customary(map(str, records[0][1])):
        return 0
    return index if below and 2 * sum(width > 1 for width in below) >= len(below) else 0
