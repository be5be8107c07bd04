"""Two machines with one workspace, whose kernels do not see each other's locks: heartbeats tell who works."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from other_host import end, line, on_another_machine
from pretended import starts, status, study
from waiting import wait

from metapt_explore.errors import UserError
from metapt_explore.jobs import changes, queue, worker
from metapt_explore.jobs import state as jobs
from metapt_explore.storage import presence
from metapt_explore.storage.processes import host_of
from metapt_explore.storage.workspace import Workspace

#: The worker of another machine, whose studies run there.
WORK = """
from metapt_explore.jobs import worker
from other_host import another_machine
from pretended import PRETEND
how = sys.argv[2]
worker.command = lambda w, name, request: [sys.executable, "-c", another_machine() + PRETEND, str(w.folder), name, how]
print("begins", flush=True)
worker.serve(workspace, idle=0.0)
"""


@pytest.fixture(autouse=True)
def nothing_watched() -> Iterator[None]:
    presence._watched.clear()
    yield
    presence._watched.clear()


def test_a_job_of_another_machine_is_left_alone_until_that_is_gone(
    workspace: Workspace, pretend: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend("quick")
    queue.enqueue(workspace, study("one"))
    other = on_another_machine(WORK, workspace.folder, "deaf")
    assert line(other) == "begins"
    wait(lambda: status(workspace, "one") == "running", "the other's job", other)
    worker.supervise(workspace, "one")  # leaves it
    assert status(workspace, "one") == "running" and starts(workspace, "one") == 1
    assert not queue.enqueue(workspace, study("one"))
    with pytest.raises(UserError, match="runs or waits"):
        changes.delete_study(workspace, "one")
    request = jobs.read_request(workspace, "one")
    assert request is not None and request["child"] is not None and host_of(request["child"]).name == "second"

    # Its worker dies, and the study's process works on: it is still that machine's.
    other.send_signal(signal.SIGKILL)
    other.communicate()
    monkeypatch.setattr(presence, "LEASE_S", 1.0)
    wait(lambda: not presence.is_alive(request["worker"], workspace.folder))
    assert status(workspace, "one") == "running" and not worker._is_free(workspace, request)
    worker.supervise(workspace, "one")
    assert starts(workspace, "one") == 1

    # The machine is gone.
    os.kill(request["child"]["pid"], signal.SIGKILL)
    wait(lambda: worker._is_free(workspace, request))
    assert status(workspace, "one") == "queued"
    worker.supervise(workspace, "one")
    assert status(workspace, "one") == "done" and starts(workspace, "one") == 2
    assert not queue.requests(workspace)


def test_two_machines_compute_each_study_once(workspace: Workspace, pretend: Callable[[str], None]) -> None:
    pretend("quick")
    names = ["a", "b"]
    for name in names:
        queue.enqueue(workspace, study(name))
    other = on_another_machine(WORK, workspace.folder, "quick")
    assert line(other) == "begins"
    worker.serve(workspace, idle=0.0)
    assert end(other) == 0
    assert {name: (status(workspace, name), starts(workspace, name)) for name in names} == dict.fromkeys(
        names, ("done", 1)
    )
    assert not queue.requests(workspace)
