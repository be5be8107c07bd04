"""A clustering in a process of its own: a fit of scikit-learn or hdbscan cannot be stopped, a process can be killed.

It gets what it needs as files and gives back files; it ends when whoever started it ends, however that comes::

    folder/job.json  rows.parquet          what is asked
    folder/clusters.parquet  summary.json  what was found
    folder/error.json                      why it is refused
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.clusters.make import STEPS, ClusterJob, make_clusters
from metapt_explore.config import ClusteringConfig
from metapt_explore.errors import UserError
from metapt_explore.storage.files import read_json, write_json, write_table
from metapt_explore.storage.peak_memory import PeakWatch, note_child
from metapt_explore.storage.vectors import open_vectors

#: Seconds between two looks at the process, and at whether it shall go on.
LOOK_S = 0.3
REFUSED = 3


def make_in_other_process(
    job: ClusterJob, vectors: Sequence[Path], folder: Path, *, seconds: float, on_share: Callable[[float], None]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What `make_clusters` returns, made by another process with the same settings and threads.

    Args:
        job: What it is made from; its vectors are not looked at.
        vectors: Files of the vectors.
        folder: Where files are exchanged; emptied before and removed afterwards.
        seconds: What it takes, about: for the share that is done.
        on_share: Called every third of a second with that share, 0..1; may raise to stop, which kills the process.

    Raises:
        UserError: Where the rows cannot be grouped as asked, or the process was killed (memory ran out).
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _write_job(job, vectors, folder)
        _watch(folder, job.config, seconds=seconds, on_share=on_share)
        found = read_json(folder / "summary.json")
        note_child(float(found["peak_mib"]))
        return pd.read_parquet(folder / "clusters.parquet"), found["summary"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_job(job: ClusterJob, vectors: Sequence[Path], folder: Path) -> None:
    asked = {
        "config": job.config.model_dump(mode="json"),
        "seed": job.seed,
        "vectors": [str(file.resolve()) for file in vectors],
        "names": {str(cluster): name for cluster, name in (job.names or {}).items()},
        "classes": job.classes is not None,
        "like": job.like is not None,
    }
    columns: dict[str, Any] = {"text": job.texts, "group": pd.array(job.groups, dtype="string")}
    if job.classes is not None:
        columns["class"] = pd.array(list(job.classes), dtype="string")
    if job.like is not None:
        columns["like"] = job.like
    write_table(folder / "rows.parquet", pd.DataFrame(columns))
    write_json(folder / "job.json", asked)


def _watch(folder: Path, config: ClusteringConfig, *, seconds: float, on_share: Callable[[float], None]) -> None:
    """Starts the process and waits for its end; kills it where `on_share` raises."""
    package = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    with (folder / "errors.txt").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder)],
            stdin=subprocess.PIPE,  # closed when this process ends, which ends that one, too
            stderr=errors,
            stdout=errors,
            env={**os.environ, "PYTHONPATH": paths},
        )
    try:
        while True:
            try:
                code = process.wait(LOOK_S)
                break
            except subprocess.TimeoutExpired:
                on_share(_share(folder, seconds))
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
    if code == REFUSED:
        raise UserError(str(read_json(folder / "error.json")))
    if code:
        said = (folder / "errors.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if code < 0 or (said and said[-1].startswith(("MemoryError", "numpy._core._exceptions._ArrayMemoryError"))):
            raise UserError(
                f"Clustering '{config.name}': its process was killed"
                + (f" (signal {-code})" if code < 0 else "")
                + ", most likely because memory ran out. Set a lower `fit_rows`, fewer clusters or `texts.limit`."
            )
        raise RuntimeError(said[-1] if said else f"the process of the clustering ended with code {code}")


def _share(folder: Path, seconds: float) -> float:
    """The share that is done: of the steps that are finished, and by the clock of the one that goes on."""
    current = read_json(folder / "step.json")
    if not isinstance(current, dict):
        return 0.0
    names = list(STEPS)
    place = names.index(current["step"])
    begin, end = ([0.0, *STEPS.values()][place], STEPS[names[place]])
    elapsed = max(0.0, time.time() - float(current["began"]))
    return begin + (end - begin) * (1 - math.exp(-elapsed / max(1.0, (end - begin) * seconds)))


def _work(folder: Path) -> int:
    """What the other process does."""
    asked = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    rows = pd.read_parquet(folder / "rows.parquet")

    def named(column: str) -> list[str | None]:
        return [value if isinstance(value, str) else None for value in rows[column]]

    job = ClusterJob(
        open_vectors([Path(file) for file in asked["vectors"]]),
        ClusteringConfig.model_validate(asked["config"]),
        asked["seed"],
        texts=rows["text"].tolist(),
        groups=named("group"),
        classes=named("class") if asked["classes"] else None,
        like=rows["like"].to_numpy().astype(np.int64) if asked["like"] else None,
        names={int(cluster): name for cluster, name in asked["names"].items()},
    )
    try:
        with PeakWatch() as watch:
            table, summary = make_clusters(
                job, lambda step: write_json(folder / "step.json", {"step": step, "began": time.time()})
            )
    except UserError as error:
        write_json(folder / "error.json", str(error))
        return REFUSED
    write_table(folder / "clusters.parquet", table)
    write_json(folder / "summary.json", {"summary": summary, "peak_mib": watch.peak})
    return 0


def _end_with_parent() -> None:
    """Ends this process where the one that started it is gone: its end of the pipe is closed then."""

    def wait() -> None:
        os.read(0, 1)  # not by sys.stdin, whose lock would be held when the process ends
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    _end_with_parent()
    code = _work(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)
