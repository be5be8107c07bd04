"""The worker of one device: takes studies out of the queue and watches over the process that computes each.

A study runs in a process of its own: it can be stopped for certain, it gives its memory back, and it outlives the
worker. Which worker has a study, and which process computes it, stands in the study's ``request.json``; a worker that
takes a request whose process is at work, left by a worker that was killed, takes over the watch.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from filelock import FileLock, Timeout

from metapt_explore.errors import UserError
from metapt_explore.jobs import queue
from metapt_explore.jobs import state as jobs
from metapt_explore.jobs.processes import identity, is_alive, kill
from metapt_explore.storage.disk import has_room
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import cancel_file

#: Seconds between two looks at the process.
LOOK_EVERY = 0.1
#: Seconds that a process has for stopping by itself.
PATIENCE = 1.2
#: Seconds between two looks for a request.
LOOK_FOR_WORK = 0.3
#: Seconds after which a study whose files could not be read or written is tried again.
TRY_AGAIN = 30.0
#: Seconds between two looks whether a full disk has room again.
LOOK_FOR_ROOM = 5.0
#: Seconds without a study after which a worker ends; the next request starts another.
IDLE = 600.0
#: How often a study's process that was killed is started again by itself.
RETRIES = 1

log = logging.getLogger(__name__)


def serve(workspace: Workspace, number: int = 0, idle: float = IDLE) -> None:
    """Works on the queue until there has been nothing to do for a while, or a signal comes.

    Args:
        workspace: The workspace.
        number: Which of the machine's workers this is.
        idle: Seconds without a study after which it ends.

    Raises:
        UserError: Where another process is this worker.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    (workspace.folder / "queue").mkdir(parents=True, exist_ok=True)
    lock = queue.worker_lock(workspace, number)
    try:
        lock.acquire(timeout=2)  # Whoever looks whether it is free takes it for a moment.
    except Timeout:
        raise UserError(f"Worker {number} of {workspace.folder} is running already.") from None
    try:
        write_json(workspace.folder / "queue" / f"worker-{number}.json", {"pid": os.getpid(), "began": time.time()})
        _work(workspace, lock, idle)
    finally:
        lock.release()


def _work(workspace: Workspace, lock: FileLock, idle: float) -> None:
    """Computes what is asked for, the oldest request first, until nothing has been for `idle` seconds."""
    since = time.monotonic()
    put_off: dict[str, float] = {}
    while True:
        name = None
        try:
            with queue.queue_lock(workspace):  # or a request could be seen before one that was made earlier
                waiting = [name for name, request in queue.requests(workspace) if _is_free(request)]
            name = next((name for name in waiting if put_off.get(name, 0.0) <= time.monotonic()), None)
            if name is not None:
                supervise(workspace, name)
            elif time.monotonic() - since >= idle:
                with queue.queue_lock(workspace):  # nobody can ask meanwhile
                    if not queue.requests(workspace):
                        lock.release()  # whoever asks next starts another worker
                        return
            if waiting:
                since = time.monotonic()
        except Exception:
            log.exception("%s", name or "looking for a request")
            _wait_for_room(workspace)
            if name is not None:
                put_off[name] = time.monotonic() + TRY_AGAIN  # the others need not wait for it
        time.sleep(LOOK_FOR_WORK)


def _is_free(request: dict[str, Any]) -> bool:
    """Whether this worker may take a request.

    What it has itself while it looks for work was lost to an error, such as a full disk.
    """
    owner = request.get("worker")
    return owner == identity() or not is_alive(owner)


def _wait_for_room(workspace: Workspace) -> None:
    """Returns when the workspace's disk can be written."""
    while not has_room(workspace.folder / "queue"):
        time.sleep(LOOK_FOR_ROOM)


def supervise(workspace: Workspace, name: str) -> None:
    """Computes one study that is asked for, in a process of its own, to whatever end.

    Does nothing where nobody asks for it any more, or another worker is at it.

    Args:
        workspace: The workspace.
        name: The study.
    """
    request = _claim(workspace, name)
    while request is not None:
        watched = _watch(workspace, name, request)
        if watched is None:
            return  # nobody asks for it any more
        code, stopped = watched
        state = read_json(workspace.study_folder(name) / "job.json")
        ended = isinstance(state, dict) and "status" in state and jobs.ended_as_asked(state, request)
        if not ended and not stopped and (_at_work(workspace, name) or _another_ended(state)):
            continue  # somebody else's process was quicker: ours begins when it has ended
        if not ended and not stopped and not has_room(workspace.folder / "queue"):
            # It could not even say why it ended. Nobody's fault, so it is no attempt that counts.
            log.info("%s: the disk is full; it goes on when there is room", name)
            _wait_for_room(workspace)
            continue
        if not ended and not stopped and (code is None or code < 0) and request["attempts"] < RETRIES:
            request = _again(workspace, name, request)
            continue
        _finish(workspace, name, request, state if isinstance(state, dict) else {}, ended, stopped, code)
        return


def _claim(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """Takes a request, so that no other worker does; None where it is gone, taken, or done already."""
    with queue.queue_lock(workspace):
        request = read_json(jobs.request_file(workspace, name))
        if not isinstance(request, dict):
            return None
        owner = request.get("worker")
        if is_alive(owner) and owner != identity():
            return None
        state = jobs.own_state(workspace, name)
        if not is_alive(request.get("child")):
            if jobs.ended_as_asked(state, request):
                # It ended while no worker looked on.
                _forget(workspace, name)
                return None
            if request.get("child") is not None and not workspace.is_locked(name):
                # It died together with its worker; that counts, or a study too large would come back for ever.
                request["attempts"] = int(request.get("attempts", 0)) + 1
                if request["attempts"] > RETRIES:
                    last = {**state, "status": "failed", "updated": time.time(), "error": _format_end(None, RETRIES)}
                    write_json(workspace.study_folder(name) / "job.json", last)
                    _forget(workspace, name)
                    return None
        request = {"attempts": 0, **request, "worker": identity()}
        write_json(jobs.request_file(workspace, name), request)
        return request


def _again(workspace: Workspace, name: str, request: dict[str, Any]) -> dict[str, Any] | None:
    """Counts one more attempt; None where nobody asks for the study any more."""
    log.info("%s: its process was killed; it is started again", name)
    with queue.queue_lock(workspace):
        if not _still_asked(workspace, name, request):
            return None
        request = {**request, "attempts": request["attempts"] + 1, "child": None}
        write_json(jobs.request_file(workspace, name), request)
        return request


def _finish(
    workspace: Workspace,
    name: str,
    request: dict[str, Any],
    state: dict[str, Any],
    ended: bool,
    stopped: bool,
    code: int | None,
) -> None:
    """Writes how a job ended, where it did not say so itself, and takes its request away."""
    with queue.queue_lock(workspace):
        if not ended:
            told = (
                {"status": "cancelled"}
                if stopped
                else {"status": "failed", "error": _format_end(code, request["attempts"])}
            )
            state = {**state, **told, "updated": time.time()}
            write_json(workspace.study_folder(name) / "job.json", state)
        if _still_asked(workspace, name, request):  # It may have been asked for again.
            _forget(workspace, name)
    log.info("%s: %s", name, state.get("status"))


def _forget(workspace: Workspace, name: str) -> None:
    cancel_file(workspace, name).unlink(missing_ok=True)
    jobs.request_file(workspace, name).unlink(missing_ok=True)


def _watch(workspace: Workspace, name: str, request: dict[str, Any]) -> tuple[int | None, bool] | None:
    """Starts a study's process, or finds the one that was started for it, and waits for its end.

    Somebody else's process (a terminal, a notebook) that works on the study is waited for, and never killed.

    Returns:
        Its exit code (None where it was not ours to know), and whether it was asked to stop; None where the request was
        taken back before anything began.
    """
    child: subprocess.Popen[bytes] | None = None
    who = request.get("child")
    if not is_alive(who):
        while _at_work(workspace, name) and _still_asked(workspace, name, request):
            time.sleep(LOOK_EVERY)
        with queue.queue_lock(workspace):  # a cancel comes before or after this, never in between
            if not _still_asked(workspace, name, request):
                return None
            child = _start(workspace, name, request)
            who = request["child"] = identity(child.pid)
            write_json(jobs.request_file(workspace, name), request)
    log.info("%s: %s", name, f"started, process {child.pid}" if child else "found at work")
    asked: float | None = None
    while (child.poll() is None) if child else is_alive(who):
        if jobs.is_cancelling(workspace, name):
            asked = asked or time.monotonic()
            if time.monotonic() - asked > PATIENCE:
                kill(who)
                if child:
                    child.wait()
        time.sleep(LOOK_EVERY)
    return (child.returncode if child else None), asked is not None or jobs.is_cancelling(workspace, name)


def _still_asked(workspace: Workspace, name: str, request: dict[str, Any]) -> bool:
    now = read_json(jobs.request_file(workspace, name))
    return isinstance(now, dict) and now.get("asked") == request["asked"]


def _at_work(workspace: Workspace, name: str) -> bool:
    """Whether a process works on a study. Whoever looks holds its lock for a moment: one look is not enough."""
    for _ in range(3):
        if not workspace.is_locked(name):
            return False
        time.sleep(LOOK_EVERY / 2)
    return True


def _another_ended(state: Any) -> bool:
    """Whether a job file that is not of our process tells of an end; it is a new one, for `_start` wrote `starting`."""
    return isinstance(state, dict) and state.get("status") in jobs.ENDED


def _start(workspace: Workspace, name: str, request: dict[str, Any]) -> subprocess.Popen[bytes]:
    folder = workspace.study_folder(name)
    with suppress(UserError):  # the process says what is wrong
        workspace.study_config(name)  # repairs a damaged file from its copy
    before = read_json(folder / "job.json")
    fraction = before.get("fraction", 0.0) if isinstance(before, dict) else 0.0
    # Written before the process exists: from its first moment on, only the process itself writes here.
    write_json(folder / "job.json", {"status": "starting", "began": time.time(), "fraction": fraction})
    with (folder / "log.txt").open("ab") as output:
        return subprocess.Popen(
            command(workspace, name, request),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def command(workspace: Workspace, name: str, request: dict[str, Any]) -> list[str]:
    """The command line that computes a study as it is asked for."""
    words = [sys.executable, "-m", "metapt_explore", "run", str(workspace.study_folder(name) / "study.yaml")]
    words += ["--workspace", str(workspace.folder), "--until", str(request.get("until") or "all")]
    if request.get("init_seeds") is not None:
        words += ["--init-seeds", ",".join(map(str, request["init_seeds"]))]
    return words


def _format_end(code: int | None, attempts: int) -> str:
    again = f", {attempts + 1} times" if attempts else ""
    kept = "What was computed is kept; Resume goes on from there."
    if code is None or code < 0:
        named = "a signal"
        with suppress(ValueError, TypeError):
            named = signal.Signals(-(code or 0)).name
        return f"Its process was killed by {named}{again}; often the machine ran out of memory. {kept}"
    return f"Its process ended with exit code {code} and said nothing of why; see the log. {kept}"
