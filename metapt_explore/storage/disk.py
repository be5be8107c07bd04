"""Checks of a disk: is there room, does a process hold a lock."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from metapt_explore.storage.hosts import this_host

#: Bytes that are written to find out whether there is room.
TRIAL_BYTES = 64 * 1024
#: Free bytes below which pages and the terminal call the disk full.
MIN_FREE_BYTES = 1024 * 1024


def has_room(folder: Path) -> bool:
    """Whether a small file can be written; free space does not show a used-up quota."""
    trial = folder / f".room.{this_host().key}.{os.getpid()}.tmp"
    try:
        with trial.open("wb") as stream:
            stream.write(bytes(TRIAL_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        return True
    except OSError:
        return False
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)


def format_full(folder: Path) -> str:
    """A sentence if a folder's disk is full or read-only, else an empty one; writes nothing.

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
    if free < MIN_FREE_BYTES:
        return f"The disk is full: {free // 1024} KiB are free for {folder}. Make room: what waits then goes on."
    if not os.access(folder, os.W_OK):
        return f"{folder} cannot be written: its disk or your account only reads."
    return ""


LockState = Literal["held", "free", "unknown"]


def is_held(file: Path) -> bool:
    """Whether a process holds the lock of that file; False if there is no file.

    Needs no right to write: a workspace may be on a read-only disk.
    """
    return lock_state(file) == "held"


def lock_state(file: Path) -> LockState:
    """Whether a process holds the lock of that file; ``unknown`` if there is none, or its file system has no locks."""
    if not file.exists():
        return "unknown"
    try:
        import fcntl
    except ImportError:  # Windows
        return _state_by_trying(file)
    try:
        with file.open("rb") as stream:
            # `filelock` takes an exclusive lock of this kind; this one is shared and released at once.
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "held"
    except OSError:
        return "unknown"  # a file that we may not read, or a file system without locks
    return "free"


def hold(descriptor: int) -> None:
    """Locks an open file until it is closed, where the system and the disk have such locks."""
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _state_by_trying(file: Path) -> LockState:
    try:
        with FileLock(file, timeout=0):
            return "free"
    except Timeout:
        return "held"
    except OSError:
        return "unknown"
