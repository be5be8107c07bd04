"""Vectors out of the columns of a Parquet file: a column of lists, or columns of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metapt_explore.config.embeddings import FileEmbeddings
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.texts.file_content import existing

if TYPE_CHECKING:
    import pyarrow


def column_of(table: pyarrow.Table, name: str, key: str, file: str) -> Any:
    """A column that a setting names.

    Raises:
        UserError: Where there is none of that name.
    """
    if name not in table.column_names:
        raise UserError(f"{file} has no column '{name}' (embeddings.{key}). {did_you_mean(name, table.column_names)}")
    return table.column(name)


def vectors_of(table: pyarrow.Table, settings: FileEmbeddings) -> tuple[np.ndarray, tuple[str, ...]]:
    """The numbers of each row, ``[rows, width]``, and the columns that they stand in.

    Args:
        table: The file's columns.
        settings: Which of them is what.

    Raises:
        UserError: Where there are none, or several to choose from, or rows of different lengths.
    """
    file, name = settings.file, settings.column
    lists = [field.name for field in table.schema if _is_list(field.type) and _is_number(field.type.value_type)]
    if name is None and len(lists) > 1:
        raise UserError(f"{file} has several columns of lists ({', '.join(lists)}): name one as embeddings.column.")
    if name is None and not lists:
        numbers = [f.name for f in table.schema if _is_number(f.type) and f.name not in (settings.id, settings.text)]
        if not numbers:
            raise UserError(
                f"{file} holds no vectors: a column of lists of numbers, or columns of numbers, are expected. It has "
                f"{', '.join(table.column_names)}."
            )
        return np.column_stack([_numbers(table.column(each)) for each in numbers]), tuple(numbers)
    name = name or lists[0]
    column = column_of(table, name, "column", file)
    if name not in lists:
        raise UserError(f"{file}: column '{name}' holds {column.type}, no lists of numbers.")
    rows = column.combine_chunks()
    lengths = np.nan_to_num(rows.value_lengths().to_numpy(zero_copy_only=False)).astype(np.int64)
    width = int(np.bincount(lengths).argmax()) if len(lengths) else 0
    if len(wrong := np.flatnonzero(lengths != width)) or not width:
        row = int(wrong[0]) if len(wrong) else 0
        has = lengths[row] if len(lengths) else 0
        raise UserError(f"{file}, row {row + 1}: '{name}' has {has} numbers; most rows have {width}.")
    return _numbers(rows.flatten()).reshape(len(lengths), width), (name,)


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_floating(kind) or types.is_integer(kind))


def column_names(file: str) -> tuple[list[str], list[str]]:
    """Names of a Parquet file's columns of lists of numbers, and of all others; only its schema is read.

    Raises:
        UserError: Where it cannot be read.
    """
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(existing(Path(file)))
    except UserError:
        raise
    except Exception as error:  # libraries raise all kinds of errors for a damaged file
        raise UserError(f"{file} cannot be read as a Parquet file ({type(error).__name__}).") from None
    lists = [field.name for field in schema if _is_list(field.type) and _is_number(field.type.value_type)]
    return lists, [name for name in schema.names if name not in lists]


def _numbers(values: Any) -> np.ndarray:
    """A column as numbers; a missing value is NaN."""
    numbers = np.asarray(values.to_numpy(zero_copy_only=False))
    # Halves and singles stay what they are: large files would take four times the memory on the way.
    return numbers if numbers.dtype in (np.float16, np.float32) else numbers.astype(np.float64)
