"""The tour by one and several processes, from its clusters on. Part `workers` of `scale.py`; minutes, and all cores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scale_measure import Measure, Run


def prepare_tour(size: int, folder: Path) -> Run:
    """The tour's clusters are made; what is timed is the rest, one thread a worker."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(size)}

    def metapt(*asked: str) -> None:
        command = [sys.executable, "-m", "metapt_explore", *asked, "--workspace", str(folder / "workspace")]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)

    metapt("run", "tour", "--until", "clusters")

    def run() -> Mapping[str, Any]:
        metapt("run", "tour", *(["--on", f"local:{size}"] if size > 1 else []))
        return {}

    return run


MEASURES = [Measure("workers-tour", "the tour from its clusters on", "workers", (1, 2), prepare_tour)]
