"""Rows of a source in batches, as often as they are asked for: a study never holds more of them than it draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from datasets import Dataset

from metapt_explore.config import SourceConfig
from metapt_explore.texts.hub_data import read_hub
from metapt_explore.texts.rows import TextInput
from metapt_explore.texts.sources import hub_table, load_source, select_columns

#: Rows of a batch.
BATCH_ROWS = 4_096

#: Columns text, text_pair (of pairs), label and group.
Cells = Mapping[str, Sequence[str | None]]


class Irregular(Exception):
    """A file cannot be read in parts as it would be read as a whole; the message says what is in it, and where."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a source.

    Attributes:
        first: Number of its first row in the source, from 0.
        cells: Columns text, text_pair (of pairs), label and group; texts are never None.
    """

    first: int
    cells: Cells

    def __len__(self) -> int:
        return len(self.cells["text"])

    @property
    def inputs(self) -> list[TextInput]:
        """Its texts, or pairs of them."""
        texts = [text or "" for text in self.cells["text"]]
        if "text_pair" not in self.cells:
            return list(texts)
        return list(zip(texts, (text or "" for text in self.cells["text_pair"]), strict=True))


class RowSource(ABC):
    """Rows of a source, in batches.

    Args:
        source: The source.
    """

    def __init__(self, source: SourceConfig) -> None:
        self.source = source

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """All rows in the order of the source.

        Raises:
            UserError: Where they cannot be read.
            Irregular: Where they must be read as a whole (`instead`).
        """

    def instead(self, error: Irregular) -> RowSource:
        """The rows read in another way, after an error of this one."""
        raise error

    def take(self, rows: np.ndarray) -> pa.Table:
        """Some rows.

        Args:
            rows: Their numbers, from 0, growing.

        Returns:
            Their columns text, text_pair (of pairs), label and group, in the order of the source.
        """
        parts = [empty_table(pairs=self.source.columns.text_pair is not None)]
        done = 0
        for batch in self.batches():
            end = int(np.searchsorted(rows, batch.first + len(batch)))
            if end > done:
                parts.append(as_table(batch.cells, rows[done:end] - batch.first))
            done = end
            if done == len(rows):
                break
        return pa.concat_tables(parts)


def empty_table(*, pairs: bool) -> pa.Table:
    """A table without rows."""
    return as_table({name: [] for name in ("text", *(["text_pair"] if pairs else []), "label", "group")})


def as_table(cells: Cells, places: Sequence[int] | np.ndarray | None = None) -> pa.Table:
    """Some rows of a batch, or all, as a table."""
    columns = {
        name: pa.array(values if places is None else [values[place] for place in places], pa.string())
        for name, values in cells.items()
    }
    return pa.table(columns)


class DatasetRows(RowSource):
    """Rows that lie in memory: starter sets, and files that are read as a whole.

    Args:
        source: The source.
        rows: What was read of it; read now when absent.
    """

    def __init__(self, source: SourceConfig, rows: Dataset | None = None) -> None:
        super().__init__(source)
        self._rows = load_source(source) if rows is None else rows

    def batches(self) -> Iterator[Batch]:
        """See `RowSource.batches`."""
        arrow = self._rows.with_format("arrow")
        for first in range(0, len(self._rows), BATCH_ROWS):
            yield Batch(first, arrow[first : first + BATCH_ROWS].to_pydict())


class HubRows(RowSource):
    """Rows of a hub data set, which lie on disk and are mapped into memory as they are read."""

    def batches(self) -> Iterator[Batch]:
        """See `RowSource.batches`."""
        rows = read_hub(self.source)
        for first in range(0, len(rows), BATCH_ROWS):
            table = hub_table(rows, self.source.columns, range(first, min(first + BATCH_ROWS, len(rows))))
            yield Batch(first, select_columns(table, self.source.columns, self.source.name, first_row=first + 1))
