"""The worker of one device: takes studies out of the queue and watches the process that computes each.

A study runs in a process of its own: it can be killed, it gives its memory back, and it outlives the worker. The
study's ``request.json`` says which worker has it and which process computes it; if the worker was killed, the next one
watches the same process.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from contextlib import suppress

from filelock import FileLock, Timeout

from metapt_explore.errors import UserError
from metapt_explore.jobs import queue
from metapt_explore.jobs.exit import Exit
from metapt_explore.jobs.processes import kill
from metapt_explore.jobs.state import (
    ENDED,
    Request,
    ended_as_asked,
    is_cancelling,
    is_child_alive,
    own_state,
    read_request,
    request_file,
    write_request,
)
from metapt_explore.storage.disk import has_room
from metapt_explore.storage.files import write_json
from metapt_explore.storage.hosts import this_host
from metapt_explore.storage.presence import is_alive, present
from metapt_explore.storage.processes import identity, is_here, is_same
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.given_out import stop_workers
from metapt_explore.study.job_file import JobRecord, cancel_file, fraction_of_same, read_job, write_job
from metapt_explore.study.worker_file import STOP_GRACE_S, open_batches

#: Seconds between checks of the process, of requests, and of a full disk.
PROCESS_POLL_S = 0.1
QUEUE_POLL_S = 0.3
DISK_POLL_S = 5.0
#: Seconds that a process has to stop by itself before it is killed.
KILL_GRACE_S = 1.2
#: Seconds after which a study whose files could not be read or written is tried again.
RETRY_AFTER_S = 30.0
#: An idle worker ends after this many seconds; the next request starts another.
IDLE_TIMEOUT_S = 600.0
#: Restarts of a study's process after it was killed.
MAX_RETRIES = 1

log = logging.getLogger(__name__)


def serve(workspace: Workspace, number: int = 0, idle: float = IDLE_TIMEOUT_S) -> None:
    """Works on the queue until nothing has been asked for for a while, or a signal comes.

    Args:
        workspace: The workspace.
        number: Which of the machine's workers this is.
        idle: Seconds without a study after which it ends.

    Raises:
        UserError: If another process is this worker.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    (workspace.folder / "queue").mkdir(parents=True, exist_ok=True)
    lock = queue.worker_lock(workspace, number)
    try:
        lock.acquire(timeout=2)  # a process that tests the lock holds it for a moment
    except Timeout:
        raise UserError(f"Worker {number} of {workspace.folder} is running already on this host.") from None
    try:
        with present(workspace.folder):  # other hosts see that what it has taken is being worked on
            began = {"pid": os.getpid(), "host": this_host().name, "began": time.time()}
            write_json(queue.worker_file(workspace, number, "json"), began)
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
            with queue.queue_lock(workspace):  # without it, a later request could be seen first
                waiting = [name for name, request in queue.requests(workspace) if _is_free(workspace, request)]
            name = next((name for name in waiting if put_off.get(name, 0.0) <= time.monotonic()), None)
            if name is not None:
                supervise(workspace, name)
            elif time.monotonic() - since >= idle:
                with queue.queue_lock(workspace):  # no request can arrive meanwhile
                    if not queue.requests(workspace):
                        lock.release()  # the next request starts another worker
                        return
            if waiting:
                since = time.monotonic()
        except Exception:
            log.exception("%s", name or "looking for a request")
            _wait_for_room(workspace)
            if name is not None:
                put_off[name] = time.monotonic() + RETRY_AFTER_S  # the others need not wait for it
        time.sleep(QUEUE_POLL_S)


def _is_free(workspace: Workspace, request: Request) -> bool:
    """Whether this worker may take a request: nobody has it, or this worker dropped it by an error (a full disk).

    What a worker of another host started and left behind is that host's to watch, while it lives: from here it can be
    neither killed nor started again.
    """
    owner, child = request.get("worker"), request.get("child")
    if is_same(owner, identity()):
        return True
    if is_alive(owner, workspace.folder):
        return False
    return child is None or is_here(child) or not is_alive(child, workspace.folder)


def _wait_for_room(workspace: Workspace) -> None:
    """Waits until the workspace's disk can be written."""
    while not has_room(workspace.folder / "queue"):
        time.sleep(DISK_POLL_S)


def supervise(workspace: Workspace, name: str) -> None:
    """Computes one study that is asked for, in a process of its own, however that ends.

    Does nothing if nobody asks for it any more, or another worker has it.

    Args:
        workspace: The workspace.
        name: The study.
    """
    request = _claim(workspace, name)
    while request is not None:
        end = _watch(workspace, name, request)
        if end is None:
            return  # the request is gone
        state = read_job(workspace, name)
        if not ended_as_asked(state, request) and not end.cancelled:
            if _at_work(workspace, name) or state.get("status") in ENDED:
                # Another process was quicker (`_start` wrote `starting`, so this end is new): ours begins afterwards.
                continue
            if not has_room(workspace.folder / "queue"):
                # It could not write why it ended; do not count this attempt.
                log.info("%s: the disk is full; it goes on when there is room", name)
                _wait_for_room(workspace)
                continue
            if end.was_killed and request["attempts"] < MAX_RETRIES:
                request = _again(workspace, name, request)
                continue
        _finish(workspace, name, request, end=end)
        return


def _claim(workspace: Workspace, name: str) -> Request | None:
    """Takes a request, so that no other worker does; None if it is gone, taken, or done already."""
    with queue.queue_lock(workspace):
        request = read_request(workspace, name)
        if request is None:
            return None
        if not _is_free(workspace, request):
            return None
        state = own_state(workspace, name)
        if not is_child_alive(workspace, request):
            if ended_as_asked(state, request):
                # It ended while no worker watched.
                _forget(workspace, name)
                return None
            if request.get("child") is not None and not workspace.is_locked(name):
                # It died with its worker. Count this, or a study that needs too much memory is restarted forever.
                request["attempts"] = int(request.get("attempts", 0)) + 1
                if request["attempts"] > MAX_RETRIES:
                    error = Exit(None).describe(MAX_RETRIES)
                    write_job(workspace, name, {**state, "status": "failed", "updated": time.time(), "error": error})
                    _forget(workspace, name)
                    return None
        claimed: Request = {"attempts": 0, **request, "worker": identity()}
        write_request(workspace, name, claimed)
        return claimed


def _again(workspace: Workspace, name: str, request: Request) -> Request | None:
    """Counts one more attempt; None if the request is gone."""
    log.info("%s: its process was killed; it is started again", name)
    with queue.queue_lock(workspace):
        if not _still_asked(workspace, name, request):
            return None
        again: Request = {**request, "attempts": request["attempts"] + 1, "child": None}
        write_request(workspace, name, again)
        return again


def _finish(workspace: Workspace, name: str, request: Request, *, end: Exit) -> None:
    """Writes how a job ended if it did not say so itself, and removes its request."""
    with queue.queue_lock(workspace):
        state = read_job(workspace, name)
        if not ended_as_asked(state, request):
            outcome: JobRecord = (
                {"status": "cancelled"}
                if end.cancelled
                else {"status": "failed", "error": end.describe(request["attempts"])}
            )
            state = {**state, **outcome, "updated": time.time()}
            write_job(workspace, name, state)
        if _still_asked(workspace, name, request):  # There may be a new request.
            _forget(workspace, name)
    log.info("%s: %s", name, state.get("status"))


def _forget(workspace: Workspace, name: str) -> None:
    cancel_file(workspace, name).unlink(missing_ok=True)
    request_file(workspace, name).unlink(missing_ok=True)


def _watch(workspace: Workspace, name: str, request: Request) -> Exit | None:
    """Starts a study's process, or finds the one that was started for it, and waits for its end.

    A process of a terminal or a notebook that works on the study is waited for, and never killed.

    Returns:
        How it ended; None if the request was taken back before anything began.
    """
    started: subprocess.Popen[bytes] | None = None
    child = request.get("child")
    if child is None or not is_alive(child, workspace.folder):
        while _at_work(workspace, name) and _still_asked(workspace, name, request):
            time.sleep(PROCESS_POLL_S)
        with queue.queue_lock(workspace):  # a cancel comes before or after this, never in between
            if not _still_asked(workspace, name, request):
                return None
            started = _start(workspace, name, request)
            child = request["child"] = identity(started.pid)
            write_request(workspace, name, request)
    log.info("%s: %s", name, f"started, process {started.pid}" if started else "found at work")
    cancelled_at: float | None = None
    grace = KILL_GRACE_S
    while (started.poll() is None) if started else is_alive(child, workspace.folder):
        if is_cancelling(workspace, name):
            cancelled_at = cancelled_at or time.monotonic()
            if open_batches(workspace, name):
                # It takes jobs out of the queue, and waits for the checkpoints of its workers.
                grace = STOP_GRACE_S + KILL_GRACE_S
            if time.monotonic() - cancelled_at > grace:
                kill(child)
                if started:
                    started.wait()
        time.sleep(PROCESS_POLL_S)
    cancelled = cancelled_at is not None or is_cancelling(workspace, name)
    if cancelled:
        stop_workers(workspace, name)  # the study's own request to stop is removed now
    return Exit(started.returncode if started else None, cancelled)


def _still_asked(workspace: Workspace, name: str, request: Request) -> bool:
    """Whether the same is asked for, and no worker of another host has taken it over meanwhile."""
    now = read_request(workspace, name)
    return now is not None and now.get("asked") == request["asked"] and is_same(now.get("worker"), identity())


def _at_work(workspace: Workspace, name: str) -> bool:
    """Whether a process works on a study; checks twice, since a check holds the lock for a moment."""
    for _ in range(3):
        if not workspace.is_locked(name):
            return False
        time.sleep(PROCESS_POLL_S / 2)
    return True


def _start(workspace: Workspace, name: str, request: Request) -> subprocess.Popen[bytes]:
    with suppress(UserError):  # the process says what is wrong
        workspace.study_config(name)  # repairs a damaged file from its copy
    until, init_seeds = request.get("until") or "all", request.get("init_seeds")
    fraction = fraction_of_same(read_job(workspace, name), until=until, init_seeds=init_seeds)
    # Written before the process exists: from its first moment on, only the process itself writes here.
    job: JobRecord = {"status": "starting", "began": time.time(), "fraction": fraction}
    write_job(workspace, name, {**job, "until": until, "init_seeds": init_seeds})
    with (workspace.study_folder(name) / "log.txt").open("ab") as output:
        goes_on = "goes on" if output.tell() else "begins"
        output.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S %Z')}: {goes_on}, until: {until} ---\n".encode())
        output.flush()
        return subprocess.Popen(
            command(workspace, name, request),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def command(workspace: Workspace, name: str, request: Request) -> list[str]:
    """The command line that computes a study as it is asked for."""
    words = [sys.executable, "-m", "metapt_explore", "run", str(workspace.study_folder(name) / "study.yaml")]
    words += ["--workspace", str(workspace.folder), "--until", str(request.get("until") or "all")]
    init_seeds = request.get("init_seeds")
    if init_seeds is not None:
        words += ["--init-seeds", ",".join(map(str, init_seeds))]
    return words
