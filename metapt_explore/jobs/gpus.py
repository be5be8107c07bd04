"""Graphics cards as NVIDIA's driver reports them, by NVML: no page waits for torch to be imported."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

MIB = 2**20


@dataclass(frozen=True)
class Gpu:
    """One graphics card.

    Attributes:
        index: Its number, as ``CUDA_VISIBLE_DEVICES`` counts.
        name: The maker's name for it.
        used_mib: Memory in use.
        total_mib: Its memory.
        busy: Share of the last second or so in which it worked, 0 to 1; None if the card does not say.
    """

    index: str
    name: str
    used_mib: float
    total_mib: float
    busy: float | None


def gpus() -> list[Gpu]:
    """The graphics cards of this machine as they stand now; none if there is no driver or it does not answer."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver
        return []
    try:
        cards = [_card(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [card for card in cards if card is not None]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _card(pynvml: Any, index: int) -> Gpu | None:
    """A card; None if it cannot be asked (it was lost, or another user's)."""
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory, name = pynvml.nvmlDeviceGetMemoryInfo(handle), pynvml.nvmlDeviceGetName(handle)
    except pynvml.NVMLError:
        return None
    try:
        busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    except pynvml.NVMLError:
        busy = None
    return Gpu(str(index), str(name), memory.used / MIB, memory.total / MIB, busy)


@cache
def worker_devices() -> list[str | None]:
    """One entry a worker: the cards that this process may use, by number; one None (no choice made) without any."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        numbers = [entry.strip() for entry in visible.split(",") if entry.strip() not in ("", "-1")]
        return [*numbers] or [None]
    return [gpu.index for gpu in gpus()] or [None]
