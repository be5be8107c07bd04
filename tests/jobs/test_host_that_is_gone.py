"""A study on another host that died is called interrupted, and by nobody before that is known by the rule of locks."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from command_line import call
from other_host import end, line, on_another_machine
from pretended import status, study
from waiting import wait

from metapt_explore.dashboard.parts import job
from metapt_explore.jobs import queue
from metapt_explore.jobs import state as jobs
from metapt_explore.storage import presence
from metapt_explore.storage.workspace import Workspace

#: Runs a study as `metapt run` does, until it may end.
RUN = """
from metapt_explore.study.job_file import working_on
with working_on(workspace, sys.argv[2]) as progress:
    print("runs", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def nothing_watched() -> Iterator[None]:
    presence._watched.clear()
    yield
    presence._watched.clear()


@pytest.fixture
def running(workspace: Workspace) -> Iterator[subprocess.Popen[str]]:
    """A run of the study `one` on another machine."""
    workspace.save_study(study("one"))
    other = on_another_machine(RUN, workspace.folder, "one")
    assert line(other) == "runs"
    yield other
    other.kill()
    other.communicate()


def listed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str
) -> dict[str, Any]:
    """What `metapt jobs --json` says of the study, as a process that has watched nothing yet."""
    presence._watched.clear()
    capsys.readouterr()
    assert call(monkeypatch, "jobs", "--json", "--workspace", workspace.folder, *options) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_a_live_one_is_running_there(
    workspace: Workspace,
    running: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = listed(workspace, monkeypatch, capsys)
    assert (row["status"], row["host"]) == ("running", "second")
    assert call(monkeypatch, "jobs", "--workspace", workspace.folder) == 0
    assert "running on second" in capsys.readouterr().out
    assert end(running) == 0
    row = listed(workspace, monkeypatch, capsys)
    assert row["status"] == "done"


def test_a_dead_one_is_interrupted(
    workspace: Workspace,
    running: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    running.send_signal(signal.SIGKILL)
    running.communicate()
    monkeypatch.setattr(presence, "LEASE_S", 0.5)
    # Who looks once cannot know.
    assert listed(workspace, monkeypatch, capsys, "--now")["status"] == "running"
    row = listed(workspace, monkeypatch, capsys)
    assert (row["status"], row["host"]) == ("stopped", "second")
    assert call(monkeypatch, "jobs", "--workspace", workspace.folder) == 0
    said = capsys.readouterr().out
    assert "interrupted" in said and "'second' is gone" in said and "running" not in said
    presence._watched.clear()
    assert call(monkeypatch, "cancel", "one", "--workspace", workspace.folder) == 2
    assert "neither runs nor waits: interrupted" in capsys.readouterr().err
    assert not jobs.is_cancelling(workspace, "one")


def test_pages_say_that_nothing_is_heard_and_then_that_it_is_gone(
    workspace: Workspace, running: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = queue.jobs_table(workspace).iloc[0].to_dict()
    assert jobs.format_silent(state) == ""
    running.send_signal(signal.SIGKILL)
    running.communicate()
    monkeypatch.setattr(jobs, "BEAT_S", 0.1)
    wait(lambda: jobs.format_silent(jobs.job_state(workspace, "one")))
    assert "no sign of life from 'second'" in jobs.format_silent(jobs.job_state(workspace, "one"))
    assert list(job.overview(workspace)["status"]) == ["running, on 'second'"]
    monkeypatch.setattr(presence, "LEASE_S", 0.5)
    wait(lambda: status(workspace, "one") == "stopped")
    assert jobs.format_gone(jobs.job_state(workspace, "one")) == "its process on 'second' is gone"
    assert list(job.overview(workspace)["status"]) == ["interrupted"]
