"""The queue of a workspace: which studies are asked for, in which order, and the workers that compute them.

A study that is asked for has a file ``request.json`` in its folder until its job has ended; it says when it was asked
for, which worker has it and which process computes it (`state.Request`). These files are the queue: workers take the
oldest free one, under one lock; there is no database that could be lost or damaged. Pages, notebooks and the command
line all ask here and see the same jobs.

::

    workspace/queue/
      .lock               held for the moments in which a request is made, taken or ended
      worker-<host>-0.lock    held by the worker of a host's first device
      worker-<host>-0.json    its process id
      worker-<host>-0.log     its output

Several hosts may share a workspace: each has workers of its own, which take requests under the same lock, and whether
one of another host lives is told by its heartbeat (`storage.presence`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock, Timeout

from metapt_explore.config import StudyConfig, to_yaml
from metapt_explore.config.machine import machine_config
from metapt_explore.errors import UserError
from metapt_explore.jobs.gpus import worker_devices
from metapt_explore.jobs.state import (
    ACTIVE,
    STARTUP_TIMEOUT_S,
    Request,
    is_child_alive,
    job_state,
    read_request,
    request_file,
    settle,
    write_request,
)
from metapt_explore.storage.files import is_recent, read_json, write_bytes, write_json
from metapt_explore.storage.host_lock import HostLock
from metapt_explore.storage.hosts import Host, this_host
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.given_out import stop_workers
from metapt_explore.study.job_file import cancel_file, write_job

if TYPE_CHECKING:
    from metapt_explore.stages.registry import Until

#: Seconds to wait for a started worker before starting another.
START_GRACE_S = 3.0
#: Held while a thread of this process starts workers.
_starting = threading.Lock()


def queue_lock(workspace: Workspace) -> HostLock:
    """Lock to hold while making, taking or ending a request."""
    folder = workspace.folder / "queue"
    folder.mkdir(parents=True, exist_ok=True)
    return HostLock(folder / ".lock", workspace.folder, timeout=10)


def requests(workspace: Workspace) -> list[tuple[str, Request]]:
    """Requests that have not ended, by study, oldest first."""
    entries = []
    for name in _with_request(workspace):
        request = read_request(workspace, name)
        if request is not None:
            entries.append((name, request))
    return sorted(entries, key=lambda entry: (float(entry[1].get("asked", 0.0)), entry[0]))


def _with_request(workspace: Workspace) -> list[str]:
    """Studies with a request; asked every second of workspaces with thousands, hence without `Path.glob`."""
    try:
        studies = list(os.scandir(workspace.folder / "studies"))
    except OSError:
        return []
    # A `Path` of each would take longer than the look.
    return [study.name for study in studies if os.path.exists(f"{study.path}/request.json")]  # noqa: PTH110


def enqueue(
    workspace: Workspace, study: StudyConfig, *, init_seeds: Sequence[int] | None = None, until: Until = "all"
) -> bool:
    """Puts a study into the queue; a worker process computes it when those before it are done.

    Args:
        workspace: The workspace.
        study: The study.
        init_seeds: Only these of its initialisation seeds (default: all).
        until: How far, see `Study.run`.

    Returns:
        Whether it was put into the queue; False if it waits or runs already.

    Raises:
        UserError: If it waits or runs with other settings, seeds or `until`.

    Example:
        >>> enqueue(Workspace("workspace"), load_study("tour"))  # doctest: +SKIP
        True
    """
    settle(workspace, study.name)
    with queue_lock(workspace):
        if job_state(workspace, study.name)["status"] in ACTIVE:
            _refuse_another(workspace, study, init_seeds=init_seeds, until=until)
            return False
        workspace.save_study(study)
        cancel_file(workspace, study.name).unlink(missing_ok=True)
        request: Request = {
            "asked": _later_than_all(workspace),
            "init_seeds": None if init_seeds is None else list(init_seeds),
            "until": until,
            "attempts": 0,
        }
        write_request(workspace, study.name, request)
    ensure_workers(workspace)
    return True


def _later_than_all(workspace: Workspace) -> float:
    """The time now, or just after the last request if the clock was set back."""
    times = [float(request.get("asked", 0.0)) for _, request in requests(workspace)]
    return max([time.time(), *(asked + 1e-3 for asked in times)])


def _refuse_another(
    workspace: Workspace, study: StudyConfig, *, init_seeds: Sequence[int] | None, until: Until
) -> None:
    """Raises a UserError if the queued study differs from this one."""
    request = read_request(workspace, study.name)
    if request is None:
        return  # it runs in a terminal or a notebook
    seeds = None if init_seeds is None else list(init_seeds)
    file = workspace.study_folder(study.name) / "study.yaml"
    parts = {
        "study file": file.exists() and file.read_text(encoding="utf-8") != to_yaml(study),
        f"--until {request.get('until')}": request.get("until") != until,
        "initialisation seeds": request.get("init_seeds") != seeds,
    }
    different = [part for part, differs in parts.items() if differs]
    if different:
        raise UserError(
            f"'{study.name}' is already queued with different settings ({', '.join(different)}): cancel it "
            f"(metapt cancel {study.name}), or ask again when it has ended."
        )


def cancel(workspace: Workspace, name: str) -> None:
    """Takes a waiting study out of the queue; asks the process of a running one to stop.

    A queued job that does not stop within moments is killed (`worker.supervise`). What is computed is kept: the same
    study asked for again goes on from there to the same scores.

    Args:
        workspace: The workspace.
        name: The study.

    Example:
        >>> cancel(Workspace("workspace"), "tour")  # doctest: +SKIP
    """
    with queue_lock(workspace):
        request = read_request(workspace, name)
        state = job_state(workspace, name)
        if request is not None and is_child_alive(workspace, request):
            write_bytes(cancel_file(workspace, name), b"")  # its worker removes the request
            return
        request_file(workspace, name).unlink(missing_ok=True)
        if state["status"] in ("starting", "running"):  # in a terminal or a notebook
            write_bytes(cancel_file(workspace, name), b"")
        elif request is not None:
            write_job(workspace, name, {**state, "status": "cancelled", "updated": time.time()})
        else:
            stop_workers(workspace, name)  # those of a run that is gone


def jobs_table(workspace: Workspace) -> pd.DataFrame:
    """The jobs of a workspace: first those that run, then those that wait in their order, then the others.

    Args:
        workspace: The workspace.

    Returns:
        Columns study, status (`job_state` lists them), position (from 1, of those that wait), fraction (0 to 1), stage,
        seconds_left, error, updated (seconds since 1970), host (another one that it runs or ran on; empty for this
        one) and silent_s (seconds that nothing was seen of it).

    Example:
        >>> jobs_table(Workspace("workspace"))[["study", "status"]]  # doctest: +SKIP
    """
    waiting = [name for name, _ in requests(workspace)]
    rows: list[dict[str, Any]] = []
    for name in workspace.study_names():
        state = job_state(workspace, name)
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
                "host": state.get("host", ""),
                "silent_s": state.get("silent_s"),
            }
        )
    position = 0
    for name in waiting:
        for row in rows:
            if row["study"] == name and row["status"] == "queued":
                position += 1
                row["position"] = position
    order = {"running": 0, "starting": 1, "queued": 2}
    rows.sort(key=lambda row: (order.get(row["status"], 3), row["position"] or 0, -row["updated"]))
    columns = ["study", "status", "position", "fraction", "stage", "seconds_left", "error", "updated"]
    columns += ["host", "silent_s"]
    return pd.DataFrame(rows, columns=columns)


def ensure_workers(workspace: Workspace) -> int:
    """Starts missing workers if there are requests; returns how many.

    Called when a study is asked for, and every few seconds by the dashboard's server: a killed worker is replaced, and
    the new one goes on with its study. ``METAPT_WORKERS=0`` in the environment switches this off.
    """
    waiting = requests(workspace)
    if not waiting or os.environ.get("METAPT_WORKERS") == "0":
        return 0
    started = 0
    with _starting:
        for number, device in enumerate(_devices()[: len(waiting)]):
            if not worker_alive(workspace, number):
                _start_worker(workspace, number, device)
                started += 1
    return started


def _devices() -> list[str | None]:
    """One entry a worker. An engine divides the cards itself, so a single worker sees all of them."""
    with suppress(UserError):  # a run says what is wrong with the machine file
        if (machine_config().on or "here") != "here":
            return [None]
    return worker_devices()


def worker_lock(workspace: Workspace, number: int) -> FileLock:
    """The lock that the one worker of a device of this host holds."""
    # Held by the process, not by a thread.
    return FileLock(worker_file(workspace, number, "lock"), timeout=0, thread_local=False)


def worker_file(workspace: Workspace, number: int, suffix: str) -> Path:
    """A file of a worker of this host.

    Args:
        workspace: The workspace.
        number: Which of the host's workers.
        suffix: ``lock``, ``json`` or ``log``.
    """
    host = this_host()
    # A restart of the machine changes nothing; containers may have one name, and each has its own workers.
    name = Host(host.name, "", host.namespace).key
    return workspace.folder / "queue" / f"worker-{name}-{number}.{suffix}"


def worker_alive(workspace: Workspace, number: int) -> bool:
    """Whether the worker of a device runs, or was started a moment ago."""
    (workspace.folder / "queue").mkdir(parents=True, exist_ok=True)
    try:
        with worker_lock(workspace, number):
            record = read_json(worker_file(workspace, number, "json"))
    except Timeout:
        return True
    if not isinstance(record, dict):
        return False
    # A worker that was just started has only this file until it holds its lock. One that ends at once (a full disk …)
    # is not started again and again.
    return is_recent(record.get("began"), STARTUP_TIMEOUT_S if "pid" not in record else START_GRACE_S)


def _start_worker(workspace: Workspace, number: int, device: str | None) -> None:
    write_json(worker_file(workspace, number, "json"), {"began": time.time()})
    command = [sys.executable, "-m", "metapt_explore", "worker", "--workspace", str(workspace.folder)]
    command += ["--number", str(number)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = device
    with worker_file(workspace, number, "log").open("ab") as log:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )
