"""How the job of a study stands: from its ``job.json`` (`study.job_file`), its ``request.json`` and its lock."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from metapt_explore.jobs.processes import is_alive
from metapt_explore.progress.failed_part import FailedPart
from metapt_explore.storage.files import read_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import cancel_file

#: Seconds within which a process that was started takes the study's lock.
STARTS_WITHIN = 30.0
#: A study with one of these waits or runs already.
ACTIVE = ("queued", "starting", "running")
ENDED = ("done", "incomplete", "partly", "failed", "cancelled")


def job_state(workspace: Workspace, name: str) -> dict[str, Any]:
    """How the job of a study stands.

    Returns:
        ``status`` (``none``, ``queued``, ``starting``, ``running``, ``done``, ``incomplete`` (some parts failed, see
        ``failed``), ``partly`` (what was asked for is there, the study asks for more), ``failed``, ``cancelled`` or
        ``stopped``: its process died), and what `Progress` knows (``stage``, ``fraction``, ``seconds_left`` …),
        ``error`` where it failed.
    """
    state = own_state(workspace, name)
    request = read_json(request_file(workspace, name))
    if not isinstance(request, dict) or state["status"] in ("starting", "running"):
        return state
    if ended_as_asked(state, request):
        return state  # The worker is just about to take the request away.
    if is_alive(request.get("child")):
        return {**state, "status": "starting"}  # It takes long to begin.
    return {**state, "status": "queued"}


def ended_as_asked(state: dict[str, Any], request: dict[str, Any]) -> bool:
    """Whether the process that was started for a request has come to its end, by its own word.

    What a terminal or a notebook did with the study meanwhile is no answer to the request.
    """
    child = request.get("child")
    return state["status"] in ENDED and isinstance(child, dict) and state.get("pid") == child.get("pid")


def own_state(workspace: Workspace, name: str) -> dict[str, Any]:
    """What the process that works on a study, or did, says; and whether it is still there."""
    found = read_json(workspace.study_folder(name) / "job.json")
    if not isinstance(found, dict) or "status" not in found:
        return {"status": "none"}
    alive = workspace.is_locked(name)
    if found["status"] == "running" and not alive:
        # It may have ended between our two looks: then its last word is in the file by now.
        latest = read_json(workspace.study_folder(name) / "job.json")
        ended = isinstance(latest, dict) and latest.get("status", "running") != "running"
        return latest if ended else {**found, "status": "stopped"}
    # A job that was just started needs some seconds before it takes the lock.
    late = not is_recent(found.get("began"), STARTS_WITHIN)
    if found["status"] == "starting" and not alive and late:
        return {**found, "status": "stopped"}
    return found


def missing_parts(workspace: Workspace, name: str) -> list[dict[str, str]]:
    """The parts that failed when the study was last run, each with its name as ``key`` and its ``reason``."""
    state = own_state(workspace, name)
    told = state.get("failed") if state["status"] in ("incomplete", "failed") else None
    parts = [FailedPart(**part) for part in told] if isinstance(told, list) else []
    return [{"key": part.title, "reason": f"{part.reason}{part.waiting}"} for part in parts]


def is_recent(when: Any, seconds: float) -> bool:
    """Whether a time of day that another process wrote is at most so many seconds ago.

    One that lies further in the future is not: the clock was set back since, and nobody knows how long ago it was.
    """
    return isinstance(when, int | float) and abs(time.time() - when) <= seconds


def is_cancelling(workspace: Workspace, name: str) -> bool:
    """Whether a study was asked to stop and has not stopped yet."""
    return cancel_file(workspace, name).exists()


def request_file(workspace: Workspace, name: str) -> Path:
    """The file that says that a study is asked for (see `queue`)."""
    return workspace.study_folder(name) / "request.json"
