"""What can be asked of a disk without changing it: is there room, does a process hold a lock."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

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


def is_held(file: Path) -> bool:
    """Whether a process holds the lock of that file; False where nobody ever did.

    Looking needs no right to write: a workspace may lie on a disk that is read only.
    """
    if not file.exists():
        return False
    try:
        import fcntl
    except ImportError:  # Windows
        return _is_held_by_trying(file)
    try:
        with file.open("rb") as stream:
            # What `filelock` takes is an exclusive lock of this kind; ours is shared and gone at once.
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file that we may not read, or a file system without locks
    return False


def _is_held_by_trying(file: Path) -> bool:
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False
