"""What goes wrong around workers: runs that were killed, full disks, files that killed runs have left."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import call

from metapt_explore.config import load_study
from metapt_explore.config.machine import MachineConfig
from metapt_explore.engines.base import Job, JobState
from metapt_explore.engines.choose import usual_engine
from metapt_explore.engines.coordinator import Coordinator
from metapt_explore.engines.live import LiveBatches
from metapt_explore.errors import UserError
from metapt_explore.storage.files import write_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.cell_worker import CellWorker
from metapt_explore.study.cells import stages_of
from metapt_explore.study.job_file import cancel_file
from metapt_explore.study.study import Study
from metapt_explore.study.worker_file import batch_file, cells_folder, open_batches, read_worker, worker_file


class FakeEngine:
    """Jobs that end at once, each having said the same.

    Args:
        said: What their workers write.
        alive: Handles of jobs that run on.
    """

    name, slots, poll_s = "local", 2, 0.0

    def __init__(self, said: dict[str, Any], alive: Sequence[str] = ()) -> None:
        self.said, self.alive = said, set(alive)
        self.submitted: list[Job] = []
        self.asked_to_stop: list[str] = []

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        self.submitted += jobs
        for job in jobs:
            write_json(worker_file(job.log.parent, job.batch), self.said)
        return [job.batch for job in jobs]

    def states(self, handles: Sequence[str]) -> dict[str, JobState]:
        return {handle: "running" if handle in self.alive else "gone" for handle in handles}

    def cancel(self, handles: Sequence[str], *, now: bool = False) -> None:
        self.asked_to_stop += handles
        self.alive -= set(handles)

    def end_of(self, handle: str) -> str:
        return ""

    def close(self) -> None:
        pass


def test_a_run_adopts_only_what_runs_and_is_still_meant(tmp_path: Path) -> None:
    """What has ended keeps its old failures; what makes another artifact is told to stop."""
    workspace = Workspace(tmp_path)
    folder = cells_folder(workspace, "tiny")
    folder.mkdir(parents=True)
    for batch, identifier in (("00001", "prompt-1"), ("00002", "prompt-2"), ("00003", "prompt-1")):
        record = {"id": batch, "cells": {"prompt/PT/0": identifier}, "engine": "local:2", "handle": batch}
        write_json(batch_file(folder, batch), record)
    engine = FakeEngine({}, alive=["00002", "00003"])
    study: Any = SimpleNamespace(workspace=workspace, config=SimpleNamespace(name="tiny"))
    live = LiveBatches(study, engine, lost_s=60)
    live.adopt({"prompt/PT/0": "prompt-1"})
    assert list(open_batches(workspace, "tiny")) == ["00003"]
    assert (live.keys, engine.asked_to_stop) == ({"prompt/PT/0"}, ["00002"])
    assert len(list(live.past.glob("*.batch.json"))) == 2


@pytest.mark.parametrize(("number", "no_place"), [(errno.ENOSPC, True), (errno.EIO, False)])
def test_an_error_of_files_refuses_no_cell(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, number: int, no_place: bool
) -> None:
    worker = CellWorker(load_study(world / "tiny.yaml"), Workspace(tmp_path), "one")
    write_json(batch_file(cells_folder(Workspace(tmp_path), "tiny"), "one"), {"id": "one"})

    def fail(*_: object) -> None:
        raise OSError(number, "it could not be written")

    monkeypatch.setattr(worker, "_make", fail)
    with pytest.raises(OSError, match="could not be written"):
        worker.make(["split/mood"])
    told = read_worker(cells_folder(Workspace(tmp_path), "tiny"), "one")
    assert (told["state"], told["no_place"]) == ("stopped", no_place)


def test_a_workers_full_disk_stops_the_run_and_another_error_is_tried_again(world: Path, tmp_path: Path) -> None:
    study = Study(world / "tiny.yaml", Workspace(tmp_path))
    stages = stages_of(study, ["embeddings"])
    machine = MachineConfig.model_validate({})
    full = FakeEngine({"state": "stopped", "error": "disk full", "no_place": True})
    with pytest.raises(OSError, match="disk full") as caught:
        Coordinator(study, full, machine).make(stages)
    assert (caught.value.errno, len(full.submitted)) == (errno.ENOSPC, 1)
    lost = FakeEngine({"state": "stopped", "error": "the share went away", "no_place": False})
    coordinator = Coordinator(study, lost, machine)
    coordinator.make(stages)
    assert len(lost.submitted) == 3
    with pytest.raises(UserError, match=r"share went away, 3 times"):
        coordinator.refuse(stages[-1])


def test_cells_made_by_hand_go_on_past_the_cancel_of_a_killed_run(world: Path, tmp_path: Path) -> None:
    config, workspace = load_study(world / "tiny.yaml"), Workspace(tmp_path)
    file = cancel_file(workspace, "tiny")
    file.parent.mkdir(parents=True)
    file.touch()
    assert not CellWorker(config, workspace)._should_stop()
    assert CellWorker(config, workspace, "one")._should_stop(), "a run's worker is meant by it"
    with workspace.study_lock("tiny"):
        worker = CellWorker(config, workspace)
        assert worker._should_stop(), "it is meant for the run that is at work"


def test_a_worker_takes_the_workspaces_study_not_a_file_of_that_name(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    Study(world / "tiny.yaml", workspace).save()
    folder = cells_folder(workspace, "tiny")
    folder.mkdir(parents=True)
    write_json(batch_file(folder, "one"), {"id": "one", "cells": {"split/mood": "split-0"}})
    (tmp_path / "tiny").write_text("not: a study", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "make", "tiny", "--batch", "one", "-w", workspace.folder) == 2
    assert "where the study runs" in read_worker(folder, "one")["error"]


def test_a_wrong_engine_in_the_machine_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "machine.yaml"
    file.write_text("on: moon", encoding="utf-8")
    monkeypatch.setenv("METAPT_MACHINE", str(file))
    with pytest.raises(UserError, match=r"machine\.yaml: on: There is no engine 'moon'"):
        usual_engine()
