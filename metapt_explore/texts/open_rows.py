"""How the rows of a source are read: in parts where they can be, as a whole where they must be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from metapt_explore.config import SourceConfig
from metapt_explore.errors import UserError
from metapt_explore.texts.file_content import streamed_kind
from metapt_explore.texts.hub_files import streamed_hub
from metapt_explore.texts.messages import memory_ran_out
from metapt_explore.texts.row_source import DatasetRows, HubRows, Irregular, RowSource
from metapt_explore.texts.streamed_csv import DelimitedRows
from metapt_explore.texts.streamed_hub import ParquetHubRows
from metapt_explore.texts.streamed_tables import JsonRows, ParquetRows

T = TypeVar("T")


def open_rows(source: SourceConfig) -> RowSource:
    """The rows of a source, in the way that holds fewest of them.

    Args:
        source: A starter set, a file or a hub data set.

    Raises:
        UserError: Where it cannot be found or read.
    """
    if source.hub is not None:
        files = streamed_hub(source)
        return HubRows(source) if files is None else ParquetHubRows(source, files)
    kind = None if source.file is None else streamed_kind(Path(source.file))
    if kind is None:
        return DatasetRows(source)
    if kind == "parquet":
        return ParquetRows(source)
    return JsonRows(source) if kind == "jsonl" else DelimitedRows(source, "," if kind == "csv" else "\t")


def with_rows(source: SourceConfig, use: Callable[[RowSource], T]) -> T:
    """What `use` makes of the rows; it begins again where a file turns out to need another way of reading.

    Args:
        source: The source.
        use: Reads the rows, once or several times.

    Raises:
        UserError: Where they cannot be read.
    """
    rows = open_rows(source)
    while True:
        try:
            return use(rows)
        except Irregular as error:
            rows = rows.instead(error)
        except MemoryError:
            raise UserError(memory_ran_out(source.name)) from None
