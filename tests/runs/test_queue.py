"""The queue: in order, nothing twice, stopped for certain, found again after anything was killed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny

from metapt_explore.config import StudyConfig
from metapt_explore.runs import jobs, queue, worker
from metapt_explore.runs.files import read_json, write_json
from metapt_explore.runs.gpus import parse_gpus, worker_devices
from metapt_explore.runs.workspace import Workspace

#: A process that works on a study as `metapt run` does, but only pretends to compute: it counts its starts.
PRETEND = """
import os, signal, sys, time
from pathlib import Path
from metapt_explore.runs.jobs import working_on
from metapt_explore.runs.workspace import Workspace
workspace, name, how = Workspace(sys.argv[1]), sys.argv[2], sys.argv[3]
folder = workspace.study_folder(name)
with (folder / "starts").open("a") as stream:
    stream.write("x")
again = len((folder / "starts").read_text()) > 1
with working_on(workspace, name) as progress:
    if how == "dies" or (how == "dies once" and not again):
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "silent":
        os._exit(3)
    while how in ("long", "deaf") and not (folder / "enough").exists():
        time.sleep(0.02)
        if how == "long":
            progress.advance(1)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test itself is the worker."""
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, no_workers: None) -> Callable[[str], None]:
    """Studies are computed by the process above."""

    def choose(how: str) -> None:
        def command(workspace: Workspace, name: str, request: dict[str, Any]) -> list[str]:
            return [sys.executable, "-c", PRETEND, str(workspace.folder), name, how]

        monkeypatch.setattr(worker, "command", command)

    return choose


def study(name: str) -> StudyConfig:
    return StudyConfig.model_validate(
        {
            "name": name,
            "texts": {"file": "/nowhere/texts.csv"},
            "clusterings": [{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 2}],
            "auxiliary_tasks": {"labels": {"negative": "negative", "positive": "positive"}},
            "methods": [{"name": "PT", "kind": "pt"}],
            "evaluation": {"tasks": ["trec"]},
        }
    )


def status(workspace: Workspace, name: str) -> str:
    return str(jobs.job_state(workspace, name)["status"])


def starts(workspace: Workspace, name: str) -> int:
    file = workspace.study_folder(name) / "starts"
    return len(file.read_text()) if file.exists() else 0


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end, "waited a minute for nothing"
        time.sleep(0.02)


# ------------------------------------------------------------------------------------- asking for


def test_a_study_is_asked_for_once_and_stands_in_line(workspace: Workspace, no_workers: None) -> None:
    assert queue.enqueue(workspace, study("first"))
    assert queue.enqueue(workspace, study("second"), [0], "clusters")
    assert not queue.enqueue(workspace, study("first")), "a second tab asks for it"
    assert [name for name, _ in queue.requests(workspace)] == ["first", "second"]
    table = queue.jobs_table(workspace)
    assert table[["study", "status", "position"]].values.tolist() == [["first", "queued", 1], ["second", "queued", 2]]
    assert len(queue.Queue(workspace)) == 2
    asked = dict(queue.requests(workspace))["second"]
    words = worker.command(workspace, "second", asked)
    assert words[-4:] == ["--until", "clusters", "--init-seeds", "0"]


def test_two_tabs_at_the_same_moment_ask_for_one_job(workspace: Workspace, no_workers: None) -> None:
    answers: list[bool] = []
    tabs = [threading.Thread(target=lambda: answers.append(queue.enqueue(workspace, study("one")))) for _ in range(6)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert sorted(answers) == [False] * 5 + [True] and len(queue.Queue(workspace)) == 1


def test_the_database_holds_names_as_json_and_runs_nothing_that_it_is_given(
    workspace: Workspace, no_workers: None, tmp_path: Path
) -> None:
    queue.enqueue(workspace, study("first"))
    with sqlite3.connect(workspace.folder / "queue" / "queue.db") as database:
        (data,) = database.execute("select data from task").fetchone()
        assert "first" in json.dumps(json.loads(data))

        class Evil:
            def __reduce__(self) -> tuple[Any, tuple[str]]:
                return os.mkdir, (str(tmp_path / "evil"),)

        database.execute("update task set data = ?", (pickle.dumps(Evil()),))
    with pytest.raises(ValueError):
        queue.Queue(workspace).huey.dequeue()
    assert not (tmp_path / "evil").exists()


# ----------------------------------------------------------------------------------- to some end


def test_a_job_runs_to_its_end(workspace: Workspace, pretend: Callable[[str], None]) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    worker.supervise(workspace, "one")
    assert status(workspace, "one") == "done" and not queue.requests(workspace)
    worker.supervise(workspace, "one")  # a name too many in the list
    assert starts(workspace, "one") == 1
    assert queue.enqueue(workspace, study("one")), "it may be asked for again"
    assert status(workspace, "one") == "queued"


def test_a_waiting_job_is_taken_out_at_once(workspace: Workspace, pretend: Callable[[str], None]) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    queue.cancel(workspace, "one")
    assert status(workspace, "one") == "cancelled"
    worker.supervise(workspace, "one")
    assert starts(workspace, "one") == 0


@pytest.mark.parametrize("how", ["long", "deaf"])
def test_a_running_job_is_stopped_whether_it_listens_or_not(
    workspace: Workspace, pretend: Callable[[str], None], how: str
) -> None:
    pretend(how)
    queue.enqueue(workspace, study("one"))
    watch = threading.Thread(target=worker.supervise, args=(workspace, "one"))
    watch.start()
    wait(lambda: status(workspace, "one") == "running")
    assert not queue.enqueue(workspace, study("one"))
    queue.cancel(workspace, "one")
    watch.join()
    assert status(workspace, "one") == "cancelled" and not workspace.is_locked("one")
    assert not jobs.is_cancelling(workspace, "one") and not queue.requests(workspace)


def test_a_job_that_was_killed_is_begun_once_more(workspace: Workspace, pretend: Callable[[str], None]) -> None:
    pretend("dies once")
    queue.enqueue(workspace, study("one"))
    worker.supervise(workspace, "one")
    assert status(workspace, "one") == "done" and starts(workspace, "one") == 2


@pytest.mark.parametrize(
    ("how", "told", "begun"), [("dies", "killed by SIGKILL, 2 times", 2), ("silent", "exit code 3", 1)]
)
def test_a_job_that_ends_without_a_word_says_why_it_is_not_begun_again(
    workspace: Workspace, pretend: Callable[[str], None], how: str, told: str, begun: int
) -> None:
    pretend(how)
    queue.enqueue(workspace, study("one"))
    worker.supervise(workspace, "one")
    state = jobs.job_state(workspace, "one")
    assert state["status"] == "failed" and told in state["error"] and "Resume" in state["error"]
    assert starts(workspace, "one") == begun and not queue.requests(workspace)


# ------------------------------------------------------------------------------------ after a kill


def orphan(workspace: Workspace, name: str) -> subprocess.Popen[bytes]:
    """A study's process as a killed worker leaves it: at work, and named in the request."""
    file = jobs.request_file(workspace, name)
    request = read_json(file)
    process = subprocess.Popen(worker.command(workspace, name, request), start_new_session=True)
    child = {"pid": process.pid, "created": psutil.Process(process.pid).create_time()}
    write_json(file, {**request, "worker": {"pid": 999_999_999, "created": 1.0}, "child": child})
    return process


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
    process.wait(60)  # as its parent the test must take note of its end
    watch.join()
    assert status(workspace, "one") == "cancelled" and starts(workspace, "one") == 1


def test_what_ended_while_no_worker_looked_on_is_not_run_again(
    workspace: Workspace, pretend: Callable[[str], None]
) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    orphan(workspace, "one").wait(60)
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
        orphan(workspace, "one").wait(60)
        assert worker._claim(workspace, "one", None) or not queue.requests(workspace)
    state = jobs.job_state(workspace, "one")
    assert state["status"] == "failed" and "killed" in state["error"] and not queue.requests(workspace)


def test_what_another_worker_is_at_is_left_to_it(workspace: Workspace, pretend: Callable[[str], None]) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    file = jobs.request_file(workspace, "one")
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
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
        other.wait()


def test_somebody_elses_run_is_waited_for_and_never_killed(
    workspace: Workspace, pretend: Callable[[str], None]
) -> None:
    pretend("long")
    queue.enqueue(workspace, study("one"))
    folder = workspace.study_folder("one")
    other = subprocess.Popen([sys.executable, "-c", PRETEND, str(workspace.folder), "one", "deaf"])
    wait(lambda: status(workspace, "one") == "running")
    watch = threading.Thread(target=worker.supervise, args=(workspace, "one"))
    watch.start()
    time.sleep(1.0)
    assert other.poll() is None and starts(workspace, "one") == 1
    (folder / "enough").touch()
    assert other.wait(60) == 0
    watch.join()
    assert starts(workspace, "one") == 2 and status(workspace, "one") == "done" and not queue.requests(workspace)


def test_a_request_that_is_taken_back_while_somebody_else_runs_the_study(
    workspace: Workspace, pretend: Callable[[str], None]
) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    other = subprocess.Popen([sys.executable, "-c", PRETEND, str(workspace.folder), "one", "long"])
    wait(lambda: status(workspace, "one") == "running")
    watch = threading.Thread(target=worker.supervise, args=(workspace, "one"))
    watch.start()
    time.sleep(0.5)
    queue.cancel(workspace, "one")
    watch.join()
    other.wait(60)  # it listens, and was not killed: it wrote its own end
    assert status(workspace, "one") == "cancelled" and starts(workspace, "one") == 1
    assert not queue.requests(workspace) and not jobs.is_cancelling(workspace, "one")


def test_a_study_that_is_asked_for_again_stands_at_its_new_place(
    workspace: Workspace, pretend: Callable[[str], None]
) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    first = dict(queue.requests(workspace))["one"]["asked"]
    queue.cancel(workspace, "one")
    queue.enqueue(workspace, study("one"))
    worker.supervise(workspace, "one", first)  # the name that is left of the first request
    assert status(workspace, "one") == "queued" and starts(workspace, "one") == 0


@pytest.mark.parametrize("damage", ["deleted", "garbage"])
def test_a_lost_database_does_no_harm(workspace: Workspace, no_workers: None, damage: str) -> None:
    queue.enqueue(workspace, study("a"))
    for file in (workspace.folder / "queue").glob("queue.db*"):
        file.unlink() if damage == "deleted" else file.write_bytes(b"garbage" * 1000)
    assert queue.enqueue(workspace, study("b"))
    assert [name for name, _ in queue.requests(workspace)] == ["a", "b"]
    assert len(queue.Queue(workspace)) == 1, "the worker puts the other one back"


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
    told = workspace.folder / "queue" / "worker-0.json"
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
from metapt_explore.runs import worker
from metapt_explore.runs.workspace import Workspace
pretend = Path(sys.argv[2]).read_text()
worker.command = lambda w, name, request: [sys.executable, "-c", pretend, str(w.folder), name, "quick"]
worker.serve(Workspace(sys.argv[1]), idle=float(sys.argv[3]))
"""


def serve(workspace: Workspace, tmp_path: Path, idle: float) -> subprocess.Popen[bytes]:
    """A worker process whose studies only pretend."""
    (tmp_path / "pretend.py").write_text(PRETEND)
    return subprocess.Popen(
        [sys.executable, "-c", SERVE, str(workspace.folder), str(tmp_path / "pretend.py"), str(idle)]
    )


def test_a_worker_finds_what_the_list_has_lost_and_ends_when_there_is_nothing_to_do(
    workspace: Workspace, no_workers: None, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        queue.enqueue(workspace, study(name))
    for file in (workspace.folder / "queue").glob("queue.db*"):
        file.unlink()
    process = serve(workspace, tmp_path, 2.0)
    assert process.wait(60) == 0
    assert [status(workspace, name) for name in ("a", "b")] == ["done", "done"]
    assert starts(workspace, "a") == starts(workspace, "b") == 1


def test_a_worker_whose_list_is_deleted_makes_room_for_another(
    workspace: Workspace, no_workers: None, tmp_path: Path
) -> None:
    process = serve(workspace, tmp_path, 120.0)
    wait(lambda: (workspace.folder / "queue" / "queue.db").exists())
    time.sleep(1.0)
    for file in (workspace.folder / "queue").glob("queue.db*"):
        file.unlink()
    queue.enqueue(workspace, study("a"))
    assert process.wait(60) == 0, "it would have waited for names in a file that nobody writes"
    serve(workspace, tmp_path, 2.0).wait(60)
    assert status(workspace, "a") == "done"


# -------------------------------------------------------------------------------------------- cards


def test_cards_that_do_not_say_how_busy_they_are() -> None:
    found = parse_gpus("0, NVIDIA H100 80GB HBM3, 1024, 81559, 37\n1, NVIDIA T4, 3, 15360, [N/A]\nno devices\n")
    assert [(gpu.index, gpu.used_mib, gpu.busy) for gpu in found] == [("0", 1024.0, 0.37), ("1", 3.0, None)]


@pytest.mark.parametrize(("visible", "devices"), [("0,1", ["0", "1"]), ("", [None]), ("-1", [None])])
def test_one_worker_a_visible_card(monkeypatch: pytest.MonkeyPatch, visible: str, devices: list[str | None]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    worker_devices.cache_clear()
    assert worker_devices() == devices
    worker_devices.cache_clear()
