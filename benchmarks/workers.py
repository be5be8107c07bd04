"""How much faster N local workers are than one process, on cells of equal length, and where the rest goes.

    python benchmarks/workers.py                       # 2 workers, 8 cells, one thread each
    python benchmarks/workers.py --workers 4 --cells 16 --steps 24 --out benchmarks/results

Prompt tuning from the vocabulary on one task, once for each initialisation seed: cells that need each other not at all
and take equally long. Runs here, then with workers, each process with one thread, and prints both with the ratios:

- of all: what a user waits, from the command to its end;
- of cells: seconds of all cells in one process, over the time from the first cell's beginning to the last one's end
  with workers: the engine without starts;
- slower: seconds of a cell beside others, over those of the same cell alone: what processes take from each other
  (memory, caches), so that N workers on one machine stay below N by as much.

Scores must be equal. Measure on an idle machine with at least as many cores as workers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from metapt_explore.storage.manifest import manifest
from metapt_explore.storage.workspace import Workspace


def study_of(cells: int, steps: int, test_rows: int) -> dict[str, Any]:
    """A study with so many cells that all take as long."""
    return {
        "name": "workers",
        "model": {"name": "smollm2-135m", "max_text_tokens": 32},
        "prompt": {"length": 5, "placement": "suffix", "init": "vocabulary"},
        "methods": [{"name": "PT", "kind": "pt"}],
        "texts": {"starter": "vader", "limit": 64},
        "auxiliary_tasks": {
            "template": "{text}\nSentiment:",
            "labels": {"negative": "negative", "positive": "positive"},
        },
        "evaluation": {
            "tasks": ["rotten_tomatoes"],
            "shots": 8,
            "data_seeds": [13, 21, 42],
            "init_seeds": list(range(cells)),
            "learning_rates": [0.003],
            "steps": steps,
            "batch_size": 8,
            "curve_steps": [0, steps],
            "test_rows": test_rows,
        },
    }


def run(study: Path, workspace: Path, on: str, threads: int) -> dict[str, Any]:
    """Runs the study and says how long it took, and each of its cells."""
    command = [sys.executable, "-m", "metapt_explore", "run", str(study), "--workspace", str(workspace), "--on", on]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    began = time.time()
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    seconds = time.time() - began
    if done.returncode:
        raise SystemExit(f"--on {on} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    opened = Workspace(workspace)
    stages = [opened.artifact(entry["id"]).stage for entry in opened.index("workers") if entry["kind"] == "fewshot"]
    first = min(stage["began"] for stage in stages)
    last = max(stage["began"] + stage["seconds"] for stage in stages)
    return {
        "on": on,
        "seconds": round(seconds, 1),
        "before_cells": round(first - began, 1),
        "cells": round(last - first, 1),
        "after_cells": round(began + seconds - last, 1),
        "each": [round(stage["seconds"], 2) for stage in stages],
        "scores": _scores(opened),
    }


def _scores(workspace: Workspace) -> list[float]:
    from metapt_explore.results.tables import results_table

    return [float(score) for score in results_table(workspace, "workers")["accuracy"]]


def compare(alone: dict[str, Any], shared: dict[str, Any], workers: int) -> dict[str, Any]:
    """The ratios of two runs.

    Example:
        >>> alone = {"seconds": 100.0, "each": [10.0] * 8, "scores": [0.5]}
        >>> shared = {"seconds": 62.5, "cells": 44.0, "each": [11.0] * 8, "scores": [0.5]}
        >>> compare(alone, shared, 2)
        {'workers': 2, 'of_all': 1.6, 'of_cells': 1.82, 'slower': 1.1, 'equal': True}
    """
    return {
        "workers": workers,
        "of_all": round(alone["seconds"] / shared["seconds"], 2),
        "of_cells": round(sum(alone["each"]) / shared["cells"], 2),
        "slower": round(sum(shared["each"]) / sum(alone["each"]), 2),
        "equal": alone["scores"] == shared["scores"],
    }


def main() -> None:
    """Measures, prints, and records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cells", type=int, default=8, help="a multiple of the workers")
    parser.add_argument("--steps", type=int, default=12, help="few-shot steps: how long a cell is")
    parser.add_argument("--test-rows", type=int, default=150)
    parser.add_argument("--out", type=Path, help="folder for the record")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "workers.yaml"
        study.write_text(yaml.safe_dump(study_of(asked.cells, asked.steps, asked.test_rows)), encoding="utf-8")
        alone = run(study, Path(folder) / "here", "here", 1)
        print(json.dumps(alone), flush=True)
        shared = run(study, Path(folder) / "workers", f"local:{asked.workers}", asked.workers)
        print(json.dumps(shared), flush=True)
    load = os.getloadavg()[0]
    ratios = {**compare(alone, shared, asked.workers), "load": round(load, 1), "cores": os.cpu_count()}
    print(json.dumps(ratios))
    if asked.out:
        lines = [{"manifest": manifest()}, alone, shared, ratios]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (asked.out / "workers.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
