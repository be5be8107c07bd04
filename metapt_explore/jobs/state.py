"""State of a study's job: from its ``job.json`` (`study.job_file`), its ``request.json`` and its lock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from metapt_explore.progress.failed_part import FailedPart
from metapt_explore.progress.state import format_time
from metapt_explore.storage.files import is_recent, read_json, write_json
from metapt_explore.storage.host_lock import holder
from metapt_explore.storage.presence import BEAT_S, LEASE_S, is_alive, is_in_doubt, silent_s
from metapt_explore.storage.processes import ProcessIdentity, host_of, is_here, is_same
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import JobRecord, cancel_file, fraction_of_same, read_job
from metapt_explore.study.worker_file import workers_that_run

if TYPE_CHECKING:
    from metapt_explore.stages.registry import Until

#: Seconds that a started process has to take the study's lock.
STARTUP_TIMEOUT_S = 30.0
#: Seconds between two looks at a heartbeat of another host.
SETTLE_POLL_S = 0.2
#: A study with one of these waits or runs already.
ACTIVE = ("queued", "starting", "running")
ENDED = ("done", "incomplete", "partly", "failed", "cancelled")


class Request(TypedDict, total=False):
    """Content of ``request.json``: a request to run a study (see `queue`).

    Attributes:
        asked: When, in seconds since 1970.
        init_seeds: Which of its initialisation seeds; all if None.
        until: How far.
        attempts: How often its process was started again.
        worker: The worker that has it.
        child: The process that computes it.
    """

    asked: float
    init_seeds: list[int] | None
    until: Until
    attempts: int
    worker: ProcessIdentity
    child: ProcessIdentity | None


def request_file(workspace: Workspace, name: str) -> Path:
    """The file of the request for a study."""
    return workspace.study_folder(name) / "request.json"


def read_request(workspace: Workspace, name: str) -> Request | None:
    """The request for a study; None without one."""
    request: Any = read_json(request_file(workspace, name))
    return cast(Request, request) if isinstance(request, dict) else None


def write_request(workspace: Workspace, name: str, request: Request) -> None:
    """Writes a study's ``request.json``."""
    write_json(request_file(workspace, name), request)


def job_state(workspace: Workspace, name: str) -> JobRecord:
    """State of a study's job.

    Returns:
        Its ``status``: ``none``, ``queued``, ``starting``, ``running``, ``done``, ``incomplete`` (some parts failed,
        see ``failed``), ``partly`` (what was asked for is finished, the study has more), ``failed``, ``cancelled`` or
        ``stopped`` (its process died); and what `Progress` knows (``stage``, ``fraction``, ``seconds_left`` …). Of one
        that runs or ran on another host, the ``host``, and how long nothing was seen of it (``silent_s``).
    """
    state = own_state(workspace, name)
    request = read_request(workspace, name)
    if request is None or state["status"] in ("starting", "running"):
        return state
    if ended_as_asked(state, request):
        return state  # The worker is about to remove the request.
    # Percent and time left are of what is asked for now, not of what an earlier job was asked for.
    until, init_seeds = request.get("until") or "all", request.get("init_seeds")
    asked: JobRecord = {"until": until, "init_seeds": init_seeds, "seconds_left": None}
    asked["fraction"] = fraction_of_same(state, until=until, init_seeds=init_seeds)
    if is_child_alive(workspace, request):
        return {**state, **asked, "status": "starting"}  # It starts slowly.
    return {**state, **asked, "status": "queued"}


def ended_as_asked(state: JobRecord, request: Request) -> bool:
    """Whether the process that was started for a request has ended and said how.

    What a terminal or a notebook did with the study meanwhile does not answer the request.
    """
    child = request.get("child")
    if state.get("status") not in ENDED or not isinstance(child, dict):
        return False
    if "process" not in state:  # written by an earlier version
        return state.get("pid") == child.get("pid")
    return is_same(state["process"], child)


def is_child_alive(workspace: Workspace, request: Request) -> bool:
    """Whether the process that computes a request lives.

    One of another host shows itself when it begins to work; while it starts, its worker speaks for it.
    """
    child = request.get("child")
    if child is None or is_here(child):
        return is_alive(child, workspace.folder)
    return is_alive(child, workspace.folder) or is_alive(request.get("worker"), workspace.folder)


def own_state(workspace: Workspace, name: str) -> JobRecord:
    """How the process that works or worked on a study stands by ``job.json``, and whether it still runs."""
    record = read_job(workspace, name)
    if not record:
        return {"status": "none"}
    alive = workspace.is_locked(name)
    process = record.get("process")
    if process is not None and not is_here(process):
        record["host"] = host_of(process).name
        record["silent_s"] = silent_s(process, workspace.folder) if alive else None
    if record["status"] == "running" and not alive:
        # It may have ended between the two checks; the file then has its result.
        latest = read_job(workspace, name)
        ended = latest.get("status", "running") != "running"
        return latest if ended else {**record, "status": "stopped"}
    # A job that was just started needs some seconds before it takes the lock.
    late = not is_recent(record.get("began"), STARTUP_TIMEOUT_S)
    if record["status"] == "starting" and not alive and late:
        return {**record, "status": "stopped"}
    return record


def settle(workspace: Workspace, name: str) -> None:
    """Waits until it is known whether what works on a study on another host is alive: two minutes at most."""
    while hosts_in_doubt(workspace, name):
        time.sleep(SETTLE_POLL_S)


def hosts_in_doubt(workspace: Workspace, name: str) -> set[str]:
    """Other hosts that have to do with a study, and of which nobody here knows yet whether they are alive."""
    request = read_request(workspace, name) or Request()
    lock = workspace.study_folder(name) / ".lock"
    who = [holder(lock, workspace.folder), request.get("worker"), request.get("child")]
    who += workers_that_run(workspace, name)
    return {host_of(process).name for process in who if is_in_doubt(process, workspace.folder)}


def format_gone(state: Mapping[str, Any]) -> str:
    """Why a job is ``stopped``, in words.

    Example:
        >>> format_gone({"status": "stopped"}), format_gone({"status": "stopped", "host": "gpu1"})
        ('its process is gone', "its process on 'gpu1' is gone")
    """
    host = state.get("host")
    return f"its process on '{host}' is gone" if host else "its process is gone"


def format_silent(state: Mapping[str, Any]) -> str:
    """A sentence where nothing was seen of a running job's host for longer than a heartbeat may take; else empty.

    Example:
        >>> format_silent({"status": "running", "host": "gpu1", "silent_s": 40.0})
        "no sign of life from 'gpu1' for 40 s; after 2 min 00 s it counts as gone"
    """
    silent = state.get("silent_s")
    is_silent = isinstance(silent, int | float) and silent > 2 * BEAT_S  # no number is not
    if state.get("status") != "running" or not is_silent:
        return ""
    counts = f"after {format_time(LEASE_S)} it counts as gone"
    return f"no sign of life from '{state.get('host')}' for {format_time(silent)}; {counts}"


def missing_parts(workspace: Workspace, name: str) -> list[dict[str, str]]:
    """The parts that failed when the study was last run, each with its name as ``key`` and its ``reason``."""
    state = own_state(workspace, name)
    failed = state.get("failed") if state["status"] in ("incomplete", "failed") else None
    parts = [FailedPart(**part) for part in failed] if isinstance(failed, list) else []
    return [{"key": part.title, "reason": f"{part.reason}{part.waiting}"} for part in parts]


def is_cancelling(workspace: Workspace, name: str) -> bool:
    """Whether a study was asked to stop and has not stopped yet."""
    return cancel_file(workspace, name).exists()
