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


def test_a_worker_takes_over_the_watch_of_one_that_was_killed(
    workspace: Workspace, pretend: Callable[[str], None]
) -> None:
    pretend("deaf")
    queue.enqueue(workspace, study("one"))
    request = dict(queue.requests(workspace))["one"]
    orphan = subprocess.Popen(worker.command(workspace, "one", request), start_new_session=True)
    wait(lambda: status(workspace, "one") == "running")
    write_json(jobs.request_file(workspace, "one"), {**request, "worker": 999_999_999})
    watch = threading.Thread(target=worker.supervise, args=(workspace, "one"))
    watch.start()
    queue.cancel(workspace, "one")
    orphan.wait(60)  # as its parent the test must take note of its end
    watch.join()
    assert status(workspace, "one") == "cancelled" and starts(workspace, "one") == 1


def test_what_another_worker_is_at_is_left_to_it(workspace: Workspace, pretend: Callable[[str], None]) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    file = jobs.request_file(workspace, "one")
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "worker"])
    try:
        write_json(file, {**dict(queue.requests(workspace))["one"], "worker": other.pid})
        worker.supervise(workspace, "one")
        assert starts(workspace, "one") == 0 and status(workspace, "one") == "queued"
    finally:
        other.kill()
        other.wait()


def test_a_lost_database_is_made_anew_from_the_folders(workspace: Workspace, no_workers: None) -> None:
    for name in ("b", "a"):
        queue.enqueue(workspace, study(name))
    for file in (workspace.folder / "queue").glob("queue.db*"):
        file.unlink()
    names = queue.Queue(workspace)
    assert len(names) == 0
    worker._rebuild(workspace, names)
    order = [names.huey.dequeue().args[0] for _ in range(2)]
    assert order == ["b", "a"] and len(names) == 0


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


def test_a_worker_ends_when_there_is_nothing_to_do(workspace: Workspace) -> None:
    given = f"workspace.Workspace({str(workspace.folder)!r}), idle=0.2"
    words = f"from metapt_explore.runs import worker, workspace; worker.serve({given})"
    assert subprocess.run([sys.executable, "-c", words], timeout=60).returncode == 0


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
