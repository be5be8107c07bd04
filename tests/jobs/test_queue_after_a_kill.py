"""The queue after something was killed or deleted: what runs is found again, and nothing runs twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny
from filelock import FileLock, Timeout
from pretended import PRETEND, orphan, starts, status, study
from waiting import LIMIT, wait

from metapt_explore.cli.jobs import show_jobs
from metapt_explore.config import StudyConfig
from metapt_explore.jobs import queue, worker
from metapt_explore.jobs import state as jobs
from metapt_explore.storage import disk
from metapt_explore.storage.disk import format_full, has_room
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.workspace import Workspace


@pytest.mark.parametrize("moment", ["importing", "running"])
def test_a_worker_takes_over_the_watch_of_one_that_was_killed(
    workspace: Workspace, pretend: Callable[[str], None], moment: str
) -> None:
    """Also before the process holds the study's lock: no second one is started beside it."""
    pretend("deaf")
    queue.enqueue(workspace, study("one"))
    process = orphan(workspace, "one")
    if moment == "running":
        wait(lambda: status(workspace, "one") == "running")
    watch = threading.Thread(target=worker.supervise, args=(workspace, "one"))
    watch.start()
    wait(lambda: status(workspace, "one") == "running")
    queue.cancel(workspace, "one")
    process.wait(LIMIT)  # as its parent the test must take note of its end
    watch.join()
    assert status(workspace, "one") == "cancelled" and starts(workspace, "one") == 1


def test_what_ended_while_no_worker_looked_on_is_not_run_again(
    workspace: Workspace, pretend: Callable[[str], None]
) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    orphan(workspace, "one").wait(LIMIT)
    assert status(workspace, "one") == "done"
    worker.supervise(workspace, "one")
    assert starts(workspace, "one") == 1 and not queue.requests(workspace)


def test_a_job_that_dies_with_its_worker_again_and_again_is_given_up(
    workspace: Workspace, pretend: Callable[[str], None]
) -> None:
    """As where the machine runs out of memory and takes both."""
    pretend("dies")
    queue.enqueue(workspace, study("one"))
    for _ in range(2):
        orphan(workspace, "one").wait(LIMIT)
        assert worker._claim(workspace, "one") or not queue.requests(workspace)
    state = jobs.job_state(workspace, "one")
    assert state["status"] == "failed" and "killed" in state["error"] and not queue.requests(workspace)


def test_what_another_worker_is_at_is_left_to_it(workspace: Workspace, pretend: Callable[[str], None]) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    file = jobs.request_file(workspace, "one")
    other = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        owner = {"pid": other.pid, "created": psutil.Process(other.pid).create_time()}
        write_json(file, {**dict(queue.requests(workspace))["one"], "worker": owner})
        worker.supervise(workspace, "one")
        assert starts(workspace, "one") == 0 and status(workspace, "one") == "queued"
        # A number that another process has by now is not that worker.
        write_json(file, {**dict(queue.requests(workspace))["one"], "worker": {**owner, "created": 1.0}})
        worker.supervise(workspace, "one")
        assert status(workspace, "one") == "done" and starts(workspace, "one") == 1
    finally:
        other.kill()
        other.communicate()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What a worker found each time that it looked whether somebody is at a study."""
    found: list[bool] = []
    at_work = worker._at_work

    def look(workspace: Workspace, name: str) -> bool:
        found.append(at_work(workspace, name))
        return found[-1]

    monkeypatch.setattr(worker, "_at_work", look)
    return found


def test_somebody_elses_run_is_waited_for_and_never_killed(
    workspace: Workspace, pretend: Callable[[str], None], looks: list[bool]
) -> None:
    pretend("long")
    queue.enqueue(workspace, study("one"))
    folder = workspace.study_folder("one")
    other = subprocess.Popen([sys.executable, "-c", PRETEND, str(workspace.folder), "one", "deaf"])
    wait(lambda: status(workspace, "one") == "running")
    watch = threading.Thread(target=worker.supervise, args=(workspace, "one"))
    watch.start()
    wait(lambda: len(looks) >= 5)
    assert all(looks)
    assert other.poll() is None and starts(workspace, "one") == 1
    (folder / "enough").touch()
    assert other.wait(LIMIT) == 0
    watch.join()
    assert starts(workspace, "one") == 2 and status(workspace, "one") == "done" and not queue.requests(workspace)


#: Gives up because another process is at the study, which then ends before the worker looks.
TOO_LATE = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[3], *sys.argv[1:3], "quick"], check=True)
raise SystemExit(2)
"""


def test_somebody_elses_run_that_ends_as_ours_gives_up_is_no_failure(
    workspace: Workspace, no_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(workspace: Workspace, name: str, request: dict[str, Any]) -> list[str]:
        how = [TOO_LATE, str(workspace.folder), name, PRETEND]
        return [sys.executable, "-c", *(how if not starts(workspace, name) else [PRETEND, *how[1:3], "quick"])]

    monkeypatch.setattr(worker, "command", command)
    queue.enqueue(workspace, study("one"))
    worker.supervise(workspace, "one")
    assert status(workspace, "one") == "done" and starts(workspace, "one") == 2
    assert "error" not in jobs.job_state(workspace, "one") and not queue.requests(workspace)


def test_a_worker_looks_for_work_while_nobody_can_ask(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it could see a request and not the one that was made just before it."""
    looked: list[bool] = []

    def requests(workspace: Workspace) -> list[tuple[str, dict[str, Any]]]:
        try:
            with FileLock(workspace.folder / "queue" / ".lock", timeout=0):
                looked.append(False)
        except Timeout:
            looked.append(True)
        return []

    monkeypatch.setattr(queue, "requests", requests)
    worker.serve(workspace, idle=0.0)
    assert looked and all(looked)


def test_a_request_that_is_taken_back_while_somebody_else_runs_the_study(
    workspace: Workspace, pretend: Callable[[str], None], looks: list[bool]
) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    other = subprocess.Popen([sys.executable, "-c", PRETEND, str(workspace.folder), "one", "long"])
    wait(lambda: status(workspace, "one") == "running")
    watch = threading.Thread(target=worker.supervise, args=(workspace, "one"))
    watch.start()
    wait(lambda: True in looks)
    queue.cancel(workspace, "one")
    watch.join()
    other.wait(LIMIT)  # it listens, and was not killed: it wrote its own end
    assert status(workspace, "one") == "cancelled" and starts(workspace, "one") == 1
    assert not queue.requests(workspace) and not jobs.is_cancelling(workspace, "one")


def test_a_study_that_is_asked_for_again_stands_at_its_new_place(workspace: Workspace, no_workers: None) -> None:
    for name in ("one", "two"):
        queue.enqueue(workspace, study(name))
    queue.cancel(workspace, "one")
    queue.enqueue(workspace, study("one"))
    assert [name for name, _ in queue.requests(workspace)] == ["two", "one"]


def test_threads_do_not_write_into_one_anothers_files(tmp_path: Path) -> None:
    failed: list[Exception] = []

    def write() -> None:
        try:
            for number in range(50):
                write_json(tmp_path / "one.json", {"number": number, "filler": "x" * 2000})
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and read_json(tmp_path / "one.json")["number"] == 49


def test_a_killed_worker_is_replaced_and_the_job_ends(world: Path, workspace: Workspace) -> None:
    """Everything real: worker process, study process, kill -9."""
    tree = tiny.study_tree(world)
    config = StudyConfig.model_validate(tree)
    assert queue.enqueue(workspace, config, until="clusters")
    assert queue.ensure_workers(workspace) == 0, "it was started by the request"
    told = queue.worker_file(workspace, 0, "json")
    wait(lambda: "pid" in (read_json(told) or {}) and status(workspace, config.name) in ("starting", "running"))
    first = read_json(told)["pid"]
    os.kill(first, signal.SIGKILL)
    wait(lambda: not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE)
    wait(lambda: queue.ensure_workers(workspace) == 1)
    wait(lambda: status(workspace, config.name) == "partly")
    assert {entry["kind"] for entry in workspace.index(config.name)} == {
        "split",
        "texts",
        "embeddings",
        "clusters",
        "tasks",
    }
    wait(lambda: not queue.requests(workspace))
    os.kill(read_json(told)["pid"], signal.SIGTERM)


SERVE = """
import sys
from pathlib import Path
from metapt_explore.jobs import worker
from metapt_explore.storage.workspace import Workspace
pretend = Path(sys.argv[2]).read_text()
worker.command = lambda w, name, request: [sys.executable, "-c", pretend, str(w.folder), name, "quick"]
worker.serve(Workspace(sys.argv[1]), idle=float(sys.argv[3]))
"""


def serve(workspace: Workspace, tmp_path: Path, idle: float) -> subprocess.Popen[bytes]:
    """A worker process whose studies only pretend."""
    (tmp_path / "pretend.py").write_text(PRETEND, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-c", SERVE, str(workspace.folder), str(tmp_path / "pretend.py"), str(idle)]
    )


def test_a_worker_takes_the_oldest_first_and_ends_when_there_is_nothing_to_do(
    workspace: Workspace, no_workers: None, tmp_path: Path
) -> None:
    names = ["c", "a", "b"]
    for name in names:
        queue.enqueue(workspace, study(name))
    assert serve(workspace, tmp_path, 2.0).wait(LIMIT) == 0
    began = [jobs.job_state(workspace, name)["began"] for name in names]
    assert began == sorted(began)
    assert [status(workspace, name) for name in names] == ["done"] * 3
    assert [starts(workspace, name) for name in names] == [1] * 3


def test_a_study_whose_files_cannot_be_read_holds_up_no_other(
    workspace: Workspace, no_workers: None, tmp_path: Path
) -> None:
    for name in ("broken", "good"):
        queue.enqueue(workspace, study(name))
    (workspace.study_folder("broken") / "log.txt").mkdir()  # its process cannot even be started
    process = serve(workspace, tmp_path, 1e6)
    wait(lambda: status(workspace, "good") == "done", "the other study", process)
    process.kill()
    process.wait(LIMIT)
    assert status(workspace, "broken") != "done"


# ---------------------------------------------------------------------------------- a full disk


def test_a_job_that_could_not_write_its_end_waits_for_room(
    workspace: Workspace, pretend: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no attempt that counts: whatever often the disk is full, the study goes on in the end."""
    full = [True] * 6
    pretend("silent")

    def has_room(folder: Path) -> bool:
        if full:
            full.pop()
            return False
        pretend("quick")
        return True

    monkeypatch.setattr(worker, "has_room", has_room)
    monkeypatch.setattr(worker, "DISK_POLL_S", 0.01)
    queue.enqueue(workspace, study("one"))
    worker.supervise(workspace, "one")
    assert status(workspace, "one") == "done"
    assert not full


def test_a_full_disk_is_said_where_jobs_are_listed(
    workspace: Workspace, no_workers: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.enqueue(workspace, study("one"))
    used = shutil.disk_usage(workspace.folder)
    assert format_full(workspace.folder) == "" or used.free < 2**20
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: used._replace(free=40 * 1024))
    show_jobs(workspace, as_json=False, wait=False)
    assert "The disk is full: 40 KiB are free" in " ".join(capsys.readouterr().out.split())


def test_room_is_looked_for_by_writing(tmp_path: Path) -> None:
    assert has_room(tmp_path)
    assert not list(tmp_path.iterdir())
    assert not has_room(tmp_path / "gone")
