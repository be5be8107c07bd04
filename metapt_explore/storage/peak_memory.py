"""Peak memory while something runs: of this process, or of the GPU if the model is on one."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import psutil

MIB = 2**20


class PeakWatch:
    """Watches the peak memory from `start` to `stop`; watches may be nested.

    The system keeps one peak for the whole process; each watch resets it at its start, after outer watches noted it.
    Where it cannot be reset (not Linux), it counts from the start of the process.

    Attributes:
        peak: MiB, so far.

    Example:
        >>> with PeakWatch() as watch:
        ...     _ = bytearray(1000)
        >>> watch.peak > 1
        True
    """

    _running: ClassVar[list[PeakWatch]] = []

    def __init__(self) -> None:
        self.peak = 0.0

    def start(self) -> PeakWatch:
        """Begins to watch."""
        _note(self._running)
        _set_back()
        self._running.append(self)
        return self

    def stop(self) -> float:
        """Stops watching and returns the peak, in MiB."""
        _note(self._running)
        if self in self._running:
            self._running.remove(self)
        return self.peak

    def __enter__(self) -> PeakWatch:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def rss_mib() -> float:
    """Memory of this process now, in MiB."""
    return float(psutil.Process().memory_info().rss) / MIB


def note_child(mib: float) -> None:
    """Counts a process that has ended and worked for this one: its peak, beside what is in use here now."""
    for watch in PeakWatch._running:
        watch.peak = max(watch.peak, rss_mib() + mib)


def _note(watches: list[PeakWatch]) -> None:
    if watches:
        highest = _highest()
        for watch in watches:
            watch.peak = max(watch.peak, highest)


def _on_gpu() -> bool:
    """Whether this process has memory on a GPU, without importing torch.

    That CUDA is initialised is not enough: asking for a GPU's name does that, too.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return False
    return bool(torch.cuda.memory_reserved() > 0)


def _set_back() -> None:
    if _on_gpu():
        sys.modules["torch"].cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _highest() -> float:
    if _on_gpu():
        return float(sys.modules["torch"].cuda.max_memory_allocated()) / MIB
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        info = psutil.Process().memory_info()
        return float(getattr(info, "peak_wset", info.rss)) / MIB
