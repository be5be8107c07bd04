"""Workers of another host are left alone while they live, told to stop where that is meant, and replaced when they die.

Only their heartbeat is known of them: their process numbers mean nothing here, and their locks may not be seen.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from other_host import end, in_container, line, on_another_machine, why_no_namespaces
from waiting import wait

from metapt_explore.config.machine import MachineConfig
from metapt_explore.engines.coordinator import Coordinator
from metapt_explore.engines.live import LiveBatches
from metapt_explore.engines.local import LocalEngine
from metapt_explore.errors import TakenOver
from metapt_explore.jobs import changes
from metapt_explore.jobs import state as jobs
from metapt_explore.progress.state import Progress
from metapt_explore.storage import presence
from metapt_explore.storage.files import write_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.cells import stages_of
from metapt_explore.study.given_out import stop_workers
from metapt_explore.study.study import Study
from metapt_explore.study.worker_file import (
    batch_file,
    batches_at_work,
    cancel_batch_file,
    cell_states,
    cells_folder,
    open_batches,
    read_worker,
)

#: A worker at one cell, until it is asked to stop; its batch says that it was started by `local:2` of its host.
WORK = """
import sys, time
from pathlib import Path
from metapt_explore.config import load_study
from metapt_explore.errors import Cancelled
from metapt_explore.engines.local import LocalEngine
from metapt_explore.storage.files import write_json
from metapt_explore.storage.processes import identity
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.cell_worker import CellWorker
from metapt_explore.study.worker_file import batch_file, cells_folder
import json
workspace = Workspace(sys.argv[1])
folder = cells_folder(workspace, "tiny")
folder.mkdir(parents=True, exist_ok=True)
cells = {"embeddings": sys.argv[3], "prompt/PPT/0": "prompt-1"}
handle = json.dumps({"process": identity(), "slot": 0})
write_json(batch_file(folder, "00001"), {"id": "00001", "cells": cells, "engine": "local:2", "handle": handle})
worker = CellWorker(load_study(sys.argv[2]), workspace, "00001")
def make(keys, expected):
    worker.file.write(current="embeddings", fraction=0.5)
    print("begins", flush=True)
    while not worker._should_stop():
        time.sleep(0.02)
    raise Cancelled("asked")
worker._make = make
try:
    worker.make(list(cells))
except Cancelled:
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def nothing_watched() -> Iterator[None]:
    presence._watched.clear()
    yield
    presence._watched.clear()


@pytest.fixture(params=["machine", "container"])
def second_host(request: pytest.FixtureRequest) -> Any:
    """Starts a script on another host."""
    if request.param == "container" and why_no_namespaces():
        pytest.skip(why_no_namespaces())
    return on_another_machine if request.param == "machine" else in_container


def begin(second_host: Any, workspace: Workspace, world: Path, identifier: str = "emb-1") -> subprocess.Popen[str]:
    workspace.folder.mkdir(exist_ok=True)
    other: subprocess.Popen[str] = second_host(WORK, workspace.folder, world / "tiny.yaml", identifier)
    assert line(other) == "begins"
    return other


def live_batches(workspace: Workspace) -> LiveBatches:
    study: Any = SimpleNamespace(workspace=workspace, config=SimpleNamespace(name="tiny"))
    return LiveBatches(study, LocalEngine(2), lost_s=60)


def test_a_live_batch_of_another_host_is_watched_not_given_out_again(
    second_host: Any, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    other = begin(second_host, workspace, world)
    live = live_batches(workspace)
    live.adopt({"embeddings": "emb-1"})
    assert (live.keys, live.hosts, live.at_engine) == ({"embeddings", "prompt/PPT/0"}, ["second"], 0)
    assert list(live.ended()) == [] and list(open_batches(workspace, "tiny")) == ["00001"]
    assert {row["key"]: row["state"] for row in cell_states(workspace, "tiny")}["embeddings"] == "running"
    assert batches_at_work(workspace, "tiny") == ["00001"]

    other.send_signal(signal.SIGKILL)
    other.communicate()
    monkeypatch.setattr(presence, "LEASE_S", 0.5)
    wait(lambda: list(live.ended()), "it is lost")
    ((batch, _, said, why),) = live.ended()
    assert (batch, said["current"], why) == ("00001", "embeddings", "'second' shows no sign of life")
    assert {row["state"] for row in cell_states(workspace, "tiny")} == {"lost"}
    assert batches_at_work(workspace, "tiny") == []
    live.put_away(batch)
    assert (live.keys, live.hosts) == (set(), [])


def test_workers_of_another_host_stop_with_the_run(second_host: Any, world: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    other = begin(second_host, workspace, world)
    live = live_batches(workspace)
    live.adopt({})
    ((batch, _, said, _),) = live.stop()
    assert (batch, said["state"]) == ("00001", "stopped")
    assert end(other) == 0


def test_what_is_not_meant_any_more_is_told_to_stop_on_another_host(
    second_host: Any, world: Path, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    other = begin(second_host, workspace, world, "emb-of-another-study")
    live = live_batches(workspace)
    live.adopt({"embeddings": "emb-1"})
    wait(lambda: list(live.ended()), "it stops", other)
    assert next(live.ended())[2]["state"] == "stopped"
    assert end(other) == 0


def test_a_deaf_worker_of_another_host_stays_asked_to_stop(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From here it cannot be killed; it stops when it looks."""
    workspace = Workspace(tmp_path / "workspace")
    other = begin(on_another_machine, workspace, world)
    other.send_signal(signal.SIGSTOP)
    monkeypatch.setattr("metapt_explore.engines.live.STOP_GRACE_S", 0.1)
    live = live_batches(workspace)
    live.adopt({})
    assert live.stop() == [] and live.keys == set()
    assert cancel_batch_file(cells_folder(workspace, "tiny"), "00001").exists()
    other.send_signal(signal.SIGCONT)
    assert end(other) == 0
    assert read_worker(cells_folder(workspace, "tiny"), "00001")["state"] == "stopped"


def test_cancel_and_delete_know_workers_of_another_host(second_host: Any, world: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    workspace.folder.mkdir()
    workspace.save_study(Study(world / "tiny.yaml", workspace).config)
    other = begin(second_host, workspace, world)
    with pytest.raises(Exception, match="metapt cancel tiny"):
        changes.delete_study(workspace, "tiny")
    assert list(stop_workers(workspace, "tiny")) == ["00001"]
    assert end(other) == 0
    assert batches_at_work(workspace, "tiny") == []


def test_workers_of_a_dead_host_keep_nobody_from_deleting(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command is the first to look, and watches until it knows."""
    workspace = Workspace(tmp_path / "workspace")
    workspace.folder.mkdir()
    workspace.save_study(Study(world / "tiny.yaml", workspace).config)
    other = begin(on_another_machine, workspace, world)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    monkeypatch.setattr(presence, "LEASE_S", 0.5)
    assert jobs.hosts_in_doubt(workspace, "tiny") == {"second"}
    presence._watched.clear()
    changes.delete_study(workspace, "tiny")
    assert workspace.study_names() == []


def test_a_worker_whose_batch_was_taken_back_ends_and_leaves_no_file(
    second_host: Any, world: Path, tmp_path: Path
) -> None:
    """Its run was taken over while it had not begun yet, or slept."""
    workspace = Workspace(tmp_path / "workspace")
    other = begin(second_host, workspace, world)
    folder = cells_folder(workspace, "tiny")
    batch_file(folder, "00001").unlink()
    cancel_batch_file(folder, "00001").touch()
    assert end(other) == 0
    assert not list(folder.glob("*.worker.json"))


def test_a_run_that_was_taken_over_leaves_the_workers_to_the_other_run(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop that slept: the other host's run has adopted its workers, and stopping them would undo that."""
    workspace = Workspace(tmp_path / "workspace")
    other = begin(on_another_machine, workspace, world)
    study = Study(world / "tiny.yaml", workspace)
    coordinator = Coordinator(study, LocalEngine(2), MachineConfig.model_validate({}))
    coordinator._live.adopt({})

    def lost(self: Progress) -> None:
        raise TakenOver("another host goes on")

    monkeypatch.setattr(Progress, "stop_if_asked", lost)
    with pytest.raises(TakenOver):
        coordinator.make(stages_of(study, ["embeddings"]))
    coordinator.close()
    folder = cells_folder(workspace, "tiny")
    assert list(open_batches(workspace, "tiny")) == ["00001"]
    assert not cancel_batch_file(folder, "00001").exists() and batches_at_work(workspace, "tiny") == ["00001"]
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()


def test_a_job_that_has_not_begun_finds_its_batch_gone(world: Path, tmp_path: Path) -> None:
    """Nobody can tell a process of another host that has not begun from one that is dead: it is put away."""
    workspace = Workspace(tmp_path / "workspace")
    folder = cells_folder(workspace, "tiny")
    folder.mkdir(parents=True)
    handle = '{"process": {"pid": 7, "created": 1.0, "host": "second", "boot": "b", "namespace": "n"}, "slot": 0}'
    record = {"id": "00001", "cells": {"embeddings": "emb-1"}, "engine": "local:2", "handle": handle}
    write_json(batch_file(folder, "00001"), record)
    live = live_batches(workspace)
    live.adopt({"embeddings": "emb-1"})
    assert live.keys == set() and open_batches(workspace, "tiny") == {}
