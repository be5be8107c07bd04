"""Parquet and JSONL, read in parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from metapt_explore.texts.json_rows import RefusedRow, parse_row
from metapt_explore.texts.row_source import BATCH_ROWS, Irregular, as_table, empty_table
from metapt_explore.texts.sources import select_columns
from metapt_explore.texts.streamed_file import StreamedFile, in_batches, plain_names
from metapt_explore.texts.streamed_lines import line_chunks


class ParquetRows(StreamedFile):
    """A Parquet file: a batch of a row group's rows at a time, and only the columns that are wanted."""

    def tables(self) -> Iterator[tuple[Mapping[str, list[Any]], int]]:
        """See `StreamedFile.tables`."""
        try:
            # Not a folder's files: names like key=value would become columns.
            with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
                schema = file.schema_arrow
                names = plain_names(schema.names)
                raw = dict(zip(names, schema.names, strict=True))
                read = [raw[name] for name in self.wanted if name in raw]
                if any(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) for kind in schema.types):
                    raise Irregular("a column is stored as bytes")
                for batch in file.iter_batches(BATCH_ROWS, columns=read) if read else ():
                    batch.validate(full=True)
                    table: dict[str, list[Any]] = {name: [] for name in names}
                    for name in self.wanted:
                        if name in raw:
                            table[name] = batch.column(raw[name]).to_pylist()
                    yield table, batch.num_rows
                if not read:
                    yield {name: [] for name in names}, 0
        except MemoryError:
            raise
        except (pa.ArrowException, OSError, UnicodeDecodeError, KeyError) as error:
            raise Irregular(f"it cannot be read as Parquet ({type(error).__name__})") from None


class JsonRows(StreamedFile):
    """A JSONL file: an object a line."""

    def tables(self) -> Iterator[tuple[Mapping[str, list[Any]], int]]:
        """See `StreamedFile.tables`."""
        seen: dict[str, None] = {}
        for batch in in_batches(self._lines()):
            rows = [_parsed(number, line) for number, line in batch]
            for row in rows:
                if not row.keys() <= seen.keys():
                    seen |= dict.fromkeys(row)
                    if plain_names(list(seen)) != tuple(seen):
                        raise Irregular("the name of a key has unseen characters around it")
            # A key that only later rows have is a column of all.
            yield {name: [row.get(name) for row in rows] for name in self.wanted}, len(rows)
        if missing := [name for name in self.wanted if name not in seen]:
            select_columns({name: [] for name in seen}, self.columns, self.source.name)
            raise Irregular(f"no row has '{missing[0]}'")

    def take(self, rows: np.ndarray) -> pa.Table:
        """See `RowSource.take`; only these lines are parsed."""
        parts = [empty_table(pairs=self.columns.text_pair is not None)]
        wanted = iter(rows.tolist())
        following = next(wanted, None)
        chosen: list[dict[str, Any]] = []
        for place, (number, line) in enumerate(self._lines()):
            if place == following:
                chosen.append(_parsed(number, line))
                following = next(wanted, None)
            if len(chosen) == BATCH_ROWS or (following is None and chosen):
                parts.append(as_table(self._cells(chosen)))
                chosen = []
            if following is None:
                break
        return pa.concat_tables(parts)

    def _cells(self, rows: list[dict[str, Any]]) -> Any:
        table = {name: [row.get(name) for row in rows] for name in self.wanted}
        return select_columns(table, self.columns, self.source.name)

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Lines that are not blank, with their numbers from 1."""
        number = 0
        for lines in line_chunks(self.path):
            for line in lines:
                number += 1
                if not line.isspace():
                    yield number, line


def _parsed(number: int, line: str) -> dict[str, Any]:
    try:
        return parse_row(line)
    except RefusedRow as error:
        raise Irregular(f"line {number:,} has {error}") from None
