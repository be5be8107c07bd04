"""The worker of one device: takes studies out of the queue and watches over the process that computes each.

A study runs in a process of its own: it can be stopped for certain, it gives its memory back, and it outlives the
worker. A worker that finds a study's process at work, left by a worker that was killed, takes over the watch.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import psutil
from filelock import Timeout
from huey.consumer import Consumer

from metapt_explore.errors import UserError
from metapt_explore.runs import jobs, queue
from metapt_explore.runs.files import read_json, write_json
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
    lock = queue.worker_lock(workspace, number)
    (workspace.folder / "queue").mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=2)  # Whoever looks whether it is free takes it for a moment.
    except Timeout:
        raise UserError(f"Worker {number} of {workspace.folder} is running already.") from None
    try:
        write_json(workspace.folder / "queue" / f"worker-{number}.json", {"pid": os.getpid(), "began": time.time()})
        names = queue.Queue(workspace, lambda name: supervise(workspace, name))
        if number == 0:
            _rebuild(workspace, names)
        consumer = Consumer(names.huey, workers=1, periodic=False, initial_delay=0.1, max_delay=0.5)
        threading.Thread(target=_end_when_idle, args=(workspace, consumer, idle), daemon=True).start()
        consumer.run()
    finally:
        lock.release()


def _rebuild(workspace: Workspace, names: queue.Queue) -> None:
    """Makes the list of names anew: the last worker took the name it was at with it. A name too many does no harm."""
    names.clear()
    for name, _ in queue.requests(workspace):
        names.put(name)


def _end_when_idle(workspace: Workspace, consumer: Consumer, idle: float) -> None:
    since = time.monotonic()
    while time.monotonic() - since < idle:
        if queue.requests(workspace):
            since = time.monotonic()
        time.sleep(min(1.0, idle / 4))
    consumer.stop_flag.set()


def supervise(workspace: Workspace, name: str) -> None:
    """Computes one study that is asked for, in a process of its own, to whatever end.

    Does nothing where nobody asks for it any more, or another worker is at it.
    """
    request = _claim(workspace, name)
    if request is None:
        return
    while True:
        code, stopped = _watch(workspace, name, request)
        state = read_json(workspace.study_folder(name) / "job.json")
        status = state.get("status") if isinstance(state, dict) else None
        ended = status not in ("starting", "running") and status is not None
        killed = not ended and not stopped and (code is None or code < 0)
        if not killed or request["attempts"] >= RETRIES:
            break
        request["attempts"] += 1
        log.info("%s: its process was killed; it is started again", name)
        write_json(jobs.request_file(workspace, name), request)
    last = {**(state if isinstance(state, dict) else {}), "updated": time.time()}
    with queue.queue_lock(workspace):
        if stopped and not ended:
            last["status"] = "cancelled"
        elif not ended:
            last |= {"status": "failed", "error": _say_end(code, request["attempts"])}
        write_json(workspace.study_folder(name) / "job.json", last)
        jobs.cancel_file(workspace, name).unlink(missing_ok=True)
        now = read_json(jobs.request_file(workspace, name))
        if isinstance(now, dict) and now.get("asked") == request["asked"]:  # It may have been asked for again.
            jobs.request_file(workspace, name).unlink(missing_ok=True)
    log.info("%s: %s", name, last["status"])


def _claim(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """Takes a request, so that no other worker does; None where it is gone or taken."""
    with queue.queue_lock(workspace):
        request = read_json(jobs.request_file(workspace, name))
        if not isinstance(request, dict):
            return None
        owner = request.get("worker")
        if isinstance(owner, int) and owner != os.getpid() and _is_worker(owner):
            return None
        request = {"attempts": 0, **request, "worker": os.getpid()}
        write_json(jobs.request_file(workspace, name), request)
        return request


def _is_worker(pid: int) -> bool:
    with suppress(psutil.Error):
        return "worker" in psutil.Process(pid).cmdline()
    return False


def _watch(workspace: Workspace, name: str, request: dict[str, Any]) -> tuple[int | None, bool]:
    """Starts a study's process, or finds the one that is at it, and waits for its end.

    Returns:
        Its exit code (None where it was not ours to know), and whether it was stopped here.
    """
    child = None if _at_work(workspace, name) else _start(workspace, name, request)
    log.info("%s: %s", name, f"started, process {child.pid}" if child else "found at work")
    asked: float | None = None
    while (child.poll() is None) if child else workspace.is_locked(name):
        if jobs.is_cancelling(workspace, name):
            asked = asked or time.monotonic()
            if time.monotonic() - asked > PATIENCE:
                _kill(child.pid if child else _pid_of(workspace, name))
                if child:
                    child.wait()
                    return child.returncode, True
                time.sleep(LOOK_EVERY)
        time.sleep(LOOK_EVERY)
    return (child.returncode if child else None), asked is not None


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


def _pid_of(workspace: Workspace, name: str) -> int | None:
    """The process that holds the study's lock, by its own word."""
    state = read_json(workspace.study_folder(name) / "job.json")
    pid = state.get("pid") if isinstance(state, dict) else None
    return pid if isinstance(pid, int) and workspace.is_locked(name) else None


def _kill(pid: int | None) -> None:
    """Ends a process and all that it started."""
    if pid is None:
        return
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [*process.children(recursive=True), process]:
            with suppress(psutil.Error):
                one.send_signal(signal.SIGKILL)


def _say_end(code: int | None, attempts: int) -> str:
    again = f", {attempts + 1} times" if attempts else ""
    kept = "What was computed is kept; Resume goes on from there."
    if code is None or code < 0:
        named = signal.Signals(-code).name if code else "a signal"
        return f"Its process was killed by {named}{again}; often the machine ran out of memory. {kept}"
    return f"Its process ended with exit code {code} and said nothing of why; see the log. {kept}"
