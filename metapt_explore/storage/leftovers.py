"""Temporary files of processes that were killed while they wrote."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

#: What `files.in_place_of` calls them: the file's name, the process and its thread.
NAME = re.compile(r"\..+\.(\d+)\.\d+\.tmp")


def leftovers(folder: Path, deep: bool = False, everything: bool = False) -> Iterator[Path]:
    """Temporary files in a folder that nobody writes any more.

    Args:
        folder: The folder.
        deep: Whether folders in it are looked through, too.
        everything: Whether the caller knows that nobody else writes here, so that all of them are meant.
    """
    if not folder.is_dir():
        return
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            if deep:
                yield from leftovers(Path(entry.path), deep, everything)
            continue
        found = NAME.fullmatch(entry.name)
        if found is None:
            continue
        with suppress(FileNotFoundError):
            if everything or not _is_writing(int(found[1]), entry.stat().st_mtime):
                yield Path(entry.path)


def sweep(folder: Path, deep: bool = False, everything: bool = False) -> int:
    """Removes them, and says how many there were."""
    count = 0
    for file in leftovers(folder, deep, everything):
        file.unlink(missing_ok=True)
        count += 1
    return count


def _is_writing(pid: int, changed: float) -> bool:
    """Whether the process that began a file is there still: one that began later only has its number."""
    with suppress(psutil.Error, OverflowError):
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= changed + 1
    return False
