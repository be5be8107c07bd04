"""``job.json`` in a study's folder: how the process that works on the study stands.

Whoever runs a study (the queue's worker, a notebook, the command line) holds the study's lock and keeps this file up to
date, so that all of them show the same. A killed process is noticed: its lock is free, its file still says ``running``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from filelock import Timeout

from metapt_explore.errors import Cancelled, TakenOver, UserError
from metapt_explore.progress.state import Progress, State
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.host_lock import HostLock, holder
from metapt_explore.storage.processes import ProcessIdentity, host_of, identity, is_here
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.failures import format_failed

if TYPE_CHECKING:
    from metapt_explore.stages.registry import Until

#: Seconds between two writes.
WRITE_EVERY_S = 0.5


class JobRecord(TypedDict, total=False):
    """What ``job.json`` holds: the job, and what `Progress` knows (`progress.state.State`).

    Attributes:
        status: ``starting``, ``running``, or how it ended: see `jobs.state.job_state`.
        pid: Of the process.
        process: Its identity.
        began: In seconds since 1970.
        updated: When the file was written.
        until: How far the study was asked for.
        init_seeds: Which of its initialisation seeds were asked for; all if None.
        error: Why it failed.
        host: The other host that it runs or ran on (told by `jobs.state`, not in the file).
        silent_s: Seconds that nothing was seen of that host (likewise).
    """

    status: str
    pid: int
    process: ProcessIdentity
    began: float
    updated: float
    until: Until
    init_seeds: list[int] | None
    error: str
    host: str
    silent_s: float | None
    stage: str
    done: int
    total: int
    fraction: float
    seconds_left: float | None
    notices: list[str]
    predicted_seconds: float | None
    predicted_peak_mib: float | None
    failed: list[dict[str, Any]]


def job_file(workspace: Workspace, name: str) -> Path:
    """The file of a study's job."""
    return workspace.study_folder(name) / "job.json"


def read_job(workspace: Workspace, name: str) -> JobRecord:
    """What a study's ``job.json`` holds; empty if it is missing or damaged."""
    record: Any = read_json(job_file(workspace, name))
    return cast(JobRecord, record) if isinstance(record, dict) and "status" in record else JobRecord()


def write_job(workspace: Workspace, name: str, record: JobRecord) -> None:
    """Writes a study's ``job.json``."""
    write_json(job_file(workspace, name), record)


def cancel_file(workspace: Workspace, name: str) -> Path:
    """The file that asks a study's process to stop; it looks for it at every step."""
    return workspace.study_folder(name) / "cancel"


def fraction_of_same(record: JobRecord, *, until: Until | None, init_seeds: Sequence[int] | None) -> float:
    """How far a job was that was asked for as much and did not end; 0 for any other.

    Example:
        >>> stopped = {"status": "cancelled", "until": "all", "init_seeds": None, "fraction": 0.4}
        >>> fraction_of_same(stopped, until="all", init_seeds=None)
        0.4
        >>> fraction_of_same(stopped, until="prompts", init_seeds=None)
        0.0
    """
    seeds = None if init_seeds is None else list(init_seeds)
    same = (record.get("until"), record.get("init_seeds")) == (until, seeds)
    share = record.get("fraction")
    ended = record.get("status") in ("done", "partly", "incomplete")
    return float(share) if same and not ended and isinstance(share, int | float) and 0 <= share <= 1 else 0.0


@contextmanager
def working_on(
    workspace: Workspace,
    name: str,
    listener: Callable[[State], None] = lambda state: None,
    *,
    init_seeds: Sequence[int] | None = None,
    until: Until | None = None,
) -> Iterator[Progress]:
    """Holds a study's lock, and keeps ``job.json`` up to date while the body runs.

    Args:
        workspace: The workspace.
        name: The study.
        listener: Also told of progress.
        init_seeds: Which initialisation seeds are asked for, for whoever asks for the study again.
        until: How far it is asked for, likewise; None if nobody said.

    Raises:
        UserError: If another process is working on the study.
    """
    lock = workspace.study_lock(name)
    _acquire(lock, workspace, name, listener)
    cancel, before = cancel_file(workspace, name), read_job(workspace, name)
    if before.get("status") != "starting":
        # Left by a process that was killed; a cancel of a job that is just starting counts.
        cancel.unlink(missing_ok=True)
    head: JobRecord = {"pid": identity()["pid"], "process": identity(), "began": time.time()}
    if until is not None:
        head = {"until": until, "init_seeds": None if init_seeds is None else list(init_seeds), **head}
    last_write, last_stage = float("-inf"), ""

    def write(state: State, status: str, error: str | None = None) -> None:
        if lock.lost or (status != "running" and not lock.is_ours):
            return  # the file is the other host's by now
        tree = {**head, "status": status, "updated": time.time(), **state.as_dict()}
        record = cast(JobRecord, tree)
        write_job(workspace, name, record if error is None else {**record, "error": error})

    def on_state(state: State) -> None:
        nonlocal last_write, last_stage
        if time.monotonic() - last_write > WRITE_EVERY_S or state.stage != last_stage:
            last_write, last_stage = time.monotonic(), state.stage
            write(state, "running")
        listener(state)

    progress = Progress(on_state, lambda: _should_stop(lock, cancel))
    progress.holds_lock = True
    progress.fraction_before = fraction_of_same(before, until=until, init_seeds=init_seeds)
    write(progress.state, "running")
    try:
        yield progress
    except (Cancelled, KeyboardInterrupt):
        write(progress.state, "cancelled")
        raise
    except BaseException as error:
        message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        write(progress.state, "failed", message)
        raise
    else:
        if progress.state.failed:
            write(progress.state, "incomplete", " ".join(format_failed(progress.state.failed)))
        else:
            write(progress.state, "partly" if progress.left_out else "done")
    finally:
        if lock.is_ours:
            with suppress(OSError):  # the next run does it
                workspace.compact_index(name)
            cancel.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: HostLock, workspace: Workspace, name: str, listener: Callable[[State], None]) -> None:
    """Takes a study's lock, or says who has it."""

    def wait_for(host: str) -> None:
        listener(State(stage=f"waiting up to two minutes: does '{host}' still run this study?"))

    try:
        # Whoever looks whether the lock is free takes it for a moment: try for longer than that.
        lock.acquire(timeout=2, on_doubt=wait_for)
    except Timeout:
        process = holder(lock.file, workspace.folder)
        where = f" on '{host_of(process).name}'" if process is not None and not is_here(process) else ""
        raise UserError(
            f"Another process{where} is already running the study '{name}' in {workspace.folder}."
        ) from None


def _should_stop(lock: HostLock, cancel: Path) -> bool:
    """Whether the process was asked to stop.

    Raises:
        TakenOver: If another host runs the study by now.
    """
    if lock.lost:
        raise TakenOver(
            "Stopped: another host goes on with this study, since this process showed no sign of life for minutes "
            "(its machine slept, or its disk was away)."
        )
    return cancel.exists()
