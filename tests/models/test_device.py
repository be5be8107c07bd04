"""Which C libraries are told to keep freed memory; the others are left alone."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import pytest

from metapt_explore.models.device import keep_freed_memory


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
