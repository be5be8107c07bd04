"""The queue: in order, nothing twice, stopped for certain, found again after anything was killed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from pretended import starts, status, study
from waiting import wait

from metapt_explore.errors import UserError
from metapt_explore.jobs import queue, worker
from metapt_explore.jobs import state as jobs
from metapt_explore.storage.processes import identity
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import write_job

# ------------------------------------------------------------------------------------- asking for


def test_a_study_is_asked_for_once_and_stands_in_line(workspace: Workspace, no_workers: None) -> None:
    assert queue.enqueue(workspace, study("first"))
    assert queue.enqueue(workspace, study("second"), init_seeds=[0], until="clusters")
    assert not queue.enqueue(workspace, study("first")), "a second tab asks for it"
    assert [name for name, _ in queue.requests(workspace)] == ["first", "second"]
    table = queue.jobs_table(workspace)
    assert table[["study", "status", "position"]].values.tolist() == [["first", "queued", 1], ["second", "queued", 2]]
    asked = dict(queue.requests(workspace))["second"]
    words = worker.command(workspace, "second", asked)
    assert words[-4:] == ["--until", "clusters", "--init-seeds", "0"]


def test_percent_of_a_waiting_study_is_of_what_it_waits_for(workspace: Workspace, no_workers: None) -> None:
    """Else a study whose clusters are finished would wait for its scores at 100 %."""
    queue.enqueue(workspace, study("first"))
    write_job(workspace, "first", {"status": "partly", "until": "clusters", "init_seeds": None, "fraction": 1.0})
    state = jobs.job_state(workspace, "first")
    assert (state["status"], state["until"], state["fraction"]) == ("queued", "all", 0.0)
    queue.cancel(workspace, "first")
    state = jobs.job_state(workspace, "first")
    assert (state["status"], state["until"], state["fraction"]) == ("cancelled", "all", 0.0), (
        "Resume asks for all of it"
    )
    write_job(workspace, "first", {"status": "stopped", "until": "all", "init_seeds": None, "fraction": 0.3})
    queue.enqueue(workspace, study("first"))
    assert jobs.job_state(workspace, "first")["fraction"] == 0.3


def test_what_is_asked_for_otherwise_is_not_passed_over(workspace: Workspace, no_workers: None) -> None:
    assert queue.enqueue(workspace, study("first"), init_seeds=[0], until="clusters")
    assert not queue.enqueue(workspace, study("first"), init_seeds=[0], until="clusters")
    with pytest.raises(UserError, match=r"different settings \(--until clusters, initialisation seeds\)"):
        queue.enqueue(workspace, study("first"))
    with pytest.raises(UserError, match=r"different settings \(study file\): cancel it"):
        queue.enqueue(workspace, study("first").model_copy(update={"seed": 99}), init_seeds=[0], until="clusters")


def test_what_a_worker_lost_to_an_error_waits_again() -> None:
    workspace = Workspace("nowhere")
    mine, other = {"worker": identity()}, {"worker": None}
    assert worker._is_free(workspace, mine)
    assert worker._is_free(workspace, other)


def test_a_clock_that_was_set_back_does_not_change_the_order(
    workspace: Workspace, no_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now, name in ((1000.0, "b"), (10.0, "c"), (10.0, "a")):
        monkeypatch.setattr(queue.time, "time", lambda now=now: now)
        queue.enqueue(workspace, study(name))
    assert [name for name, _ in queue.requests(workspace)] == ["b", "c", "a"]


def test_two_tabs_at_the_same_moment_ask_for_one_job(workspace: Workspace, no_workers: None) -> None:
    answers: list[bool] = []
    tabs = [threading.Thread(target=lambda: answers.append(queue.enqueue(workspace, study("one")))) for _ in range(6)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert sorted(answers) == [False] * 5 + [True] and len(queue.requests(workspace)) == 1


# ----------------------------------------------------------------------------------- to some end


def test_a_job_runs_to_its_end(workspace: Workspace, pretend: Callable[[str], None]) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    worker.supervise(workspace, "one")
    assert status(workspace, "one") == "done" and not queue.requests(workspace)
    worker.supervise(workspace, "one")  # nobody asks any more
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
    # Its log goes on, and says when.
    log = (workspace.study_folder("one") / "log.txt").read_text(encoding="utf-8").splitlines()
    marks = [line for line in log if line.startswith("--- 20")]
    assert len(marks) == 2 and "begins, until: all" in marks[0] and "goes on, until: all" in marks[1]


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
