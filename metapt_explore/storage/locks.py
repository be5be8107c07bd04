"""Whether somebody holds a lock, without taking it where that can be helped and without writing anything."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout


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
