"""Rows from a starter set, a file or the hub, always as text, label and group.

Values stay text: a label 1 becomes "1", whatever the file's own type, so that task files and
reports name one value. What is wrong with a file is said with its name and row.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, Features, Value

from metapt_explore.config import Columns, SourceConfig
from metapt_explore.errors import UserError
from metapt_explore.starter.texts import read_starter, starter_files
from metapt_explore.texts.file_content import MOST_BYTES, existing, streamed_kind
from metapt_explore.texts.header import SURROGATE, clean_name
from metapt_explore.texts.hub_data import read_hub as _read_hub
from metapt_explore.texts.hub_files import streamed_hub
from metapt_explore.texts.messages import nearest_column
from metapt_explore.texts.rows import cell_text
from metapt_explore.texts.table_files import Table, read_table

ROLES = ("text", "text_pair", "label", "group")


def load_source(source: SourceConfig) -> Dataset:
    """Loads the rows of a source.

    Args:
        source: A starter set, a file (CSV, TSV, JSON, JSONL, Parquet, an Excel workbook) or a hub data set.

    Returns:
        A data set in memory with exactly the columns text and, where `columns.text_pair` is given, text_pair (str; ""
        where it is blank or missing), label and group (str or None), in the order of the source. A label is None where
        its cell is empty, and everywhere if `columns.label` is not given (starter sets always have theirs).

    Raises:
        UserError: If something cannot be found, reached or read; names the file, row or column.

    Example:
        >>> load_source(SourceConfig(file="reviews.csv"))[0]  # doctest: +SKIP
        {'text': 'Arrived broken.', 'label': None, 'group': None}
    """
    if source.starter is not None:
        frame = read_starter(source.starter)
        table: Table = {name: frame[name].tolist() for name in frame.columns}
        given = source.columns
        columns = given.model_copy(update={"label": given.label or "label", "group": given.group or "group"})
        return _data_set(select_columns(table, columns, f"starter set '{source.starter}'"))
    if source.file is not None:
        return _data_set(select_columns(read_table(Path(source.file)), source.columns, source.file))
    rows = _read_hub(source)
    return _data_set(select_columns(hub_table(rows, source.columns, range(len(rows))), source.columns, source.name))


def hub_table(rows: Dataset, columns: Columns, chosen: range) -> Table:
    """Some rows of a hub data set: the columns that are wanted; the others are there without values.

    Args:
        rows: The data set.
        columns: Which column is what.
        chosen: Numbers of the rows, one after the other.
    """
    wanted = [name for name in dict.fromkeys(wanted_columns(columns)) if name in rows.column_names]
    read = rows.select_columns(wanted)[chosen.start : chosen.stop] if wanted else {}
    table: Table = {name: [] for name in rows.column_names}
    for name in wanted:
        table[name] = hub_values(read[name], rows.features[name])
    return table


def hub_values(values: Sequence[Any], feature: Any) -> list[Any]:
    """Cells of a hub data set's column; class -1, the hub's convention, is a label that is not published."""
    is_class = isinstance(feature, datasets.ClassLabel)
    return [None if value == -1 else value for value in values] if is_class else list(values)


def source_fingerprint(source: SourceConfig) -> str:
    """Hashes the content of a source, not its place.

    Args:
        source: As for `load_source`.

    Returns:
        SHA-256 in hex. Two files of equal bytes have the same, wherever they lie. A hub data set is
        hashed by name, subset, split and revision; without a full commit as revision, also by the
        fingerprint of what the hub delivers.

    Raises:
        UserError: If the source cannot be found or reached.

    Example:
        >>> len(source_fingerprint(SourceConfig(file="reviews.csv")))  # doctest: +SKIP
        64
    """
    digest = hashlib.sha256()
    if source.hub is not None:
        parts = [source.hub, source.subset, source.split, source.revision]
        if not re.fullmatch(r"[0-9a-f]{40}", source.revision or ""):
            files = streamed_hub(source)
            parts.append(_read_hub(source)._fingerprint if files is None else files.fingerprint)
        digest.update(json.dumps(parts).encode())
        return digest.hexdigest()
    if source.starter is not None:
        paths = starter_files(source.starter)
        # Two starter sets may be read from one file.
        digest.update(f"starter {source.starter}\n".encode())
    else:
        path = Path(source.name)
        paths = [existing(path, most=None if streamed_kind(path) else MOST_BYTES)]
    for path in paths:
        stat = path.stat()
        digest.update(_file_digest(path, (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size)))
    return digest.hexdigest()


@lru_cache(maxsize=4096)
def _file_digest(path: Path, unchanged: tuple[int, ...]) -> bytes:
    """Content of a file as it was then: a study asks for the same files' again with every stage it looks up."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


# ----------------------------------------------------------------------------------- common columns


def wanted_columns(columns: Columns) -> list[str]:
    """Names of the columns that are read."""
    return [name for role in ROLES if (name := getattr(columns, role)) is not None]


def select_columns(
    table: Mapping[str, Sequence[Any]], columns: Columns, where: str, *, first_row: int = 1
) -> dict[str, Sequence[str | None]]:
    """The columns text, text_pair (where it is given), label and group of a table, as text.

    Args:
        table: Column name to values.
        columns: Which column is what.
        where: What the source is called in messages.
        first_row: Number of the table's first row in the source, from 1.

    Raises:
        UserError: Where a column is missing, or a cell is no text; names the row.
    """
    for role in ROLES:
        name = getattr(columns, role)
        if name is not None and name not in table and clean_name(name) in table:
            # Written as it stands in the file, with the spaces that are read away.
            columns = columns.model_copy(update={role: clean_name(name)})
        elif name is not None and name not in table:
            raise UserError(
                f"{where} has no column '{name}' (columns.{role}). {nearest_column(name, table)} "
                f"Set `columns: {{{role}: ...}}` to one of them."
            )
    chosen: dict[str, Sequence[str | None]] = {}
    for role in ("text", "text_pair"):
        name = getattr(columns, role)
        if name is not None:
            chosen[role] = [
                _as_text(value, where, name, row=row) or "" for row, value in enumerate(table[name], first_row)
            ]
    for role in ("label", "group"):
        name = getattr(columns, role)
        if name is None:
            chosen[role] = [None] * len(chosen["text"])
        else:
            values = (_as_text(value, where, name, row=row) for row, value in enumerate(table[name], first_row))
            chosen[role] = [value if value and value.strip() else None for value in values]
    return chosen


def _data_set(columns: dict[str, Sequence[str | None]]) -> Dataset:
    return Dataset.from_dict(columns, features=Features({role: Value("string") for role in columns}))


def _as_text(value: Any, where: str, column: str, *, row: int) -> str | None:
    if isinstance(value, str) and SURROGATE.search(value):
        raise UserError(
            f"{where}, row {row}: column '{column}' holds half a character (an emoji that was cut). "
            "`metapt data check FILE --fix OUT.csv` replaces it."
        )
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | dict | tuple | bytes):
        kind = type(value).__name__
        raise UserError(f"{where}, row {row}: column '{column}' holds a {kind}; a text or number is expected.")
    return cell_text(value) or None
