"""Which C libraries are told to keep freed memory; the others are left alone."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from metapt_explore.models.decoders.frozen_linear import FrozenLinear
from metapt_explore.models.device import keep_freed_memory
from metapt_explore.models.processor import can_pack


class Musl:
    """A C library without `mallopt`."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"Symbol not found: {name}")


def no_library(name: str | None) -> Any:
    raise TypeError("bad argument type for built-in operation")  # as on Windows, where a library has a name


@pytest.mark.parametrize(
    ("platform", "library"),
    [
        ("linux", lambda name: Musl()),
        ("linux", no_library),
        ("darwin", lambda name: pytest.fail("it is asked")),
        ("win32", lambda name: pytest.fail("it is asked")),
    ],
    ids=["musl", "no library", "macOS", "Windows"],
)
def test_other_systems_are_left_alone(
    platform: str, library: Callable[[str | None], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", library)
    assert keep_freed_memory() is False


class HeapFacts(ctypes.Structure):
    """glibc's `mallinfo2`."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", *"abcde")]


def blocks_of_their_own() -> int:
    """Blocks that were taken straight from the system."""
    library: Any = ctypes.CDLL(None)
    library.mallinfo2.restype = HeapFacts
    return int(library.mallinfo2().hblks)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc 2.33 or later"
)
def test_laid_out_weights_lie_in_blocks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """MKL asks for several times of what it writes: out of memory that was used before, all of it would count."""
    if not can_pack(torch.float32):
        pytest.skip("this processor's library lays no float32 weights out")
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    assert keep_freed_memory()
    weight, rows = torch.randn(384, 576), torch.randn(8, 576)
    linear = FrozenLinear(weight, pack=True)
    before = blocks_of_their_own()
    kept = torch.empty(1 << 20)
    assert blocks_of_their_own() == before, f"others lie in the heap ({len(kept)})"
    first = linear(rows)
    assert blocks_of_their_own() == before + 1
    gradient = linear.back(first)
    assert blocks_of_their_own() == before + 2
    linear(rows[:4])
    assert blocks_of_their_own() == before + 2, "the one for another number of rows is given back"
    torch.testing.assert_close(first, rows @ weight.T, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(gradient, first @ weight, rtol=1e-4, atol=1e-1)
