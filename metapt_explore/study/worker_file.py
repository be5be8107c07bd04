"""Files by which a run and its workers speak: one folder of a study, each file with one writer.

::

    studies/<name>/cells/<batch>.batch.json    what is to be made; written by the run
    studies/<name>/cells/<batch>.worker.json   how its worker stands; written by the worker
    studies/<name>/cells/<batch>.cancel        asks the worker to stop; written by the run
    studies/<name>/cells/<batch>.log           what the worker prints
    studies/<name>/cells/ended/                the same files of batches that have ended
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict, cast

from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.presence import is_alive, present
from metapt_explore.storage.processes import ProcessIdentity, identity
from metapt_explore.storage.workspace import Workspace

#: Seconds between two signs of life of a worker, also while one long call computes.
BEAT_S = 5.0
#: Seconds that workers have to write a checkpoint when they are stopped.
STOP_GRACE_S = 60.0
#: Seconds between two writes where only the share has changed.
WRITE_EVERY_S = 1.0


class BatchRecord(TypedDict, total=False):
    """A batch of cells: made by one worker, one after another.

    Attributes:
        id: Its name.
        cells: The expected id of each cell, by key, in order.
        engine: Where it was given to.
        handle: What the engine calls the job; missing while it is being submitted.
    """

    id: str
    cells: dict[str, str]
    engine: str
    handle: str


class WorkerRecord(TypedDict, total=False):
    """How the worker of a batch stands.

    Attributes:
        state: ``running``, ``ended`` (it has tried every cell), ``stopped`` (asked to; the rest is left) or ``refused``
            (it could not begin or go on, see `error`).
        worker: What people call it: host and process.
        process: Its process.
        beat: Grows as long as the worker lives; clocks of machines are not compared.
        current: Key of the cell that it makes now.
        fraction: Share of that cell.
        made: Keys of the cells that it has computed.
        failed: Parts that failed, as `FailedPart.as_dict` has them.
        error: Why it could not begin or go on; with ``stopped`` an error of files, after which it is tried again.
        speed: How fast it runs the language model, where it has measured that: a `cost.count.Speed` as a tree.
        no_place: Whether that was a full or read-only disk, which stops the run.
        updated: When this was written.
    """

    state: str
    worker: str
    process: ProcessIdentity
    beat: int
    current: str
    fraction: float
    made: list[str]
    failed: list[dict[str, Any]]
    error: str
    speed: dict[str, float]
    no_place: bool
    updated: float


def cells_folder(workspace: Workspace, name: str) -> Path:
    """Where a study's batches lie."""
    return workspace.study_folder(name) / "cells"


def batch_file(folder: Path, batch: str) -> Path:
    """The file that says what a batch is."""
    return folder / f"{batch}.batch.json"


def worker_file(folder: Path, batch: str) -> Path:
    """The file in which a batch's worker says how it stands."""
    return folder / f"{batch}.worker.json"


def cancel_batch_file(folder: Path, batch: str) -> Path:
    """The file that asks a batch's worker to stop."""
    return folder / f"{batch}.cancel"


def log_file(folder: Path, batch: str) -> Path:
    """What a batch's worker prints."""
    return folder / f"{batch}.log"


def read_batch(folder: Path, batch: str) -> BatchRecord:
    """What a batch is; empty if its file is missing or damaged."""
    record = read_json(batch_file(folder, batch))
    return cast(BatchRecord, record) if isinstance(record, dict) else BatchRecord()


def read_worker(folder: Path, batch: str) -> WorkerRecord:
    """How a batch's worker stands; empty if it has not said so yet."""
    record = read_json(worker_file(folder, batch))
    return cast(WorkerRecord, record) if isinstance(record, dict) else WorkerRecord()


def is_withdrawn(folder: Path, batch: str) -> bool:
    """Whether a batch was taken back from its worker: its file is gone."""
    return not batch_file(folder, batch).exists()


def open_batches(workspace: Workspace, name: str) -> dict[str, BatchRecord]:
    """The batches of a study that have not ended, by their names, oldest first."""
    folder = cells_folder(workspace, name)
    names = sorted(file.name.removesuffix(".batch.json") for file in folder.glob("*.batch.json"))
    return {batch: record for batch in names if (record := read_batch(folder, batch))}


def cell_states(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    """Cells that wait for a worker or are at one, for pages: their key, state, worker and share.

    Returns:
        A row for each cell: ``key``, ``state`` (``submitted``, ``running``, ``made``, ``stopped``, or ``lost``: its
        worker is gone, and the next run gives it out again), ``worker``, ``fraction`` and ``batch``.
    """
    folder = cells_folder(workspace, name)
    rows: list[dict[str, Any]] = []
    for batch, record in open_batches(workspace, name).items():
        said = read_worker(folder, batch)
        is_lost = said.get("state") == "running" and not is_at_work(workspace, said)
        for key in record.get("cells", {}):
            row = {"key": key, "state": "submitted", "worker": said.get("worker", ""), "fraction": 0.0, "batch": batch}
            if key in said.get("made", []):
                row |= {"state": "made", "fraction": 1.0}
            elif is_lost:
                row |= {"state": "lost", "fraction": said.get("fraction", 0.0) * (key == said.get("current"))}
            elif key == said.get("current"):
                state = "running" if said.get("state") == "running" else "stopped"
                row |= {"state": state, "fraction": said.get("fraction", 0.0)}
            rows.append(row)
    return rows


def workers_that_run(workspace: Workspace, name: str) -> list[ProcessIdentity]:
    """The processes of a study's workers that have not said how they ended, alive or not."""
    folder = cells_folder(workspace, name)
    said = [read_worker(folder, batch) for batch in open_batches(workspace, name)]
    return [each["process"] for each in said if each.get("state") == "running" and "process" in each]


def batches_at_work(workspace: Workspace, name: str) -> list[str]:
    """The batches of a study whose workers live, whether or not a run watches them."""
    folder = cells_folder(workspace, name)
    return [batch for batch in open_batches(workspace, name) if is_at_work(workspace, read_worker(folder, batch))]


def is_at_work(workspace: Workspace, said: WorkerRecord) -> bool:
    """Whether a worker has not said how it ended and lives, on whatever host (`storage.presence`)."""
    return said.get("state") == "running" and is_alive(said.get("process"), workspace.folder)


class WorkerFile:
    """A worker's own file.

    Args:
        workspace: The workspace, in which it shows that it lives.
        file: The file; None writes none.
    """

    def __init__(self, workspace: Workspace, file: Path | None) -> None:
        self._workspace = workspace
        self._file, self._lock, self._last = file, threading.Lock(), float("-inf")
        process = identity()
        self.record: WorkerRecord = {
            "state": "running",
            "worker": f"{process['host']}:{process['pid']}",
            "process": process,
            "beat": 0,
            "current": "",
            "fraction": 0.0,
            "made": [],
            "failed": [],
        }

    def tell(self, fraction: float) -> None:
        """Sets the share of the cell that is being made; written now and then."""
        self.record["fraction"] = fraction
        if time.monotonic() - self._last > WRITE_EVERY_S:
            self.write()

    def write(self, **changes: Any) -> None:
        """Writes the file."""
        with self._lock:
            self._last = time.monotonic()
            self.record["beat"] += 1
            self.record["updated"] = time.time()
            cast(dict[str, Any], self.record).update(changes)
            if self._file is not None:
                write_json(self._file, self.record)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Inside, the file is written every few seconds, and other hosts see that this process lives."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(BEAT_S):
                with suppress(OSError):  # a full disk is found by whoever writes results
                    self.write()

        thread = threading.Thread(target=beat, daemon=True)
        with present(self._workspace.folder):
            self.write()
            thread.start()
            try:
                yield
            finally:
                ended.set()
                thread.join()

    def remove(self) -> None:
        """Removes the file and writes none any more: nobody reads it where the batch was taken back."""
        with self._lock:
            if self._file is not None:
                self._file.unlink(missing_ok=True)
            self._file = None
