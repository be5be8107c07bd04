"""Graphics cards as the driver's own tool tells of them: no page may wait for torch to find out."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

#: Seconds that the driver's tool may take to answer.
PATIENCE = 5.0


@dataclass(frozen=True)
class Gpu:
    """One graphics card.

    Attributes:
        index: Its number, as ``CUDA_VISIBLE_DEVICES`` counts.
        name: What the maker calls it.
        used_mib: Memory in use.
        total_mib: Its memory.
        busy: Share of the last moments in which it worked, 0 to 1; None where the card does not say.
    """

    index: str
    name: str
    used_mib: float
    total_mib: float
    busy: float | None


def gpus() -> list[Gpu]:
    """The graphics cards of this machine as they stand now; none where there is no driver or it does not answer."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    asked = "index,name,memory.used,memory.total,utilization.gpu"
    try:
        answer = subprocess.run(
            [tool, f"--query-gpu={asked}", "--format=csv,noheader,nounits"],
            capture_output=True,
            timeout=PATIENCE,
            check=True,
            encoding="utf-8",
            errors="replace",
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_gpus(answer)


def parse_gpus(answer: str) -> list[Gpu]:
    """Reads the tool's answer, a line a card; what cannot be read is left out.

    Example:
        >>> parse_gpus("0, NVIDIA H100, 1024, 81559, 37")
        [Gpu(index='0', name='NVIDIA H100', used_mib=1024.0, total_mib=81559.0, busy=0.37)]
    """
    found = []
    for row in csv.reader(answer.splitlines(), skipinitialspace=True):
        try:
            index, name, used, total, busy = row
            share = float(busy) / 100 if busy.replace(".", "").isdigit() else None
            found.append(Gpu(index, name, float(used), float(total), share))
        except ValueError:
            continue
    return found


@cache
def worker_devices() -> list[str | None]:
    """One entry a worker: the cards that this process may use, by number; one None (no choice made) without any."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = [entry.strip() for entry in visible.split(",") if entry.strip() not in ("", "-1")]
        return [*named] or [None]
    return [gpu.index for gpu in gpus()] or [None]
