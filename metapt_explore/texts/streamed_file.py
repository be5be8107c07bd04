"""A large file, read in parts: the same rows as `table_files.read_table` gives, without holding them.

Only what is plain is read so. Where anything is odd (`Irregular`), the file is read as a whole, which says what is
wrong or copes with it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from metapt_explore.config import Columns
from metapt_explore.errors import UserError
from metapt_explore.texts.file_content import GIB, MOST_BYTES, existing
from metapt_explore.texts.header import clean_name, name_columns
from metapt_explore.texts.messages import Finding
from metapt_explore.texts.row_source import BATCH_ROWS, Batch, DatasetRows, Irregular, RowSource
from metapt_explore.texts.sources import select_columns, wanted_columns


class StreamedFile(RowSource):
    """Rows of a file, read in parts.

    Args:
        source: A file.
    """

    @cached_property
    def path(self) -> Path:
        """The file."""
        return Path(self.source.name)

    @cached_property
    def columns(self) -> Columns:
        """Which column is what, by names without spaces around them, as files are read."""
        given = self.source.columns.model_dump()
        return Columns(**{role: name if name is None else clean_name(name) for role, name in given.items()})

    @cached_property
    def wanted(self) -> list[str]:
        """The columns that are read."""
        return list(dict.fromkeys(wanted_columns(self.columns)))

    def instead(self, error: Irregular) -> RowSource:
        """The file as a whole, where it is not too large for that.

        Raises:
            UserError: Where it is, naming the place.
        """
        if existing(self.path, most=None).stat().st_size > MOST_BYTES:
            raise UserError(
                f"{self.path}: {error}. A file of more than {MOST_BYTES // GIB} GiB is read in parts, and must be "
                "plain: UTF-8, one header, as many fields in each row. Write it anew, best as Parquet."
            ) from None
        return DatasetRows(self.source)

    def batches(self) -> Iterator[Batch]:
        """See `RowSource.batches`.

        Raises:
            UserError: Where a column is missing or a cell is no text, or the file changes while it is read.
            Irregular: Where it must be read as a whole.
        """
        before = self._stamp()
        first = 0
        for table, size in self.tables():
            cells = select_columns(table, self.columns, self.source.name, first_row=first + 1)
            if self._stamp() != before:
                raise UserError(f"{self.path} was changed while it was read. Run again when it is finished.")
            yield Batch(first, cells)
            first += size
        if not first:
            raise Irregular("it holds no row that can be read")

    def _stamp(self) -> tuple[int, int]:
        status = existing(self.path, most=None).stat()
        return status.st_mtime_ns, status.st_size

    @abstractmethod
    def tables(self) -> Iterator[tuple[Mapping[str, list[Any]], int]]:
        """Some rows at a time, as column name to values, and their number; all columns are named."""


def plain_names(names: Sequence[object], line: tuple[int, ...] = ()) -> tuple[str, ...]:
    """Names of columns as files are read.

    Raises:
        Irregular: Where one is blank or stands twice.
    """
    findings: list[Finding] = []
    if not names or not all(clean_name(name) for name in names):
        raise Irregular("a column has no name")
    cleaned, _ = name_columns(names, [], line, findings=findings)
    if any(finding.level == "error" for finding in findings):
        raise Irregular("a column's name stands twice")
    return cleaned


def in_batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    """Some rows at a time."""
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
