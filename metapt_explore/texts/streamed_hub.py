"""A large hub data set of Parquet files, read from where it lies: only the wanted columns, and nothing stays on disk.

A study with `texts.limit` draws a few thousand rows of it. Which ones depends on all rows (copies, dev and test rows,
labels), so all are looked at once; the drawn ones come from their row groups alone. They are the rows, in their order,
that the whole data set gives, and the ids are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features
from datasets.table import table_cast

from metapt_explore.config import SourceConfig
from metapt_explore.errors import UserError
from metapt_explore.texts.hub_data import explained
from metapt_explore.texts.hub_files import HubFiles, open_parquet
from metapt_explore.texts.row_source import BATCH_ROWS, Batch, HubRows, Irregular, RowSource, as_table, empty_table
from metapt_explore.texts.sources import hub_values, select_columns, wanted_columns


class ParquetHubRows(RowSource):
    """Rows of a hub data set that is read where it lies.

    Args:
        source: The data set.
        files: Its files.
    """

    def __init__(self, source: SourceConfig, files: HubFiles) -> None:
        super().__init__(source)
        self._files = files

    def instead(self, error: Irregular) -> RowSource:
        """The data set as a whole, downloaded."""
        return HubRows(self.source)

    def batches(self) -> Iterator[Batch]:
        """See `RowSource.batches`."""
        for first, table in self._tables(None):
            size = max(map(len, table.values()), default=0)
            yield Batch(first, self._cells(table, first + 1))
            if not size:
                raise Irregular("it holds no row that can be read")

    def take(self, rows: np.ndarray) -> pa.Table:
        """See `RowSource.take`; row groups without a wanted row are not fetched."""
        parts = [empty_table(pairs=self.source.columns.text_pair is not None)]
        for first, table in self._tables(rows):
            size = max(map(len, table.values()), default=0)
            begin, end = np.searchsorted(rows, (first, first + size)).tolist()
            if end > begin:
                parts.append(as_table(self._cells(table, first + 1), rows[begin:end] - first))
        return pa.concat_tables(parts)

    def _cells(self, table: Mapping[str, list[Any]], first_row: int) -> Any:
        return select_columns(table, self.source.columns, self.source.name, first_row=first_row)

    def _tables(self, rows: np.ndarray | None) -> Iterator[tuple[int, dict[str, list[Any]]]]:
        """The number of the first row, and some rows; only of row groups that hold any of `rows`, where given."""
        before = 0
        try:
            for url in self._files.urls:
                with open_parquet(url) as file:
                    for group in range(file.num_row_groups):
                        size = int(file.metadata.row_group(group).num_rows)
                        if rows is None or _any_between(rows, before, before + size):
                            yield from self._of_group(file, group, before)
                        before += size
        except (UserError, Irregular, MemoryError):
            raise
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise Irregular(f"its files cannot be read in parts ({type(error).__name__})") from None
        except Exception as error:
            raise explained(self.source, error, None) from None

    def _of_group(self, file: pq.ParquetFile, group: int, first: int) -> Iterator[tuple[int, dict[str, list[Any]]]]:
        names = file.schema_arrow.names
        features = self._files.features or Features.from_arrow_schema(file.schema_arrow)
        wanted = [name for name in dict.fromkeys(wanted_columns(self.source.columns)) if name in names]
        if not wanted:
            yield first, {name: [] for name in names}
            return
        kinds = Features({name: features[name] for name in wanted if name in features})
        if len(kinds) < len(wanted):
            raise Irregular("its card does not name all of its columns")
        for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted):
            cast = table_cast(pa.Table.from_batches([batch]).select(wanted), kinds.arrow_schema)
            table: dict[str, list[Any]] = {name: [] for name in names}
            for name in wanted:
                table[name] = hub_values(cast.column(name).to_pylist(), kinds[name])
            yield first, table
            first += batch.num_rows


def _any_between(rows: np.ndarray, begin: int, end: int) -> bool:
    place = int(np.searchsorted(rows, begin))
    return place < len(rows) and bool(rows[place] < end)
