"""``job.json`` in a study's folder: how the process that works on the study stands.

Whoever runs a study (the queue's worker, a notebook, the command line) holds the study's lock and keeps this file up to
date, so that all of them show the same. A killed process is noticed: its lock is free, its file still says ``running``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import Timeout

from metapt_explore.errors import Cancelled, UserError
from metapt_explore.progress.state import Progress, State
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.failures import format_failed

#: Seconds between two writes.
WRITE_EVERY_S = 0.5


def cancel_file(workspace: Workspace, name: str) -> Path:
    """The file that asks a study's process to stop; it looks for it at every step."""
    return workspace.study_folder(name) / "cancel"


@contextmanager
def working_on(
    workspace: Workspace,
    name: str,
    listener: Callable[[State], None] = lambda state: None,
    asked: Mapping[str, Any] | None = None,
) -> Iterator[Progress]:
    """Holds a study's lock, and keeps ``job.json`` up to date while the body runs.

    Args:
        workspace: The workspace.
        name: The study.
        listener: Also told of progress.
        asked: How much of the study is wanted (``until``, ``init_seeds``), for whoever asks for it again.

    Raises:
        UserError: Where another process is working on the study.
    """
    folder = workspace.study_folder(name)
    lock = workspace.study_lock(name)
    try:
        # Whoever looks whether the lock is free takes it for a moment: try for longer than that.
        lock.acquire(timeout=2)
    except Timeout:
        raise UserError(f"Another process is already running the study '{name}' in {workspace.folder}.") from None
    cancel = cancel_file(workspace, name)
    before = read_json(folder / "job.json")
    if not (isinstance(before, dict) and before.get("status") == "starting"):
        # Left over from a process that was killed; a cancel of a job that is just starting counts.
        cancel.unlink(missing_ok=True)
    head = {**(asked or {}), "pid": os.getpid(), "began": time.time()}
    last: dict[str, Any] = {"time": float("-inf"), "stage": ""}

    def write(state: State, status: str, **more: Any) -> None:
        write_json(folder / "job.json", {**head, "status": status, "updated": time.time(), **state.as_dict(), **more})

    def on_state(state: State) -> None:
        if time.monotonic() - last["time"] > WRITE_EVERY_S or state.stage != last["stage"]:
            last["time"], last["stage"] = time.monotonic(), state.stage
            write(state, "running")
        listener(state)

    progress = Progress(on_state, cancel.exists)
    progress.holds_lock = True
    write(progress.state, "running")
    try:
        yield progress
    except (Cancelled, KeyboardInterrupt):
        write(progress.state, "cancelled")
        raise
    except BaseException as error:
        message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        write(progress.state, "failed", error=message)
        raise
    else:
        if progress.state.failed:
            write(progress.state, "incomplete", error=" ".join(format_failed(progress.state.failed)))
        else:
            write(progress.state, "partly" if progress.left_out else "done")
    finally:
        cancel.unlink(missing_ok=True)
        lock.release()
