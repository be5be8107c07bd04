"""Writing files so that a reader never sees half of one; finding what a killed writer left."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pandas as pd
import psutil

from metapt_explore.storage.hosts import this_host

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

T = TypeVar("T")

Compression = Literal["snappy", "zstd"]

#: Bytes up to which a table is cached.
SMALL = 32 * 1024
#: Seconds after which a rewritten file has a new time on any file system.
SETTLED_S = 2.0
#: Names that `temporary_name` gives: the file's name, host, process and thread; earlier versions gave no host.
TEMPORARY = re.compile(r"\..+?(?:\.([\w-]+-\w+))?\.(\d+)\.\d+\.tmp")


def temporary_name(path: Path) -> Path:
    """A name beside a file that no other thread of any host uses: of its host, process and thread."""
    return path.with_name(f".{path.name}.{this_host().key}.{os.getpid()}.{threading.get_ident()}.tmp")


@contextmanager
def in_place_of(path: Path) -> Iterator[Path]:
    """A temporary name to write a file under; it replaces the file once it is flushed to disk.

    If writing fails (a full disk), the temporary file is removed; `leftovers` finds what a killed process leaves.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        # Opened for writing, without which Windows flushes nothing.
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Writes a file under a temporary name, flushes it to disk and renames it into place."""
    with in_place_of(path) as temporary:
        temporary.write_bytes(content)


def json_line(record: dict[str, Any]) -> str:
    """One JSON object on a line; NaN, which is not JSON, becomes null.

    Example:
        >>> json_line({"accuracy": 0.5, "drift": float("nan"), "nearest": ["a"]})
        '{"accuracy": 0.5, "drift": null, "nearest": ["a"]}'
    """
    plain = {key: None if pd.api.types.is_scalar(value) and pd.isna(value) else value for key, value in record.items()}
    return json.dumps(plain, allow_nan=False)


def write_json(path: Path, tree: Any) -> None:
    """Writes JSON atomically."""
    write_bytes(path, (json.dumps(tree, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Reads JSON; None if the file is missing or damaged (a damaged artifact is made again)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return None


def write_table(path: Path, table: pd.DataFrame, *, compression: Compression = "snappy") -> None:
    """Writes Parquet atomically."""
    with in_place_of(path) as temporary:
        table.to_parquet(temporary, index=False, compression=compression)


def read_table(path: Path) -> pd.DataFrame:
    """Reads Parquet; small tables, of which a study has hundreds, are cached until they are written again."""
    status = path.stat()
    if status.st_size > SMALL:
        return pd.read_parquet(path)
    return _small_table(str(path), status.st_mtime_ns, status.st_size).copy()


@lru_cache(maxsize=4096)
def _small_table(path: str, changed: int, size: int) -> pd.DataFrame:
    return pd.read_parquet(path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Reads JSON lines; skips a torn last line, which a killed writer may leave."""
    try:
        # Bytes that are not UTF-8 spoil only their own line.
        content = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    records = []
    for line in content.splitlines():
        try:
            records.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return records


def leftovers(
    folder: Path, *, deep: bool = False, everything: bool = False, is_gone: Callable[[str, int], bool] | None = None
) -> Iterator[Path]:
    """Temporary files that no process writes any more.

    Args:
        folder: The folder.
        deep: Whether to look into its subfolders, too.
        everything: All temporary files: the caller knows that nobody else writes here.
        is_gone: Whether a process of another host is gone, by the host's key and its number; none is, when absent.
    """
    if not folder.is_dir():
        return
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            if deep:
                yield from leftovers(Path(entry.path), deep=deep, everything=everything, is_gone=is_gone)
            continue
        match = TEMPORARY.fullmatch(entry.name)
        if match is None:
            continue
        with suppress(FileNotFoundError):
            host, pid = match[1] or this_host().key, int(match[2])
            if host == this_host().key:
                gone = not _is_writing(pid, entry.stat().st_mtime)
            else:
                gone = is_gone is not None and is_gone(host, pid)
            if everything or gone:
                yield Path(entry.path)


def sweep(
    folder: Path, *, deep: bool = False, everything: bool = False, is_gone: Callable[[str, int], bool] | None = None
) -> int:
    """Removes `leftovers`; returns how many there were."""
    count = 0
    for file in leftovers(folder, deep=deep, everything=everything, is_gone=is_gone):
        file.unlink(missing_ok=True)
        count += 1
    return count


def _is_writing(pid: int, changed: float) -> bool:
    """Whether the process that began a file still runs; one that started later only reuses its pid."""
    with suppress(psutil.Error, OverflowError):
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= changed + 1)
    return False


#: Size, times and place of a file: equal for as long as nobody writes it.
Stamp = tuple[int, int, int, int]


def stamp_of(file: Path) -> Stamp:
    """The stamp of a file as it is now."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def remembered(read: _lru_cache_wrapper[T], file: Path, stamp: Stamp) -> T:
    """What a cached function reads from a file; one that was just written is read anew: its time may not tell yet.

    Args:
        read: Reads a path, cached by the path and the stamp.
        file: The file.
        stamp: Its stamp.
    """
    if time.time() - max(stamp[1], stamp[2]) / 1e9 < SETTLED_S:
        return read.__wrapped__(str(file), stamp)
    return read(str(file), stamp)


def is_recent(when: Any, seconds: float) -> bool:
    """Whether a time of day that another process wrote is at most this many seconds ago.

    One that lies further in the future is not: the clock was set back since, and nobody knows how long ago it was.
    """
    return isinstance(when, int | float) and abs(time.time() - when) <= seconds
