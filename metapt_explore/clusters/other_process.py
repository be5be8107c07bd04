"""A clustering in a process of its own: a fit of scikit-learn or hdbscan cannot be stopped, a process can be killed.

It makes a clustering, its labels alone, or its soft clusters. It gets what it needs as files and gives back files; it
ends when whoever started it ends, however that comes::

    folder/job.json  rows.parquet          what is asked
    folder/table.parquet  summary.json     what was found, and of soft clusters
    folder/matrix.npy
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from metapt_explore.clusters.algorithms import group_rows
from metapt_explore.clusters.make import STEPS, ClusterJob, inputs_of, make_clusters
from metapt_explore.clusters.memberships import SoftClusters, soft_clusters
from metapt_explore.config import ClusteringConfig
from metapt_explore.errors import UserError
from metapt_explore.storage.files import read_json, write_json, write_table
from metapt_explore.storage.peak_memory import PeakWatch, note_child
from metapt_explore.storage.vectors import open_vectors

#: Seconds between two looks at the process, and at whether it shall go on.
LOOK_S = 0.3
REFUSED = 3
#: What it makes: clusters with map, names and quality; labels; probabilities of the clusters in `ClusterJob.like`.
Make = Literal["clusters", "labels", "soft"]


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
    with _exchanged(folder):
        _write_job(job, vectors, folder, make="clusters")
        found = _watch(folder, job.config, seconds=seconds, on_share=on_share)
        return pd.read_parquet(folder / "table.parquet"), found["summary"]


def group_in_other_process(
    job: ClusterJob,
    vectors: Sequence[Path],
    folder: Path,
    *,
    chosen: np.ndarray,
    seconds: float,
    on_share: Callable[[float], None],
) -> np.ndarray:
    """Labels of some rows, grouped by another process; see `make_in_other_process`.

    Args:
        job: The rows that are grouped.
        vectors: Files of the vectors of all rows.
        folder: Where files are exchanged.
        chosen: ``[rows of the job]`` which of all rows they are.
        seconds: What it takes, about.
        on_share: May raise to stop.
    """
    with _exchanged(folder):
        _write_job(job, vectors, folder, make="labels", chosen=chosen)
        _watch(folder, job.config, seconds=seconds, on_share=on_share)
        labels: np.ndarray = pd.read_parquet(folder / "table.parquet")["cluster"].to_numpy()
        return labels


def soften_in_other_process(
    job: ClusterJob, vectors: Sequence[Path], folder: Path, *, seconds: float, on_share: Callable[[float], None]
) -> SoftClusters:
    """What `soft_clusters` returns for the clusters in `job.like`, made by another process."""
    with _exchanged(folder):
        _write_job(job, vectors, folder, make="soft")
        _watch(folder, job.config, seconds=seconds, on_share=on_share)
        return SoftClusters(np.load(folder / "matrix.npy"), pd.read_parquet(folder / "table.parquet"))


@contextmanager
def _exchanged(folder: Path) -> Iterator[None]:
    """An empty folder, removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_job(
    job: ClusterJob, vectors: Sequence[Path], folder: Path, *, make: Make, chosen: np.ndarray | None = None
) -> None:
    asked = {
        "make": make,
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
    if chosen is not None:
        columns["vector"] = chosen
    write_table(folder / "rows.parquet", pd.DataFrame(columns))
    write_json(folder / "job.json", asked)


def _watch(
    folder: Path, config: ClusteringConfig, *, seconds: float, on_share: Callable[[float], None]
) -> dict[str, Any]:
    """Starts the process and waits for its end; kills it where `on_share` raises. Returns what its summary says."""
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
    found: dict[str, Any] = read_json(folder / "summary.json")
    note_child(float(found["peak_mib"]))
    return found


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

    vectors = open_vectors([Path(file) for file in asked["vectors"]])
    job = ClusterJob(
        vectors[rows["vector"].to_numpy()] if "vector" in rows else vectors,
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
            table, summary = _made(job, asked["make"], folder)
    except UserError as error:
        write_json(folder / "error.json", str(error))
        return REFUSED
    write_table(folder / "table.parquet", table)
    write_json(folder / "summary.json", {"summary": summary, "peak_mib": watch.peak})
    return 0


def _made(job: ClusterJob, make: Make, folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    def begin(step: str) -> None:
        write_json(folder / "step.json", {"step": step, "began": time.time()})

    if make == "clusters":
        return make_clusters(job, begin)
    begin("clusters")
    if make == "labels":
        return pd.DataFrame({"cluster": group_rows(inputs_of(job)).labels}), {}
    assert job.like is not None
    found = soft_clusters(replace(inputs_of(job), like=None), job.like)
    np.save(folder / "matrix.npy", found.matrix)
    return found.table, {}


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
