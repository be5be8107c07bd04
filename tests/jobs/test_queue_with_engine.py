"""The queue where studies run on an engine: one worker of it, time for checkpoints, no study deleted under workers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from pretended import orphan, status, study
from waiting import LIMIT, wait

from metapt_explore.engines import orphans
from metapt_explore.errors import UserError
from metapt_explore.jobs import changes, queue, worker
from metapt_explore.storage.files import write_json
from metapt_explore.storage.processes import identity
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.given_out import batches_given_out
from metapt_explore.study.worker_file import (
    batch_file,
    batches_at_work,
    cancel_batch_file,
    cells_folder,
    read_worker,
    worker_file,
)


def begin_batch(workspace: Workspace, name: str, **changes: Any) -> Path:
    """A batch whose worker is this process; returns the folder of its files."""
    folder = cells_folder(workspace, name)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(batch_file(folder, "00001"), {"id": "00001", "cells": {"split/mood": "split-0"}})
    said = {"state": "running", "process": identity(), "updated": time.time()}
    write_json(worker_file(folder, "00001"), {**said, **changes})
    return folder


@pytest.mark.parametrize(
    ("said", "lives"),
    [
        ({}, True),
        ({"updated": 1.0}, True),  # its clock may be another host's
        ({"process": {**identity(), "boot": "another"}}, False),  # it shows no heartbeat
        ({"state": "stopped"}, False),
        ({"process": {**identity(), "created": 1.0}}, False),
    ],
)
def test_which_workers_are_at_work(tmp_path: Path, said: dict[str, Any], *, lives: bool) -> None:
    begin_batch(Workspace(tmp_path), "one", **said)
    assert batches_at_work(Workspace(tmp_path), "one") == ["00001"] * lives


def test_a_study_whose_run_is_gone_is_not_deleted_under_its_workers(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`metapt cancel` stops them; then it can be deleted."""
    workspace.save_study(study("one"))
    folder = begin_batch(workspace, "one")
    with pytest.raises(UserError, match="metapt cancel one"):
        changes.delete_study(workspace, "one")
    assert call(monkeypatch, "cancel", "one", "--workspace", workspace.folder) == 0
    assert "its workers (1) were asked to stop" in capsys.readouterr().out
    assert cancel_batch_file(folder, "00001").exists()
    write_json(worker_file(folder, "00001"), {**read_worker(folder, "00001"), "state": "stopped"})
    changes.delete_study(workspace, "one")
    assert workspace.study_names() == []


@pytest.mark.parametrize(
    ("engine", "said", "begins"),
    [
        ("slurm", {}, True),
        ("slurm", {"state": "stopped"}, True),
        ("slurm", {"state": "ended"}, False),
        ("local:2", {}, True),
        ("local:2", {"state": "stopped"}, False),
        ("ray", {}, False),
    ],
)
def test_which_batches_will_have_a_worker(
    workspace: Workspace, engine: str, said: dict[str, Any], *, begins: bool
) -> None:
    """A job waits in the queue, was queued again, or its process is starting; the run that submitted it is gone."""
    folder = begin_batch(workspace, "one")
    handle = json.dumps({"process": identity(), "slot": 0}) if engine == "local:2" else "7_0"
    write_json(batch_file(folder, "00001"), {"id": "00001", "cells": {}, "engine": engine, "handle": handle})
    worker_file(folder, "00001").unlink()
    if said:
        write_json(worker_file(folder, "00001"), said)
    assert list(batches_given_out(workspace, "one")) == ["00001"] * begins
    cancel_batch_file(folder, "00001").touch()
    assert not batches_given_out(workspace, "one"), "it ends when it begins"


class Queue:
    """SLURM, with a job that waits."""

    state = "waiting"

    def cancel(self, handles: list[str], *, now: bool = False) -> None:
        Queue.state = "gone"

    def states(self, handles: list[str]) -> dict[str, str]:
        return dict.fromkeys(handles, Queue.state)


@pytest.mark.parametrize("reached", [True, False])
def test_a_job_that_waits_in_a_queue_is_cancelled(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    reached: bool,
) -> None:
    monkeypatch.setattr(Queue, "state", "waiting")
    monkeypatch.setattr(orphans, "slurm_engine", lambda: Queue() if reached else None)
    workspace.save_study(study("one"))
    folder = begin_batch(workspace, "one", state="stopped")
    record = {"id": "00001", "cells": {}, "engine": "slurm", "handle": "7_0"}
    write_json(batch_file(folder, "00001"), record)
    with pytest.raises(UserError, match="metapt cancel one"):
        changes.delete_study(workspace, "one")
    assert call(monkeypatch, "cancel", "one", "--workspace", workspace.folder) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert ("its jobs (1) were taken out of the queue" if reached else "end when they begin") in said
    assert batch_file(folder, "00001").exists() is not reached
    assert cancel_batch_file(folder, "00001").exists() is not reached
    changes.delete_study(workspace, "one")


def test_a_run_that_is_killed_at_its_cancel_leaves_no_job_behind(
    workspace: Workspace, pretend: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study's request to stop is removed with it, so each job is asked by a file of its own."""
    monkeypatch.setattr(worker, "KILL_GRACE_S", 0.0)
    monkeypatch.setattr(worker, "STOP_GRACE_S", 0.1)
    pretend("deaf")
    queue.enqueue(workspace, study("one"))
    process = orphan(workspace, "one")
    wait(lambda: status(workspace, "one") == "running")
    folder = cells_folder(workspace, "one")
    folder.mkdir(parents=True)
    record = {"id": "00001", "cells": {}, "engine": "slurm", "handle": "7_0"}
    write_json(batch_file(folder, "00001"), record)
    queue.cancel(workspace, "one")
    worker.supervise(workspace, "one")
    process.wait(LIMIT)
    assert status(workspace, "one") == "cancelled"
    assert cancel_batch_file(folder, "00001").exists()


def test_a_cancelled_run_has_time_for_the_checkpoints_of_its_workers(
    workspace: Workspace, pretend: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def given_out(*_: object) -> dict[str, Any]:
        looks.append(time.monotonic())
        return {"00001": {}} if len(looks) == 1 else {}

    monkeypatch.setattr(worker, "open_batches", given_out)
    monkeypatch.setattr(worker, "KILL_GRACE_S", 0.0)
    monkeypatch.setattr(worker, "STOP_GRACE_S", 0.7)
    pretend("deaf")
    queue.enqueue(workspace, study("one"))
    process = orphan(workspace, "one")
    wait(lambda: status(workspace, "one") == "running")
    watch = threading.Thread(target=worker.supervise, args=(workspace, "one"))
    watch.start()
    queue.cancel(workspace, "one")
    process.wait(LIMIT)
    watch.join()
    assert time.monotonic() - looks[0] >= 0.7


@pytest.mark.parametrize(
    ("on", "devices"), [("local", [None]), ("here", ["0", "1"]), ("nowhere: [", ["0", "1"]), (None, ["0", "1"])]
)
def test_an_engine_gets_one_worker_that_sees_all_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: str | None, devices: list[str | None]
) -> None:
    monkeypatch.delenv("METAPT_MACHINE", raising=False)
    if on is not None:
        (tmp_path / "machine.yaml").write_text(f"on: {on}", encoding="utf-8")
        monkeypatch.setenv("METAPT_MACHINE", str(tmp_path / "machine.yaml"))
    monkeypatch.delenv("METAPT_WORKERS", raising=False)
    monkeypatch.setattr(queue, "worker_devices", lambda: ["0", "1"])
    monkeypatch.setattr(queue, "requests", lambda workspace: [("one", {}), ("two", {})])
    monkeypatch.setattr(queue, "worker_alive", lambda workspace, number: False)
    started: list[str | None] = []
    monkeypatch.setattr(queue, "_start_worker", lambda workspace, number, device: started.append(device))
    assert queue.ensure_workers(Workspace(tmp_path)) == len(devices)
    assert started == devices
