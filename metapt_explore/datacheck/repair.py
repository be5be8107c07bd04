"""`--fix`: writes what can be read of a file as a new file, and only if that passes the check."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metapt_explore.config import TaskConfig
from metapt_explore.datacheck.labels import check_labels, repaired_labels
from metapt_explore.datacheck.rows import NESTED, Rows, check_values, conflicting
from metapt_explore.errors import UserError
from metapt_explore.escaping import csv_cell
from metapt_explore.storage.files import write_bytes
from metapt_explore.texts.header import SURROGATE
from metapt_explore.texts.messages import Finding
from metapt_explore.texts.rows import cell_text
from metapt_explore.texts.table_files import read_raw

KINDS = {".csv": ",", ".tsv": "\t"}


class NotRepaired(Exception):
    """What would still be wrong; sentences, without the file's name.

    Args:
        problem: The sentences.
        left_out: Where no row is left: how many were left out, by reason.
    """

    def __init__(self, problem: str, left_out: Mapping[str, int] | None = None) -> None:
        super().__init__(problem)
        self.left_out = left_out


def write_repaired(
    rows: Rows, out: Path, task: TaskConfig | None = None, *, keep_missing: bool = False
) -> Counter[str]:
    """Writes the rows that a study would use, with all their columns; see `repaired`.

    Args:
        rows: The rows.
        out: A CSV, TSV or JSONL file that does not exist.
        task: A task whose data it is.
        keep_missing: Whether words such as "nan" are texts and labels as others are.

    Raises:
        UserError: Where the file exists or is of another kind, or where what would be written does not pass the check.
    """
    suffix = out.suffix.lower()
    if suffix not in (*KINDS, ".jsonl"):
        raise UserError(f"--fix writes .csv, .tsv or .jsonl, not '{out.suffix}' ({out}).")
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} exists: give --fix the name of a new file.")
    try:
        content, counts, _ = repaired(rows, suffix, task, keep_missing=keep_missing)
    except NotRepaired as error:
        raise UserError(
            f"{rows.raw.path}: --fix cannot repair all of it, and does not write {out}. {error} Repair that by hand "
            "first, or write another kind of file (.csv, .jsonl)."
        ) from None
    write_bytes(out, content)
    return counts


def repaired(
    rows: Rows, suffix: str, task: TaskConfig | None = None, *, keep_missing: bool = False
) -> tuple[bytes, Counter[str], tuple[int, ...]]:
    """The content of a file of the rows that a study would use, as UTF-8.

    Left out are blank rows, rows whose text is a word such as "nan", later copies of a text, every row of a text that
    has several labels, and rows whose text or label is a list or an object. Of labels that differ in spaces, case or
    the way a number is written the commonest is written, and none for a word such as "nan"; nothing else is changed.
    Unreadable rows are lost.

    Args:
        rows: The rows.
        suffix: .csv, .tsv or .jsonl.
        task: A task whose data it is.
        keep_missing: Whether words such as "nan" are texts and labels as others are.

    Returns:
        The content; how many rows were ``written``, and left out as ``blank``, ``missing``, ``nested``,
        ``duplicate`` and ``conflicting``, and how many ``labels changed`` and ``labels blanked``; and which rows were
        written, by their place in the file.

    Raises:
        NotRepaired: Where no row is left, or what would be written does not pass the check.
    """
    labels = repaired_labels(rows, task, keep_missing=keep_missing)
    written_rows, counts = _rows_to_write(rows, labels, keep_missing=keep_missing)
    if not written_rows:
        left = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        raise NotRepaired(f"Then no row is left to write ({left}).", counts)
    label = rows.raw.columns.index(rows.columns.label) if rows.columns.label else None
    table = []
    for row in written_rows:
        cells = [_cell(cell, suffix) for cell in rows.raw.rows[row]]
        if label is not None and labels[row] != cell_text(cells[label]):
            counts["labels changed" if labels[row] else "labels blanked"] += bool(rows.labels[row].strip())
            cells[label] = labels[row]
        table.append(cells)
    content = _checked_text(rows, suffix, table, task=task)
    counts["written"] = len(written_rows)
    return content, counts, tuple(written_rows)


def _rows_to_write(rows: Rows, labels: Sequence[str], *, keep_missing: bool) -> tuple[list[int], Counter[str]]:
    against = conflicting(rows, labels)
    reasons = {row: _reason_left_out(rows, row, against, keep_missing=keep_missing) for row in range(len(rows.texts))}
    keys = {row: rows.key(row) for row, reason in reasons.items() if reason is None}
    # Of copies the first that has a label, or the first, where none has.
    first: dict[str, int] = {}
    for row, key in keys.items():
        if key not in first or (not labels[first[key]] and labels[row]):
            first[key] = row
    counts: Counter[str] = Counter(reason for reason in reasons.values() if reason is not None)
    written_rows = [row for row, key in keys.items() if first[key] == row]
    if len(written_rows) < len(keys):
        counts["duplicate"] = len(keys) - len(written_rows)
    return written_rows, counts


def _reason_left_out(rows: Rows, row: int, conflicts: set[int], *, keep_missing: bool) -> str | None:
    """Why a row is left out, apart from duplicates."""
    roles = [rows.raw.columns.index(name) for name in rows.columns.model_dump().values() if name]
    if any(isinstance(rows.raw.rows[row][role], NESTED) for role in roles):
        return "nested"
    if rows.blank(row):
        return "blank"
    if not keep_missing and rows.says_nothing(row):
        return "missing"
    return "conflicting" if row in conflicts else None


def _cell(cell: Any, suffix: str) -> Any:
    """A cell as studies read it: whole numbers without a point, nothing where there is none, no half characters."""
    if isinstance(cell, str):
        return SURROGATE.sub("\ufffd", cell)
    if suffix != ".jsonl":
        return SURROGATE.sub("\ufffd", cell_text(cell))
    if isinstance(cell, bytes):
        return cell.decode("utf-8", errors="replace")
    if isinstance(cell, NESTED):
        return _nested(cell)
    if not isinstance(cell, float):
        return cell
    if cell != cell:  # not a number: pandas' way to say that there is none
        return None
    if cell in (float("inf"), float("-inf")):  # no JSON number
        return str(cell)
    return int(cell) if cell.is_integer() else cell


def _nested(cell: Any) -> Any:
    """A list or an object of a column that is no text: as it is, where JSON can say it."""
    try:
        json.dumps(cell, allow_nan=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return SURROGATE.sub("\ufffd", str(cell))
    return cell


# ------------------------------------------------------------------------------------ reading it back


def _checked_text(rows: Rows, suffix: str, table: list[list[Any]], *, task: TaskConfig | None) -> bytes:
    """The file's content, with the first way of quoting that reads back unchanged."""
    problem = "it would not be read back as it was written."
    with tempfile.TemporaryDirectory() as folder:
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
            content = SURROGATE.sub("\ufffd", _as_text(suffix, rows.raw.columns, table, quoting=quoting)).encode(
                "utf-8"
            )
            trial = Path(folder) / f"repaired{quoting}{suffix}"
            trial.write_bytes(content)
            try:
                again = Rows(read_raw(trial), rows.columns)
            except UserError as error:
                problem = str(error).replace(str(trial), "what it wrote")
                continue
            labels = check_labels(again, task) if rows.columns.label is not None else []
            findings = [*again.raw.findings, *check_values(again), *labels]
            bad = [finding for finding in findings if finding.level == "error"]
            if not bad and _plain(again.raw.columns, again.raw.rows) == _plain(rows.raw.columns, table):
                return content
            problem = _with_advice(bad[0]) if bad else problem
    raise NotRepaired(f"Left would be: {problem}")


def _with_advice(finding: Finding) -> str:
    return f"{finding.message} {finding.advice}"


def _plain(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    r"""Cells as texts; "\r\n" and "\n" are one end of a line."""
    return [list(columns), *([_plain_cell(cell) for cell in cells] for cells in rows)]


def _plain_cell(cell: Any) -> str:
    return "…" if isinstance(cell, NESTED) else cell_text(cell).replace("\r\n", "\n")


def _as_text(suffix: str, columns: tuple[str, ...], table: list[list[Any]], *, quoting: Any) -> str:
    if suffix == ".jsonl":
        lines = [json.dumps(dict(zip(columns, cells, strict=True)), ensure_ascii=False, default=str) for cells in table]
        return "".join(f"{line}\n" for line in lines)
    stream = io.StringIO()
    # With "\r\n" as its end of lines the writer quotes whatever holds either; both are ends that every reader knows.
    writer = csv.writer(stream, delimiter=KINDS[suffix], lineterminator="\r\n", quoting=quoting)
    rows = [["" if cell is None else cell for cell in cells] for cells in [columns, *table]]
    writer.writerows([[csv_cell(cell) for cell in row] for row in rows])
    return stream.getvalue()
