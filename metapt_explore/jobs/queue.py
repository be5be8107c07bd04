"""The queue: which studies are asked for, in which order, and that somebody is at them.

A study that is asked for has a file ``request.json`` in its folder, from the moment it is asked for until its job has
ended; it says when it was asked for, which worker has it and which process computes it. These files are the queue:
workers take the oldest that nobody has, under one lock, and there is no database that could be lost or damaged.
Pages, notebooks and the command line all ask here and see the same jobs.

::

    workspace/queue/
      .lock               held for the moments in which a request is made, taken or ended
      worker-0.lock       held by the worker of the first device
      worker-0.json       its process id
      worker-0.log        what it said
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock, Timeout

from metapt_explore.config import StudyConfig, to_yaml
from metapt_explore.errors import UserError
from metapt_explore.jobs import state as jobs
from metapt_explore.jobs.gpus import worker_devices
from metapt_explore.jobs.processes import is_alive
from metapt_explore.storage.files import read_json, write_bytes, write_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import cancel_file

if TYPE_CHECKING:
    from metapt_explore.study.run import Until

#: Seconds from a worker's beginning before which no other takes its place.
BREATH = 3.0
#: Threads of one server start workers one after the other.
_starting = threading.Lock()


def queue_lock(workspace: Workspace) -> FileLock:
    """Held for the moments in which a request is made, taken or ended."""
    folder = workspace.folder / "queue"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".lock", timeout=10)


def requests(workspace: Workspace) -> list[tuple[str, dict[str, Any]]]:
    """Studies that are asked for and have not ended, the one that was asked for first in front."""
    found = []
    for file in (workspace.folder / "studies").glob("*/request.json"):
        request = read_json(file)
        if isinstance(request, dict):
            found.append((file.parent.name, request))
    return sorted(found, key=lambda entry: (float(entry[1].get("asked", 0.0)), entry[0]))


def enqueue(
    workspace: Workspace, study: StudyConfig, init_seeds: Sequence[int] | None = None, until: Until = "all"
) -> bool:
    """Asks for a study; a worker process computes it when those that were asked for before are done.

    Args:
        workspace: Where.
        study: The study.
        init_seeds: Only these of its initialisation seeds; all when absent.
        until: How far.

    Returns:
        Whether it was put into the queue: not where it waits, or is worked on, already.

    Raises:
        UserError: Where another process is running a study of that name with other settings, or the study is in the
            queue with other settings, seeds or `until`.
    """
    with queue_lock(workspace):
        if jobs.job_state(workspace, study.name)["status"] in jobs.ACTIVE:
            _refuse_another(workspace, study, init_seeds, until)
            return False
        workspace.save_study(study)
        cancel_file(workspace, study.name).unlink(missing_ok=True)
        request = {
            "asked": _later_than_all(workspace),
            "init_seeds": None if init_seeds is None else list(init_seeds),
            "until": until,
            "attempts": 0,
        }
        write_json(jobs.request_file(workspace, study.name), request)
    ensure_workers(workspace)
    return True


def _later_than_all(workspace: Workspace) -> float:
    """The time, or a moment after the last request where the clock was set back meanwhile: the order stays."""
    times = [float(request.get("asked", 0.0)) for _, request in requests(workspace)]
    return max([time.time(), *(asked + 1e-3 for asked in times)])


def _refuse_another(workspace: Workspace, study: StudyConfig, init_seeds: Sequence[int] | None, until: Until) -> None:
    """Raises a UserError where what is in the queue is not what is asked for now."""
    request = read_json(jobs.request_file(workspace, study.name))
    if not isinstance(request, dict):
        return  # a terminal's or a notebook's
    seeds = None if init_seeds is None else list(init_seeds)
    file = workspace.study_folder(study.name) / "study.yaml"
    parts = {
        "settings": file.exists() and file.read_text(encoding="utf-8") != to_yaml(study),
        f"--until {request.get('until')}": request.get("until") != until,
        "initialisation seeds": request.get("init_seeds") != seeds,
    }
    other = [part for part, differs in parts.items() if differs]
    if other:
        raise UserError(
            f"'{study.name}' is in the queue already, asked for otherwise ({', '.join(other)}): cancel it "
            f"(metapt cancel {study.name}), or ask again when it has ended."
        )


def cancel(workspace: Workspace, name: str) -> None:
    """Takes a waiting study out of the queue at once; asks the process that works on one to stop.

    A job of the queue that does not stop by itself within moments is stopped (`worker.supervise`); what is computed
    stays, and the same study asked for again goes on from there to the same scores.
    """
    with queue_lock(workspace):
        request = read_json(jobs.request_file(workspace, name))
        state = jobs.job_state(workspace, name)
        if isinstance(request, dict) and is_alive(request.get("child")):
            write_bytes(cancel_file(workspace, name), b"")  # its worker sees to it
            return
        jobs.request_file(workspace, name).unlink(missing_ok=True)
        if state["status"] in ("starting", "running"):  # in a terminal or a notebook
            write_bytes(cancel_file(workspace, name), b"")
        elif isinstance(request, dict):
            last = {**state, "status": "cancelled", "updated": time.time()}
            write_json(workspace.study_folder(name) / "job.json", last)


def jobs_table(workspace: Workspace) -> pd.DataFrame:
    """The jobs of a workspace, those that run first, then those that wait in their order, then the others.

    Returns:
        Columns study, status (see `jobs.job_state`), position (from 1, of those that wait), fraction (0 to 1), stage,
        seconds_left, error and updated (seconds since 1970).
    """
    waiting = [name for name, _ in requests(workspace)]
    rows = []
    for name in workspace.study_names():
        state = jobs.job_state(workspace, name)
        if state["status"] == "none":
            continue
        rows.append(
            {
                "study": name,
                "status": state["status"],
                "position": None,
                "fraction": 1.0 if state["status"] == "done" else float(state.get("fraction") or 0.0),
                "stage": state.get("stage", ""),
                "seconds_left": state.get("seconds_left") if state["status"] == "running" else None,
                "error": state.get("error", ""),
                "updated": float(state.get("updated", state.get("began", 0.0))),
            }
        )
    place = 0
    for name in waiting:
        for row in rows:
            if row["study"] == name and row["status"] == "queued":
                place += 1
                row["position"] = place
    order = {"running": 0, "starting": 1, "queued": 2}
    rows.sort(key=lambda row: (order.get(row["status"], 3), row["position"] or 0, -row["updated"]))
    columns = ["study", "status", "position", "fraction", "stage", "seconds_left", "error", "updated"]
    return pd.DataFrame(rows, columns=columns)


def ensure_workers(workspace: Workspace) -> int:
    """Starts the workers that are missing while something is asked for; returns how many.

    Called by whoever asks for a study, and every few seconds by the dashboard's server: a worker that was killed is
    replaced, and its successor goes on with what it was at. ``METAPT_WORKERS=0`` in the environment leaves that to
    others.
    """
    wanted = requests(workspace)
    if not wanted or os.environ.get("METAPT_WORKERS") == "0":
        return 0
    started = 0
    with _starting:
        for number, device in enumerate(worker_devices()[: len(wanted)]):
            if not worker_alive(workspace, number):
                _start_worker(workspace, number, device)
                started += 1
    return started


def worker_lock(workspace: Workspace, number: int) -> FileLock:
    """The lock that the one worker of a device holds."""
    # Of the process, not of the thread that took it.
    return FileLock(workspace.folder / "queue" / f"worker-{number}.lock", timeout=0, thread_local=False)


def worker_alive(workspace: Workspace, number: int) -> bool:
    """Whether the worker of a device is there, or was started a moment ago."""
    folder = workspace.folder / "queue"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with worker_lock(workspace, number):
            told = read_json(folder / f"worker-{number}.json")
    except Timeout:
        return True
    if not isinstance(told, dict):
        return False
    # Until it holds its lock, a worker that was just started has nothing but this file. One that ends at once (a full
    # disk …) is not started again and again.
    return jobs.is_recent(told.get("began"), jobs.STARTS_WITHIN if "pid" not in told else BREATH)


def _start_worker(workspace: Workspace, number: int, device: str | None) -> None:
    folder = workspace.folder / "queue"
    write_json(folder / f"worker-{number}.json", {"began": time.time()})
    command = [sys.executable, "-m", "metapt_explore", "worker", "--workspace", str(workspace.folder)]
    command += ["--number", str(number)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = device
    with (folder / f"worker-{number}.log").open("ab") as log:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )
