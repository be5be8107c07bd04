"""Whether the disk of a workspace has room, and what to say where it has none."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

#: Bytes that are written to find out whether there is room.
PROBE = 64 * 1024
#: Free bytes below which pages and the terminal say that the disk is full.
NEARLY_FULL = 1024 * 1024


def has_room(folder: Path) -> bool:
    """Whether a small file can be written; where a quota is used up, free space alone does not say so."""
    probe = folder / f".room.{os.getpid()}.tmp"
    try:
        with probe.open("wb") as stream:
            stream.write(bytes(PROBE))
            stream.flush()
            os.fsync(stream.fileno())
        return True
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def format_full(folder: Path) -> str:
    """A sentence where a folder's disk is full or cannot be written, else nothing; writes nothing.

    Example:
        >>> format_full(Path())
        ''
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    if free < NEARLY_FULL:
        return f"The disk is full: {free // 1024} KiB are free for {folder}. Make room; what waits goes on by itself."
    if not os.access(folder, os.W_OK):
        return f"{folder} cannot be written: its disk or your account only reads."
    return ""
