"""Curves told to other tools: what the workspace holds, once, and never at the cost of the study."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
import tiny
from accelerate import tracking
from accelerate.tracking import GeneralTracker
from command_line import call

from metapt_explore.errors import UserError
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import trackers
from metapt_explore.study.job_file import working_on
from metapt_explore.study.study import Study

#: Steps and values of each run.
Told = dict[str, list[tuple[int, dict[str, float]]]]


class Fake(GeneralTracker):
    """Remembers what it is told."""

    name = "fake"
    requires_logging_directory = False
    told: ClassVar[Told]
    configured: ClassVar[dict[str, dict[str, Any]]]
    fails = False

    def __init__(self, study: str, *, name: str) -> None:
        super().__init__()
        self.run = name

    @property
    def tracker(self) -> None:
        return None

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.configured[self.run] = values

    def log(self, values: dict[str, float], step: int | None = None, **kwargs: Any) -> None:
        if self.fails:
            raise ConnectionError("no network")
        assert step is not None
        self.told.setdefault(self.run, []).append((step, values))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    class Fresh(Fake):
        told: ClassVar[Told] = {}
        configured: ClassVar[dict[str, dict[str, Any]]] = {}

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Fresh)
    monkeypatch.setitem(trackers.TOOLS, "wandb", ("name", "json"))
    monkeypatch.setenv(trackers.VARIABLE, "wandb")
    return Fresh


def small(world: Path, folder: Path) -> Study:
    tree = tiny.study_tree(world, methods=[{"name": "PPT", "kind": "ppt"}], clusterings=[])
    tree["evaluation"] |= {"tasks": [str(world / "mood.yaml")], "data_seeds": [1, 2]}
    return Study(tree, folder)


def test_a_run_tells_what_the_workspace_holds(world: Path, tmp_path: Path, fake: type[Fake]) -> None:
    study = small(world, tmp_path)
    study.run()
    assert set(fake.told) == {"prompt/PPT/0", "fewshot/PPT/mood/0"}
    losses = study.prompt("PPT").metrics.groupby("step")["loss"].mean()
    assert {step: values["loss"] for step, values in fake.told["prompt/PPT/0"]} == pytest.approx(losses.to_dict())
    curves = study.fewshot("PPT", "mood").table("curves").groupby("step")["test_accuracy"].mean()
    told = {step: values for step, values in fake.told["fewshot/PPT/mood/0"] if "test_accuracy" in values}
    assert {step: values["test_accuracy"] for step, values in told.items()} == pytest.approx(curves.to_dict())
    about = fake.configured["fewshot/PPT/mood/0"]
    assert (about["study"], about["method"], about["task"], about["init_seed"]) == ("tiny", "PPT", "mood", 0)
    # What is there already is not told again.
    fake.told.clear()
    small(world, tmp_path).run()
    assert not fake.told


def test_a_tool_that_fails_is_named_once(world: Path, tmp_path: Path, fake: type[Fake]) -> None:
    fake.fails = True
    study = small(world, tmp_path)
    with working_on(study.workspace, "tiny") as study.progress:
        assert len(study.run()) == 2
        notices = list(study.progress.state.notices)
    assert [notice for notice in notices if "wandb" in notice] == [
        "wandb is told nothing more of this run: ConnectionError: no network"
    ]


def test_curves_that_cannot_be_read_cost_nothing_else(
    world: Path, tmp_path: Path, fake: type[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(artifact: Any) -> Any:
        raise ValueError("no curve")

    monkeypatch.setattr(trackers, "curve_points", broken)
    study = small(world, tmp_path)
    with working_on(study.workspace, "tiny") as study.progress:
        assert len(study.run()) == 2
        assert any("ValueError: no curve" in notice for notice in study.progress.state.notices)


def test_unknown_or_missing_tools_are_refused_before_anything_runs(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="tensorboard"):
        trackers.tool_names(["tensorbord"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv(trackers.VARIABLE, "")
    assert call(monkeypatch, "run", world / "tiny.yaml", "--workspace", tmp_path, "--track", "mlflow") == 2
    assert "pip install mlflow" in capsys.readouterr().err
    assert not (tmp_path / "artifacts").exists()


def test_tensorboard_writes_files_that_hold_the_curve(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(finished)
    entry = next(entry for entry in workspace.index("tiny") if entry["kind"] == "fewshot")
    artifact = workspace.artifact(entry["id"])
    monkeypatch.setenv(trackers.VARIABLE, "tensorboard")
    trackers.trackers_of("tiny", tmp_path, pytest.fail).tell("fewshot/a/b/0", artifact, {"method": entry["method"]})
    expected = artifact.table("curves").groupby("step")["test_accuracy"].mean()
    read = pd.Series(_scalars(tmp_path / "tensorboard" / "tiny" / "fewshot" / "a" / "b" / "0", "test_accuracy"))
    assert read.to_dict() == pytest.approx(expected.to_dict(), abs=1e-6)


def _scalars(folder: Path, tag: str) -> dict[int, float]:
    """Values by step of the event files of a folder, which are records with their lengths in front."""
    from tensorboardX.proto.event_pb2 import Event

    values: dict[int, float] = {}
    for file in folder.glob("events.*"):
        content, place = file.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            for value in event.summary.value:
                if value.tag == tag:
                    values[event.step] = value.simple_value
            place += length + 16
    return values
