"""Two containers on one machine with one workspace: process numbers mean nothing to each other, locks do."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from other_host import end, in_container, line, on_this_host, why_no_namespaces
from pretended import PRETEND, starts, status, study
from waiting import wait

from metapt_explore.jobs import queue, worker
from metapt_explore.jobs import state as jobs
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import working_on

pytestmark = pytest.mark.skipif(bool(why_no_namespaces()), reason=why_no_namespaces() or "-")

#: A worker that ends when nothing is asked for.
WORK = """
import sys
from metapt_explore.jobs import worker
from metapt_explore.storage.workspace import Workspace
from pretended import PRETEND
worker.command = lambda w, name, request: [sys.executable, "-c", PRETEND, str(w.folder), name, "quick"]
worker.serve(Workspace(sys.argv[1]), idle=0.0)
"""
#: Takes what is asked for, if it may.
TAKE = """
import sys
from metapt_explore.jobs import queue, state, worker
from metapt_explore.storage.workspace import Workspace
from pretended import PRETEND
worker.command = lambda w, name, request: [sys.executable, "-c", PRETEND, str(w.folder), name, "quick"]
workspace = Workspace(sys.argv[1])
print([worker._is_free(workspace, request) for _, request in queue.requests(workspace)])
worker.supervise(workspace, "one")
print(state.job_state(workspace, "one")["status"], flush=True)
"""


def test_the_first_worker_of_the_second_container_is_not_refused(workspace: Workspace, no_workers: None) -> None:
    (workspace.folder / "queue").mkdir(parents=True)
    with queue.worker_lock(workspace, 0):
        assert end(in_container(WORK, workspace.folder)) == 0


def test_the_second_container_leaves_a_running_job_alone(workspace: Workspace, pretend: Callable[[str], None]) -> None:
    pretend("long")
    queue.enqueue(workspace, study("one"))
    with worker.present(workspace.folder):
        watch = threading.Thread(target=worker.supervise, args=(workspace, "one"))
        watch.start()
        wait(lambda: status(workspace, "one") == "running")
        other = in_container(TAKE, workspace.folder)
        assert (line(other), line(other)) == ("[False]", "running")
        assert end(other) == 0
        (workspace.study_folder("one") / "enough").touch()
        watch.join()
    assert starts(workspace, "one") == 1 and status(workspace, "one") == "done"


def test_two_workers_compute_each_study_once(workspace: Workspace, no_workers: None) -> None:
    """Before hosts had names, some ran twice and were called failed although they had ended."""
    names = [f"s{number}" for number in range(3)]
    for name in names:
        queue.enqueue(workspace, study(name))
    second = in_container(WORK, workspace.folder)
    first = on_this_host(WORK, workspace.folder)
    assert (end(second), end(first)) == (0, 0)
    assert {name: (status(workspace, name), starts(workspace, name)) for name in names} == {
        name: ("done", 1) for name in names
    }
    assert not queue.requests(workspace)


def test_a_killed_container_is_noticed_at_once(workspace: Workspace, no_workers: None) -> None:
    """Its kernel is ours, so the lock is certain; the study goes on here without a wait."""
    workspace.save_study(study("one"))
    other = in_container(PRETEND, workspace.folder, "one", "deaf")
    wait(lambda: status(workspace, "one") == "running")
    other.kill()  # the namespace ends with its first process
    other.communicate()
    wait(lambda: not workspace.is_locked("one"))
    assert jobs.own_state(workspace, "one")["status"] == "stopped"
    with working_on(workspace, "one"):
        assert status(workspace, "one") == "running"
    assert status(workspace, "one") == "done"
    assert not list((workspace.folder / "processes").iterdir())
