"""The device and number format that a model runs with, and how this process holds memory for it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from metapt_explore.errors import UserError

if TYPE_CHECKING:
    import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Smallest block that `fresh_memory` takes from the system: most of it is never written.
FRESH_BLOCK = 1 << 16
#: Blocks up to this size reuse memory that the process holds.
LARGEST_BLOCK = 1 << 25


def resolve_device(device: str) -> str:
    """`auto` is the first CUDA GPU where there is one, else the CPU."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"model.device '{device}' cannot be used: {str(error).splitlines()[0]}") from None
    return device


def resolve_dtype(dtype: str, device: str, *, float16: bool = False) -> torch.dtype:
    """`auto` is bfloat16 where the machine multiplies it faster than float32, else float32.

    Args:
        dtype: What the study says.
        device: Where the model runs.
        float16: Whether the model's family runs in float16: then `auto` is that on a card without bfloat16 (V100, T4),
            on which it is several times as fast as float32 and takes half of its memory.
    """
    import torch

    from metapt_explore.models.processor import has_fast_bfloat16

    if dtype != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]
    if device.startswith("cuda"):
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16
        return torch.float16 if float16 else torch.float32
    return torch.bfloat16 if device.startswith("cpu") and has_fast_bfloat16() else torch.float32


def keep_freed_memory() -> bool:
    """Makes the C library keep freed memory (Linux with glibc only); returns whether it does.

    A step allocates and frees the same tens of megabytes. By default glibc returns them to the kernel, and the
    next step pays a page fault for every 4 KiB: a fifth of its time. `MALLOC_TRIM_THRESHOLD_` and
    `MALLOC_MMAP_THRESHOLD_` of the environment take precedence.
    """
    return _set_allocator(_TRIM_THRESHOLD, 2**31 - 1) and _set_allocator(_MMAP_THRESHOLD, LARGEST_BLOCK)


@contextmanager
def fresh_memory() -> Iterator[None]:
    """Takes larger blocks straight from the system while the body runs, where `keep_freed_memory` works.

    Such a block takes memory only where it is written; one that the process held before takes all of it. MKL asks for 4
    to 10 times of what it writes when it lays a weight out.
    """
    _set_allocator(_MMAP_THRESHOLD, FRESH_BLOCK)
    try:
        yield
    finally:
        _set_allocator(_MMAP_THRESHOLD, LARGEST_BLOCK)


def _set_allocator(option: int, value: int) -> bool:
    """Sets an option of glibc's allocator; False where there is none, or the environment says otherwise."""
    if not sys.platform.startswith("linux") or {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys():
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(option, value))
    except (OSError, AttributeError, TypeError):  # another C library, or none
        return False
