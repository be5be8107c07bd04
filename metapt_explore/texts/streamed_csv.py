"""CSV and TSV, read in parts."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from metapt_explore.config import SourceConfig
from metapt_explore.escaping import guard_of, unguarded
from metapt_explore.texts.first_lines import PROBED_LINES, Start, find_start, long_fields
from metapt_explore.texts.json_rows import BEGINS_AS_OBJECTS
from metapt_explore.texts.messages import Finding
from metapt_explore.texts.row_source import Irregular, RowSource
from metapt_explore.texts.streamed_file import StreamedFile, in_batches, plain_names
from metapt_explore.texts.streamed_lines import CHUNK_BYTES, line_chunks

#: Lines of one row from which a quotation mark has surely lost its closing one.
MOST_LINES_OF_A_ROW = 10_000
#: Lines in front of a header, at most.
MOST_LINES_ABOVE = 100


class _Guarded(Irregular):
    """Cells have a guard in front that keeps spreadsheets from running them (`escaping.csv_cell`)."""


class DelimitedRows(StreamedFile):
    """A CSV or TSV file.

    Args:
        source: The file.
        expected: The separator that its suffix says.
        guarded: Whether guards in front of cells are to be taken off.
    """

    def __init__(self, source: SourceConfig, expected: str, *, guarded: bool = False) -> None:
        super().__init__(source)
        self._expected, self._guarded = expected, guarded

    def instead(self, error: Irregular) -> RowSource:
        """See `StreamedFile.instead`; guards are only known when all cells were seen."""
        if isinstance(error, _Guarded):
            return DelimitedRows(self.source, self._expected, guarded=True)
        return super().instead(error)

    def tables(self) -> Iterator[tuple[Mapping[str, list[Any]], int]]:
        """See `StreamedFile.tables`."""
        start = self._start()
        quoting = csv.QUOTE_MINIMAL
        if start.separator == "\t" and self._has_quotes():
            quoting = self._quoting(start)
        records = self._records(start, quoting)
        header = next(records, None)
        if header is None:
            raise Irregular("it has no header")
        width, guards = len(header), _Guards()
        guards.look(header)
        names = plain_names([unguarded(name) for name in header] if self._guarded else header)
        places = [(name, names.index(name)) for name in self.wanted if name in names]
        for batch in in_batches(self._even(records, width)):
            for fields in batch if guards.undecided and not self._guarded else ():
                guards.look(fields)
            table: dict[str, list[Any]] = {name: [] for name in names}
            for name, place in places:
                cells = [fields[place] for fields in batch]
                table[name] = [unguarded(cell) for cell in cells] if self._guarded else cells
            yield table, len(batch)
        if guards.ours and not self._guarded:
            raise _Guarded("its cells are guarded")

    def _start(self) -> Start:
        """Where the table begins, told from the first lines."""
        lines = next(line_chunks(self.path), [])
        if BEGINS_AS_OBJECTS.match("".join(lines[:MOST_LINES_ABOVE])):
            raise Irregular("it is JSON")
        findings: list[Finding] = []
        start = find_start(lines[: MOST_LINES_ABOVE + PROBED_LINES], self._expected, findings)
        odd = next((finding for finding in findings if finding.level == "error"), None)
        if odd is not None:
            raise Irregular(odd.message.rstrip("."))
        probed = len(lines) >= start.line + PROBED_LINES or self.path.stat().st_size <= CHUNK_BYTES
        if not probed or start.line > MOST_LINES_ABOVE or lines[start.line].lstrip().startswith("#"):
            raise Irregular("its first lines are not those of a plain table")
        return start

    def _records(self, start: Start, quoting: Any) -> Iterator[list[str]]:
        """Fields of each row that is not blank, the header first."""
        bound = _LinesOfARow()
        lines = bound.counted(chain.from_iterable(line_chunks(self.path)), start.line)
        with long_fields():
            reader = csv.reader(lines, delimiter=start.separator, strict=True, quoting=quoting)
            try:
                for fields in reader:
                    bound.lines = 0
                    if fields:
                        yield fields
            except csv.Error:
                raise Irregular(f"line {start.line + reader.line_num:,}: quotation marks do not fit") from None

    def _even(self, records: Iterator[list[str]], width: int) -> Iterator[list[str]]:
        for number, fields in enumerate(records, 1):
            if len(fields) > width and not any(field.strip() for field in fields[width:]):
                fields = fields[:width]
            if len(fields) != width:
                raise Irregular(f"row {number:,} has {len(fields)} fields; the header names {width}")
            yield fields

    # -------------------------------------------------------------------- TSV with quotation marks

    def _has_quotes(self) -> bool:
        with self.path.open("rb") as stream:
            return any(b'"' in chunk for chunk in iter(lambda: stream.read(2**20), b""))

    def _quoting(self, start: Start) -> Any:
        """Whether a '"' is a quotation mark or a character; as `delimited` decides it for a whole file."""
        quoted, plain = self._shape(start, csv.QUOTE_MINIMAL), self._shape(start, csv.QUOTE_NONE)
        if plain.broken or not plain.even:
            return csv.QUOTE_MINIMAL
        without = quoted.broken or not quoted.even or plain.rows > quoted.rows
        return csv.QUOTE_NONE if without else csv.QUOTE_MINIMAL

    def _shape(self, start: Start, quoting: Any) -> _Shape:
        shape, width = _Shape(), None
        try:
            for fields in self._records(start, quoting):
                width = len(fields) if width is None else width
                shape.rows += 1
                shape.even = shape.even and len(fields) == width
        except Irregular:
            shape.broken = True
        return shape


@dataclass
class _Shape:
    """Rows of a TSV file that is read in one of two ways."""

    rows: int = 0
    even: bool = True
    broken: bool = False


@dataclass
class _LinesOfARow:
    """Counts the lines of a row, so that a lost quotation mark does not take the whole file into memory."""

    lines: int = 0

    def counted(self, lines: Iterator[str], above: int) -> Iterator[str]:
        for number, line in enumerate(lines, 1):
            if number <= above:
                continue
            self.lines += 1
            if self.lines > MOST_LINES_OF_A_ROW:
                raise Irregular(f"the row that ends behind line {number:,} has very many lines")
            yield line


@dataclass
class _Guards:
    """What is known of guards in front of cells: they are ours where no cell begins like a formula without one."""

    guarded: bool = False
    bare: bool = False

    @property
    def undecided(self) -> bool:
        return not self.bare

    @property
    def ours(self) -> bool:
        return self.guarded and not self.bare

    def look(self, fields: list[str]) -> None:
        for cell in fields:
            if cell and _MAY_BE_GUARDED.match(cell):
                guard = guard_of(cell)
                self.guarded = self.guarded or guard is True
                self.bare = self.bare or guard is False


#: First characters of cells that are guarded, or that ought to be.
_MAY_BE_GUARDED = re.compile("['=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
