"""One measurement of `scale.py`: what is prepared, what is timed, how it grows, and the record of a run."""

from __future__ import annotations

import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metapt_explore.storage.manifest import manifest
from metapt_explore.storage.peak_memory import PeakWatch

#: Where records lie.
RESULTS = Path(__file__).with_name("results")
#: What is timed; may return more columns, such as predicted seconds.
Run = Callable[[], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Measure:
    """Something that is measured at growing sizes.

    Attributes:
        name: What it is, such as ``texts-csv``; a word for the command line.
        title: What it is, for tables.
        unit: What sizes count.
        sizes: Sizes, growing.
        prepare: Takes a size and an empty folder, makes what is needed, and returns what is timed.
    """

    name: str
    title: str
    unit: str
    sizes: Sequence[int]
    prepare: Callable[[int, Path], Run]


def measure_here(measure: Measure, size: int) -> dict[str, Any]:
    """Prepares, then times one size in this process; the peak is that of the process while it is timed."""
    with tempfile.TemporaryDirectory() as folder:
        run = measure.prepare(size, Path(folder))
        watch = PeakWatch().start()
        began, spent = time.perf_counter(), cpu_seconds()
        more = run()
        seconds, spent = time.perf_counter() - began, cpu_seconds() - spent
        watch.stop()
    row = {"what": measure.name, "unit": measure.unit, "size": size, "seconds": round(seconds, 3)}
    return {**row, "cpu_seconds": round(spent, 3), "peak_mib": round(watch.peak, 1), **(more or {})}


def cpu_seconds() -> float:
    """CPU seconds of this process, and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure_apart(measure: Measure, size: int) -> dict[str, Any]:
    """The same in a process of its own, so that no size finds the caches or the memory of another."""
    script = Path(__file__).with_name("scale.py")
    command = [sys.executable, str(script), "--one", measure.name, "--sizes", str(size)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)
    if done.returncode:
        raise RuntimeError(f"{measure.name} at {size:,} failed:\n{done.stderr}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def with_exponents(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Adds to each row how CPU seconds grew since the size before: 1 is linear, 2 quadratic; None at the first size.

    Example:
        >>> rows = [{"what": "a", "size": size, "cpu_seconds": size**2 / 100} for size in (10, 100)]
        >>> [row["exponent"] for row in with_exponents(rows)]
        [None, 2.0]
    """
    before: dict[str, Mapping[str, Any]] = {}
    more = []
    for row in rows:
        last = before.get(row["what"])
        exponent = None
        if last is not None and min(last["cpu_seconds"], row["cpu_seconds"]) > 0 and row["size"] != last["size"]:
            grown = math.log(row["cpu_seconds"] / last["cpu_seconds"])
            exponent = round(grown / math.log(row["size"] / last["size"]), 2)
        before[row["what"]] = row
        more.append({**row, "exponent": exponent})
    return more


def machine() -> str:
    """Processor, cores and memory of this machine.

    Where the system says what the processor is called, as Linux does; else what Python says.
    """
    import psutil

    name = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        lines = facts.read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB"


def append_record(folder: Path, part: str, rows: Sequence[Mapping[str, Any]], load: float) -> None:
    """Appends one run of the script that is running to a part's file of records.

    Args:
        folder: Where the file lies.
        part: What was measured.
        rows: The measurements.
        load: Of the machine, when the run began.
    """
    record = {
        "part": part,
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "day": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "load_at_start": round(load, 1),
        "threads": 1,
        "rows": list(rows),
        "manifest": manifest(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"scale-{part}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
