"""The most memory in use while something runs, looked at many times a second."""

from __future__ import annotations

import threading
from types import TracebackType

import torch

from metapt_explore.runs.calibration import memory_mib

#: Seconds between two looks.
INTERVAL = 0.05


class PeakMemory:
    """Watches memory without touching the process's own peak, which the cost preview goes by.

    Args:
        device: Whose memory: the process's for the CPU, else the device's.

    Example:
        >>> with PeakMemory("cpu") as peak:
        ...     _ = bytearray(1000)
        >>> peak.mib > 0
        True
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.mib = 0.0

    def _look(self) -> None:
        self.mib = max(self.mib, memory_mib(self._device))

    def _watch(self) -> None:
        while not self._ended.wait(INTERVAL):
            self._look()

    def __enter__(self) -> PeakMemory:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()
