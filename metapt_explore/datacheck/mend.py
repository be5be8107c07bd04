"""Writes what can be read of a file anew: UTF-8, one custom of quoting, no blanks, no copies."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

from metapt_explore.datacheck.rows import Rows, conflicting
from metapt_explore.errors import UserError
from metapt_explore.escaping import csv_cell
from metapt_explore.runs.files import write_bytes
from metapt_explore.texts.rows import cell_text, duplicate_key
from metapt_explore.texts.sources import SURROGATE

KINDS = {".csv": ",", ".tsv": "\t"}


def write_mended(rows: Rows, out: Path) -> Counter[str]:
    """Writes the rows that a study would use, with all their columns.

    Left out are blank rows, later copies of a text and every row of a text that has several labels. Labels lose the
    spaces around them; nothing else is changed. Rows that could not be read are not there to be written.

    Args:
        rows: The rows.
        out: A CSV, TSV or JSONL file that does not exist.

    Returns:
        How many rows were ``written``, and left out as ``blank``, ``duplicate`` and ``conflicting``.

    Raises:
        UserError: Where the file exists, or is of another kind.
    """
    if out.suffix.lower() not in (*KINDS, ".jsonl"):
        raise UserError(f"--fix writes .csv, .tsv or .jsonl, not '{out.suffix}' ({out}).")
    if out.exists():
        raise UserError(f"{out} exists: give --fix the name of a new file.")
    kept, counts = _kept(rows)
    label = rows.raw.columns.index(rows.columns.label) if rows.columns.label else None
    table = []
    for place in kept:
        cells = [_cell(cell, out.suffix.lower()) for cell in rows.raw.rows[place]]
        if label is not None and isinstance(cells[label], str):
            cells[label] = cells[label].strip()
        table.append(cells)
    write_bytes(out, _as_text(out.suffix.lower(), rows.raw.columns, table).encode("utf-8"))
    counts["written"] = len(kept)
    return counts


def _kept(rows: Rows) -> tuple[list[int], Counter[str]]:
    against = conflicting(rows)
    keys = [None if rows.blank(place) else duplicate_key(text) for place, text in enumerate(rows.texts)]
    # Of copies the first that has a label, or the first, where none has.
    first: dict[str, int] = {}
    for place, key in enumerate(keys):
        if key is None or place in against:
            continue
        if key not in first or (not rows.labels[first[key]].strip() and rows.labels[place].strip()):
            first[key] = place
    counts: Counter[str] = Counter()
    kept = []
    for place, key in enumerate(keys):
        if key is None:
            counts["blank"] += 1
        elif place in against:
            counts["conflicting"] += 1
        elif first[key] != place:
            counts["duplicate"] += 1
        else:
            kept.append(place)
    return kept, counts


def _cell(cell: Any, suffix: str) -> Any:
    """A cell as studies read it: whole numbers without a point, nothing where there is none, no half characters."""
    if isinstance(cell, str):
        return SURROGATE.sub("\ufffd", cell)
    if suffix != ".jsonl":
        return cell_text(cell)
    if not isinstance(cell, float):
        return cell
    if cell != cell:  # not a number: pandas' way to say that there is none
        return None
    return int(cell) if cell.is_integer() else cell


def _as_text(suffix: str, columns: tuple[str, ...], table: list[list[Any]]) -> str:
    if suffix == ".jsonl":
        lines = [json.dumps(dict(zip(columns, cells, strict=True)), ensure_ascii=False, default=str) for cells in table]
        return "".join(f"{line}\n" for line in lines)
    stream = io.StringIO()
    # With "\r\n" as its end of lines the writer quotes whatever holds either; both are ends that every reader knows.
    writer = csv.writer(stream, delimiter=KINDS[suffix], lineterminator="\r\n")
    rows = [["" if cell is None else cell for cell in cells] for cells in [columns, *table]]
    writer.writerows([[csv_cell(cell) for cell in row] for row in rows])
    return stream.getvalue()
