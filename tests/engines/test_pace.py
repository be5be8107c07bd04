"""How long a study on an engine takes: as its workers measure, as this machine did, or it is said that nobody knows."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import forked
import pytest
from answers import assert_whole
from command_line import call
from forked_engine import Serial, said, start
from waiting import LIMIT

from metapt_explore.config import load_study
from metapt_explore.cost.count import Speed
from metapt_explore.cost.speeds import KeptSpeeds
from metapt_explore.engines import pace as pace_module
from metapt_explore.engines.pace import Pace
from metapt_explore.progress.state import Progress
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import preview
from metapt_explore.study.cell_worker import CellWorker
from metapt_explore.study.study import Study
from metapt_explore.study.worker_file import batch_file, cells_folder, read_worker

SPEED = Speed(0.1, 0.2, 0.5, 0.01, 0.001, 3.0, 500.0, measured_at=1.0)
CELLS = ("prompt/PPT/0", "fewshot/PPT/mood/0")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAPT_HOME", str(tmp_path / "home"))


@pytest.fixture
def study(world: Path, tmp_path: Path) -> Study:
    return Study(world / "tiny.yaml", Workspace(tmp_path / "workspace"))


def test_workers_that_nobody_has_timed_have_no_pace_elsewhere(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement of this machine says nothing of a cluster's nodes."""
    KeptSpeeds(study.workspace.folder, study.model.identity).keep({}, SPEED)
    monkeypatch.setattr(pace_module, "WORTH_TOKENS", 0)
    pace, progress = Pace(study, "slurm", 4), Progress()
    progress.plan({"prompt/PPT/0": 10.0})
    pace.plan(progress, pace.seconds(), parents={}, done=())
    assert pace.basis == "" and "not known yet" in progress.state.notices[0]
    progress.at_work("4 workers", {}, done=0, total=1)
    assert progress.state.seconds_left is None


def test_local_workers_divide_what_one_process_has_measured(study: Study) -> None:
    """On cores that are divided, each is slower by as much as there are more of them."""
    KeptSpeeds(study.workspace.folder, study.model.identity).keep({}, SPEED)
    one, four = Pace(study, "local:1", 1), Pace(study, "local:4", 4)
    assert "one process of this machine" in four.basis
    alone, shared = one.seconds(), four.seconds()
    factor = 4 if study.model.device == "cpu" else 1
    assert [shared[key] for key in CELLS] == pytest.approx([factor * alone[key] for key in CELLS])


def test_what_workers_say_counts_and_is_kept_for_the_next_run(study: Study) -> None:
    pace = Pace(study, "slurm", 2)
    assert pace.basis == ""
    assert not pace.take({"00001": {"nonsense": 1.0}})
    assert pace.take({"00001": asdict(SPEED), "00002": asdict(replace(SPEED, trained=0.3))})
    assert not pace.take({"00001": asdict(SPEED)})
    later = Pace(study, "slurm", 2)
    assert "workers on slurm measured it" in later.basis and later._speed is not None
    assert later._speed.trained == pytest.approx(0.2)
    assert later.seconds() == pytest.approx(pace.seconds())
    assert Pace(study, "ray", 2).basis == ""


def test_time_is_left_from_the_beginning_and_divided_among_workers(study: Study) -> None:
    pace, progress = Pace(study, "local:2", 2), Progress()
    pace.take({"00001": asdict(SPEED)})
    progress.plan({"prompt/PPT/0": 5.0, "prompt/MetaPT/0": 5.0})
    seconds = {"prompt/PPT/0": 100.0, "prompt/MetaPT/0": 100.0}
    pace.plan(progress, seconds, parents={}, done=())
    progress.at_work("2 workers", {}, done=0, total=2)
    assert progress.state.seconds_left == pytest.approx(100.0)
    pace.plan(progress, seconds, parents={"prompt/MetaPT/0": ["prompt/PPT/0"]}, done=())
    assert progress.state.seconds_left == pytest.approx(200.0), "one after the other"
    progress.found(["prompt/PPT/0"])
    pace.plan(progress, seconds, parents={}, done={"prompt/PPT/0"})
    assert progress.state.seconds_left == pytest.approx(100.0), "one worker has nothing to do"


def test_a_worker_times_the_model_once_before_its_first_cell(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "WORTH_TOKENS", 0)
    config, workspace = load_study(world / "tiny.yaml"), Workspace(tmp_path / "workspace")
    folder = cells_folder(workspace, "tiny")
    for batch, keys in (("one", ["split/mood"]), ("two", ["prompt/PPT/0"]), ("three", ["prompt/MetaPT/0"])):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(batch_file(folder, batch), {"id": batch, "cells": dict.fromkeys(keys, "")})
        CellWorker(config, workspace, batch).make(keys)
    assert "speed" not in read_worker(folder, "one"), "no model, no measurement"
    first, second = (read_worker(folder, batch)["speed"] for batch in ("two", "three"))
    assert first["trained"] > 0 and first["measured_at"] == second["measured_at"], "the second finds the first's"


def measure_always() -> None:
    preview.WORTH_TOKENS = 0


@pytest.mark.skipif(not forked.CAN_FORK, reason=forked.WHY_NOT)
def test_a_run_whose_workers_measure_has_the_same_answers(serial: Serial, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    run = start(serial.file, workspace.folder, serial.home, in_worker=measure_always)
    run.join(LIMIT)
    assert run.exitcode == 0, said(workspace.folder)
    assert_whole(workspace, "tiny", serial.answers, said(workspace.folder))
    told = [read_json(file) for file in (cells_folder(workspace, "tiny") / "ended").glob("*.worker.json")]
    assert any("speed" in record for record in told)
    study = Study(serial.file, workspace)
    assert "workers on local:2 measured it" in Pace(study, "local:2", 2).basis


def test_plan_and_cells_know_the_same(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`metapt plan` writes nothing into the workspace, and its measurement is found all the same."""
    workspace, file = tmp_path / "workspace", world / "tiny.yaml"
    monkeypatch.delenv("METAPT_MACHINE", raising=False)

    def left(*options: str) -> str:
        capsys.readouterr()
        assert call(monkeypatch, "cells", file, "--workspace", workspace, *options) == 0
        return capsys.readouterr().out.splitlines()[-1]

    assert "not known yet" in left("--on", "local:2")
    assert call(monkeypatch, "plan", file, "--json", "--workspace", workspace) in (0, 1)
    planned = json.loads(capsys.readouterr().out.splitlines()[-1])["stages"]
    assert not (workspace / "speeds").exists()
    assert "measured in one process of this machine" in left("--on", "local:2")
    assert call(monkeypatch, "cells", file, "--json", "--workspace", workspace) == 0
    cells = {cell["key"]: cell["seconds"] for cell in json.loads(capsys.readouterr().out)["cells"]}
    assert cells["prompt/PPT/0"] == pytest.approx(planned["prompt/PPT/0"]["seconds"], rel=0.5)
