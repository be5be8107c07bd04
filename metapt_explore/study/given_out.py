"""Batches that a worker has or may still get, also where the run that gave them out is gone; and how they are put away.

A job that waits in a scheduler's queue has no worker yet, and one that was queued again has one that said `stopped`:
neither is at work, and both will be.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from metapt_explore.storage.processes import runs_here
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.worker_file import (
    BatchRecord,
    batches_at_work,
    cancel_batch_file,
    cells_folder,
    open_batches,
    read_worker,
)

#: Engines whose jobs wait in a queue of their own, which outlives the run.
QUEUEING = ("slurm",)
#: What a worker says when it has no more to do; one that was `stopped` may go on where a scheduler queues it again.
SAID_ALL = ("ended", "refused")


def batches_given_out(workspace: Workspace, name: str) -> dict[str, BatchRecord]:
    """The batches of a study whose workers live, or will begin although nobody has asked them to stop."""
    folder, at_work = cells_folder(workspace, name), batches_at_work(workspace, name)
    return {
        batch: record
        for batch, record in open_batches(workspace, name).items()
        if batch in at_work or (not cancel_batch_file(folder, batch).exists() and _may_begin(folder, batch, record))
    }


def _may_begin(folder: Path, batch: str, record: BatchRecord) -> bool:
    """Whether it will have a worker, as far as anybody knows who does not ask the engine."""
    said = read_worker(folder, batch)
    if record.get("engine", "").partition(":")[0] in QUEUEING:
        return said.get("state") not in SAID_ALL
    with suppress(ValueError):
        handle = json.loads(record.get("handle", ""))
        return not said and isinstance(handle, dict) and runs_here(handle.get("process"))
    return False


def stop_workers(workspace: Workspace, name: str) -> dict[str, BatchRecord]:
    """Asks the workers of a study to stop with a checkpoint, where the run that started them is gone.

    One that has not begun finds this when it begins, and ends.

    Returns:
        What they were given.
    """
    batches = batches_given_out(workspace, name)
    for batch in batches:
        cancel_batch_file(cells_folder(workspace, name), batch).touch()
    return batches


def put_away(folder: Path, batch: str) -> None:
    """Moves the files of a batch that has ended into `ended/`; they say which worker made what."""
    past = folder / "ended"
    cancel_batch_file(folder, batch).unlink(missing_ok=True)
    past.mkdir(parents=True, exist_ok=True)
    # What makes it a batch goes first: one without it is no batch any more.
    for file in sorted(folder.glob(f"{batch}.*"), key=lambda file: file.suffixes[:1] != [".batch"]):
        if not file.name.startswith("."):
            file.replace(past / file.name)
