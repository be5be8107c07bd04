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
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from filelock import Timeout
from huey.consumer import Consumer

from metapt_explore.errors import UserError
from metapt_explore.runs import jobs, queue
from metapt_explore.runs.files import read_json, write_json
from metapt_explore.runs.processes import identity, is_alive, kill
from metapt_explore.runs.workspace import Workspace

#: Seconds between two looks at the process.
LOOK_EVERY = 0.1
#: Seconds that a process has for stopping by itself.
PATIENCE = 1.2
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
        busy = threading.Event()

        def work(name: str, asked: float) -> None:
            busy.set()
            try:
                supervise(workspace, name, asked)
            finally:
                busy.clear()

        names = queue.Queue(workspace, work)
        consumer = Consumer(names.huey, workers=1, periodic=False, initial_delay=0.1, max_delay=0.5)
        watch = (workspace, consumer, names, busy, lock, idle)
        threading.Thread(target=_look_after, args=watch, daemon=True).start()
        consumer.run()
    finally:
        lock.release()


def _look_after(
    workspace: Workspace, consumer: Consumer, names: queue.Queue, busy: threading.Event, lock: Any, idle: float
) -> None:
    """Puts back names that the list has lost, and ends a worker that has nothing to do.

    Huey's list forgets a name as soon as somebody takes it, and its file may be deleted; the requests are the truth.
    """
    since, file = time.monotonic(), names.file
    first = file.stat().st_ino
    while True:
        try:
            waiting = _waiting(queue.requests(workspace), busy.is_set())
            if not busy.is_set():
                if not file.exists() or file.stat().st_ino != first:
                    break  # another file than the one this worker reads: the next worker reads the new one
                if waiting and not len(names):
                    for name, request in waiting:
                        names.put(name, float(request.get("asked", 0.0)))
            if waiting or busy.is_set():
                since = time.monotonic()
            elif time.monotonic() - since >= idle:
                with queue.queue_lock(workspace):  # nobody can ask meanwhile
                    if not queue.requests(workspace):
                        lock.release()
                        break
                since = time.monotonic()
        except Exception:
            log.exception("looking after the queue")
        time.sleep(min(1.0, idle / 4))
    consumer.stop_flag.set()


def _waiting(requests: Sequence[tuple[str, dict[str, Any]]], busy: bool) -> list[tuple[str, dict[str, Any]]]:
    """Requests that nobody is at.

    What this worker claimed while it is not busy any more was lost to an error (a full disk, say).
    """
    mine = identity()
    return [(n, r) for n, r in requests if not _owned(r) or (not busy and r.get("worker") == mine)]


def _owned(request: dict[str, Any]) -> bool:
    """Whether a worker that is there has the request."""
    return is_alive(request.get("worker"))


def supervise(workspace: Workspace, name: str, asked: float | None = None) -> None:
    """Computes one study that is asked for, in a process of its own, to whatever end.

    Does nothing where nobody asks for it any more, or another worker is at it.

    Args:
        workspace: The workspace.
        name: The study.
        asked: Which request is meant, by its time; whichever there is when absent.
    """
    request = _claim(workspace, name, asked)
    while request is not None:
        watched = _watch(workspace, name, request)
        if watched is None:
            return  # nobody asks for it any more
        code, stopped = watched
        state = read_json(workspace.study_folder(name) / "job.json")
        ended = isinstance(state, dict) and "status" in state and jobs.ended_as_asked(state, request)
        if not ended and not stopped and _at_work(workspace, name):
            continue  # somebody else's process was quicker: ours waits until it has ended
        if not ended and not stopped and (code is None or code < 0) and request["attempts"] < RETRIES:
            request = _again(workspace, name, request)
            continue
        _finish(workspace, name, request, state if isinstance(state, dict) else {}, ended, stopped, code)
        return


def _claim(workspace: Workspace, name: str, asked: float | None) -> dict[str, Any] | None:
    """Takes a request, so that no other worker does; None where it is gone, taken, or done already."""
    with queue.queue_lock(workspace):
        request = read_json(jobs.request_file(workspace, name))
        if not isinstance(request, dict) or (asked is not None and request.get("asked") != asked):
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
                    last = {**state, "status": "failed", "updated": time.time(), "error": _say_end(None, RETRIES)}
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
                else {"status": "failed", "error": _say_end(code, request["attempts"])}
            )
            state = {**state, **told, "updated": time.time()}
            write_json(workspace.study_folder(name) / "job.json", state)
        if _still_asked(workspace, name, request):  # It may have been asked for again.
            _forget(workspace, name)
    log.info("%s: %s", name, state.get("status"))


def _forget(workspace: Workspace, name: str) -> None:
    jobs.cancel_file(workspace, name).unlink(missing_ok=True)
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


def _start(workspace: Workspace, name: str, request: dict[str, Any]) -> subprocess.Popen[bytes]:
    folder = workspace.study_folder(name)
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


def _say_end(code: int | None, attempts: int) -> str:
    again = f", {attempts + 1} times" if attempts else ""
    kept = "What was computed is kept; Resume goes on from there."
    if code is None or code < 0:
        named = "a signal"
        with suppress(ValueError, TypeError):
            named = signal.Signals(-(code or 0)).name
        return f"Its process was killed by {named}{again}; often the machine ran out of memory. {kept}"
    return f"Its process ended with exit code {code} and said nothing of why; see the log. {kept}"
