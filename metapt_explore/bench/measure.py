"""Clocks and counters of the benchmarks: alternating repeats, the machine's peak, peak memory."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

#: Side of the square matrices whose product is the machine's peak.
PEAK_SIDE = 2048
#: Seconds of a turn, or one run where that takes longer.
TURN_SECONDS = 1.0


def alternating(
    ours: Callable[[], object], theirs: Callable[[], object], *, repeats: int, device: torch.device
) -> tuple[list[float], list[float]]:
    """Runs two sides in turn, after one warm-up each.

    A turn of a short run is several of them: the first one after the other side's finds its weights out of the caches.

    Returns:
        Seconds of one run, for each turn of both sides.
    """
    counts = [max(1, min(10, int(TURN_SECONDS / _seconds(side, device)))) for side in (ours, theirs)]
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for side, count, turns in zip((ours, theirs), counts, seconds, strict=True):
            turns.append(statistics.mean(_seconds(side, device) for _ in range(count)))
    return seconds


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    began = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_peak(dtype: torch.dtype, device: torch.device, repeats: int = 7) -> float:
    """Operations a second of a large matrix product: the fastest of a few, the bound of any step."""
    side = PEAK_SIDE if device.type == "cpu" else 4 * PEAK_SIDE
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    a @ b
    return 2 * side**3 / min(_seconds(lambda: a @ b, device) for _ in range(repeats))


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """Median over pairs of neighbouring runs, so that a slow minute of the machine hits both."""
    return statistics.median(other / mine for mine, other in zip(ours, theirs, strict=True))


def peak_mib(run: Callable[[], object], device: torch.device) -> float | None:
    """Memory that one run takes on top of what was in use before, in MiB; None where it cannot be measured."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return round((torch.cuda.max_memory_allocated(device) - before) / 2**20, 1)
    try:
        ctypes.CDLL(None).malloc_trim(0)  # give back what earlier runs freed, so that it is counted again
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets the high-water mark
    except (OSError, AttributeError, TypeError):  # not Linux, or another C library
        return None
    before_kib = _status_kib("VmRSS")
    run()
    return round((_status_kib("VmHWM") - before_kib) / 1024, 1)


def _status_kib(key: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise OSError(f"/proc/self/status has no {key}")
