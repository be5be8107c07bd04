"""Keeps freed memory in the process: handing it back to the system and fetching it again costs a fifth of a step."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Blocks up to this size come from memory that the process already holds.
LARGEST_BLOCK = 1 << 25


def keep_freed_memory() -> bool:
    """Tells the C library to reuse freed memory. Linux with glibc only; returns whether it was told.

    A step allocates and frees the same tens of megabytes. By default glibc returns them to the kernel,
    and the next step pays a page fault for every 4 KiB. Whoever set `MALLOC_TRIM_THRESHOLD_` or
    `MALLOC_MMAP_THRESHOLD_` keeps their choice.
    """
    if not sys.platform.startswith("linux") or {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys():
        return False
    try:
        library = ctypes.CDLL(None)
        return bool(library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)) and bool(
            library.mallopt(_MMAP_THRESHOLD, LARGEST_BLOCK)
        )
    except (OSError, AttributeError, TypeError):  # another C library, or none
        return False
