"""Reading the files of a record, which may come from anywhere: bounded before they are unpacked, known columns only.

A Parquet file of a few bytes may hold gigabytes: a column that says one thing, or a long text to which every row
points. So what counts is what a table would take unpacked: eight bytes for each number (two for a half one), eight and
its own length for each text. Texts are counted batch by batch as they are decoded, since a file may lie about itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.lib import ArrowException

from metapt_explore.errors import UserError, shortened
from metapt_explore.fewshot.predictions import SCORE
from metapt_explore.results.kept_rows import OF_LABEL, ROW
from metapt_explore.results.predictions import FIRST
from metapt_explore.results.row_facts import is_told
from metapt_explore.statistics.calibration import OF_PREDICTED
from metapt_explore.storage.files import read_json

#: Bytes of a file; rows, columns and unpacked bytes of a table.
MOST_BYTES, MOST_ROWS, MOST_COLUMNS, MOST_UNPACKED = 64 * 2**20, 1_000_000, 200, 2**29
#: The same of a table that has more: a decision for each method, pair of seeds and test row, with up to 1,000 classes.
LARGE = {"predictions": (8_000_000, 1_100, 3 * 2**29)}
#: Rows of which texts are decoded at once.
BATCH = 2**14


def check_size(file: str, size: int, source: str) -> None:
    """Checks the size of a file before it is read.

    Args:
        file: Its name.
        size: Its bytes.
        source: What the record is called in messages.

    Raises:
        UserError: Where it is too large.
    """
    if size > MOST_BYTES:
        raise UserError(f"{source}: {file} has {size / 2**20:,.0f} MiB; at most {MOST_BYTES >> 20} are read.")


def read_facts(folder: Path) -> dict[str, Any]:
    """Reads ``record.json``.

    Raises:
        UserError: Where there is none, or it is too large or damaged.
    """
    file = folder / "record.json"
    if file.is_file():
        check_size(file.name, file.stat().st_size, str(folder))
    facts = read_json(file)
    if not isinstance(facts, dict):
        raise UserError(f"{folder} holds no record of a study: record.json is missing or damaged.")
    return facts


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """Reads a table of a record; of decisions and their rows only the columns that a record has.

    Args:
        folder: The record's.
        name: The table's, such as ``results``.

    Raises:
        UserError: Where it is too large, damaged, or holds what is neither number nor text.
    """
    file, source = folder / f"{name}.parquet", str(folder)
    check_size(file.name, file.stat().st_size, source)
    try:
        _check_unpacked(file, name, source)
        with pq.ParquetFile(file) as parquet:
            known = [column for column in parquet.schema_arrow.names if _is_known(name, column)]
            table = parquet.read(columns=known, use_pandas_metadata=False).to_pandas()
    except (ArrowException, OSError, ValueError, TypeError, AttributeError, KeyError):
        raise UserError(f"The record in {source} is damaged: {file.name} is no Parquet file, or cut short.") from None
    # The file's own notes may make an index of a column, which is missed where it is needed.
    kept: pd.DataFrame = table[[column for column in known if column in table]].reset_index(drop=True)
    return kept


def _is_known(name: str, column: str) -> bool:
    if name == "predictions":
        return column in (*FIRST, OF_PREDICTED, OF_LABEL) or column.startswith(SCORE)
    return name != "rows" or column in ROW or is_told(column)


def _check_unpacked(file: Path, name: str, source: str) -> None:
    """Looks at what a table would take, without unpacking it."""
    with pq.ParquetFile(file) as parquet:
        rows, schema = parquet.metadata.num_rows, parquet.schema_arrow
    most_rows, most_columns, most_unpacked = LARGE.get(name, (MOST_ROWS, MOST_COLUMNS, MOST_UNPACKED))
    most = f"more than a record's tables have ({most_rows:,} of {most_columns:,}, {most_unpacked >> 20:,} MiB unpacked)"
    too_large = UserError(f"{source}: {file.name} has {rows:,} rows of {len(schema)} columns, {most}.")
    size = rows * sum(2 if pa.types.is_float16(field.type) else 8 for field in schema)
    if rows > most_rows or len(schema) > most_columns or size > most_unpacked:
        raise too_large
    for field in schema:
        if not (_is_text(field.type) or pa.types.is_primitive(field.type) or pa.types.is_null(field.type)):
            raise UserError(f"{source}: {file.name}: column '{shortened(field.name)}' holds neither numbers nor texts.")
        if schema.names.count(field.name) > 1:
            raise UserError(f"{source}: {file.name} has two columns '{shortened(field.name)}'.")
    texts = [field.name for field in schema if _is_text(field.type)]
    if texts:
        # As dictionaries: a text to which many rows point is held once.
        with pq.ParquetFile(file, read_dictionary=texts) as parquet:
            for batch in parquet.iter_batches(BATCH, columns=texts):
                size += sum(_text_bytes(column) for column in batch.columns)
                if size > most_unpacked:
                    raise too_large


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _text_bytes(column: pa.Array) -> int:
    if not pa.types.is_dictionary(column.type):
        return int(pc.sum(pc.binary_length(column)).as_py() or 0)
    # Lengths are 32 bits wide, and their sum 64.
    return int(pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0)
