"""What the stage Texts will cost for a large file, before all of it is read: rows, seconds, memory.

Rows are those of a Parquet file's footer, or counted lines. Seconds come from the file's first rows, which are looked
at as the stage does it. Memory is a fixed number of bytes for each row and for each text that is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from metapt_explore.config import TextsConfig
from metapt_explore.errors import UserError
from metapt_explore.texts.decontaminate import HeldOutIndex
from metapt_explore.texts.file_content import streamed_kind
from metapt_explore.texts.hub_files import streamed_hub
from metapt_explore.texts.open_rows import open_rows
from metapt_explore.texts.row_source import Irregular, RowSource
from metapt_explore.texts.text_scan import TextScan

#: Kind of a hub data set that is read where it lies.
HUB = "hub"
#: Bytes of a file of lines that are counted; of a larger one the rest is taken to be alike.
COUNTED_BYTES = 512 * 2**20
#: Batches that are looked at to see how fast it goes; the first warms up.
TIMED_BATCHES = 5
#: Bytes that stay of each row while all are looked at; twice, when the parts are put together.
BYTES_A_ROW = 90
#: Times that the characters of a kept text lie in memory while its table is made and written.
COPIES_OF_KEPT = 4
#: MiB of buffers, whatever the file.
BUFFERS_MIB = 60.0
#: Share of the first reading's time that the second takes; of JSONL only the chosen lines are parsed.
SECOND_READING = {"jsonl": 0.3}
#: Seconds of the stage whatever the file, and of each text that is kept (its table is made and written).
FIXED_S, KEPT_S = 2.5, 2e-6
#: Seconds of a row, and bytes of a text, where nothing was looked at.
USUAL_ROW_S, USUAL_TEXT_BYTES = 2e-5, 200


@dataclass(frozen=True)
class ScanCost:
    """What reading a large file will cost.

    Attributes:
        rows: Its rows.
        counted: Whether they were counted, not estimated.
        seconds: Of the stage Texts.
        peak_mib: Memory of the process at its most.
        kept: Texts that are kept at most.
    """

    rows: int
    counted: bool
    seconds: float
    peak_mib: float
    kept: int


def count_rows(path: Path, kind: str) -> tuple[int, bool]:
    """Rows of a large file, and whether they were counted, not estimated.

    Lines are counted, so a row whose text has several lines counts as often.

    Args:
        path: The file.
        kind: csv, tsv, jsonl or parquet.
    """
    if kind == "parquet":
        with pq.ParquetFile(path) as file:
            return int(file.metadata.num_rows), True
    lines = seen = 0
    with path.open("rb") as stream:
        while data := stream.read(min(4 * 2**20, COUNTED_BYTES - seen)):
            lines += data.count(b"\n")
            seen += len(data)
    size = path.stat().st_size
    header = kind != "jsonl"
    return max(0, round(lines * size / max(1, seen)) - header), seen >= size


def is_large(settings: TextsConfig) -> bool:
    """Whether the texts lie in a file that is read in parts, or in a hub data set that is read where it lies.

    Raises:
        UserError: Where there is no such file.
    """
    return _kind(settings) is not None


def _kind(settings: TextsConfig) -> str | None:
    if settings.file is not None:
        return streamed_kind(Path(settings.file))
    return None if streamed_hub(settings) is None else HUB


def _counted(settings: TextsConfig, kind: str) -> tuple[int, bool]:
    files = streamed_hub(settings) if kind == HUB else None
    return count_rows(Path(settings.name), kind) if files is None else (files.rows(), True)


def count_large(settings: TextsConfig) -> int | None:
    """Rows of what is read in parts; None where it is not, or cannot be read (reading it says why)."""
    with suppress(UserError, OSError, ValueError):
        kind = _kind(settings)
        return None if kind is None else _counted(settings, kind)[0]
    return None


def most_texts(settings: TextsConfig) -> int | None:
    """Texts that a large source gives at most: its rows as counted, or the limit; None where it is not large."""
    rows = count_large(settings)
    return None if rows is None else most_kept(rows, settings)


def most_kept(rows: int, settings: TextsConfig) -> int:
    """Texts that are kept of so many rows at most."""
    return rows if settings.limit is None else min(rows, settings.limit)


def scan_cost(settings: TextsConfig, held_out: list[str]) -> ScanCost | None:
    """What the stage Texts will cost; None for what is read as a whole, in seconds.

    Args:
        settings: The texts.
        held_out: The dev and test rows that they are compared with.

    Raises:
        UserError: Where the file cannot be read.
    """
    kind = _kind(settings)
    if kind is None:
        return None
    try:
        rows, counted = _counted(settings, kind)
        # What comes over a line is waited for.
        clock = time.perf_counter if kind == HUB else time.process_time
        each, reading, letters = _timed(open_rows(settings), settings, held_out, clock)
    except (Irregular, OSError, ValueError):  # it is read as a whole, or refused
        return None
    kept = most_kept(rows, settings)
    seconds = FIXED_S + rows * (each + SECOND_READING.get(kind, 1.0) * reading) + kept * KEPT_S
    held = (rows * BYTES_A_ROW + kept * letters * COPIES_OF_KEPT) / 2**20
    peak = psutil.Process().memory_info().rss / 2**20 + BUFFERS_MIB + held
    return ScanCost(rows, counted, seconds, peak, kept)


def rough_scan(rows: int, settings: TextsConfig) -> tuple[float, float]:
    """About how many seconds, and MiB beside the program, so many rows take, with nothing looked at."""
    kept = most_kept(rows, settings)
    held = (rows * BYTES_A_ROW + kept * USUAL_TEXT_BYTES * COPIES_OF_KEPT) / 2**20
    return FIXED_S + rows * USUAL_ROW_S + kept * KEPT_S, BUFFERS_MIB + held


def _timed(
    rows: RowSource, settings: TextsConfig, held_out: list[str], clock: Callable[[], float]
) -> tuple[float, float, float]:
    """Seconds a row of looking at it and of reading it alone, and characters a row, of the file's first rows."""
    scan = TextScan(settings, HeldOutIndex(held_out, settings.near_duplicate))
    looked = read = 0.0
    number = seen = letters = 0
    batches = rows.batches()
    for place in range(TIMED_BATCHES):
        began = clock()
        batch = next(batches, None)
        came = clock()
        if batch is None:
            break
        scan.add(batch)
        if place:  # the first batch compiles expressions and fills caches
            read += came - began
            looked += clock() - came
            number += len(batch)
        seen += len(batch)
        letters += sum(len(text or "") for text in batch.cells["text"])
    return (looked + read) / max(1, number), read / max(1, number), letters / max(1, seen)


def format_scan(cost: ScanCost, name: str) -> str:
    """One sentence.

    Example:
        >>> format_scan(ScanCost(1_000_000, True, 24.0, 700.0, 2_000), "reviews.csv")
        'reviews.csv: 1,000,000 rows; reading and comparing them takes about 24 s, 0.7 GiB; at most 2,000 are kept.'
    """
    about = "" if cost.counted else "about "
    took = f"{cost.seconds:.0f} s" if cost.seconds < 120 else f"{cost.seconds / 60:.0f} min"
    return (
        f"{name}: {about}{cost.rows:,} rows; reading and comparing them takes about {took}, "
        f"{cost.peak_mib / 1024:.1f} GiB; at most {cost.kept:,} are kept."
    )
