"""A machine without a card hands out cells for workers that have one: ids, devices and answers are the workers'."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import call

from metapt_explore.config import StudyConfig, load_study, to_yaml
from metapt_explore.config.machine import MachineConfig, SlurmConfig
from metapt_explore.engines.base import Job
from metapt_explore.engines.choose import hand_out
from metapt_explore.engines.device import compute_as_workers
from metapt_explore.engines.slurm import script_of
from metapt_explore.errors import UserError
from metapt_explore.models import device as devices
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

TESTS = Path(__file__).parents[1]
#: Runs a study on an engine whose workers have the stand-in device; this process has none. The last word is the number
#: format that the machine file says. A process of its own, since that device must be known before torch computes.
RUN = """
import json, sys
from contextlib import contextmanager
from unittest.mock import patch
from other_device import NAME, other_device
with other_device():
    pass
from metapt_explore.config import load_study
from metapt_explore.config.machine import MachineConfig
from metapt_explore.engines import device
from metapt_explore.engines.coordinator import Coordinator
from metapt_explore.models import device as models_device, load
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.cell_worker import CellWorker
from metapt_explore.study.study import Study
from metapt_explore.study.worker_file import read_batch
from metapt_explore.errors import UserError

resolve = models_device.resolve_device

def with_card(name):
    return NAME if name == "auto" else resolve(name)

@contextmanager
def at_a_worker():
    with other_device(), patch.object(models_device, "resolve_device", with_card):
        with patch.object(load, "resolve_device", with_card):
            yield

class Cards:
    name, slots, poll_s = "slurm", 2, 0.0
    def submit(self, jobs):
        for job in jobs:
            cells = read_batch(job.log.parent, job.batch)["cells"]
            with at_a_worker():
                try:
                    CellWorker(study.config, Workspace(job.workspace), job.batch).make(list(cells), cells)
                except UserError:
                    pass
        return [job.batch for job in jobs]
    def states(self, handles):
        return dict.fromkeys(handles, "gone")
    def cancel(self, handles, *, now=False):
        pass
    def end_of(self, handle):
        return ""
    def close(self):
        pass

device.is_here = lambda name: name == "cpu"
machine = MachineConfig.model_validate({"slurm": {"device": NAME, "dtype": sys.argv[3]}})
config = load_study(sys.argv[1])
model = config.model.model_copy(update={"device": "auto", "dtype": "auto"})
study = Study(config.model_copy(update={"model": model}), Workspace(sys.argv[2]))
device.compute_as_workers(study, "slurm", machine)
study.elsewhere = Coordinator(study, Cards(), machine)
try:
    study.run()
except UserError:
    pass
stages = [json.loads(file.read_text()) for file in study.workspace.folder.glob("artifacts/*/stage.json")]
done = [stage for stage in stages if stage["status"] == "done"]
print(json.dumps({
    "devices": sorted({str(stage["inputs"]["device"]) for stage in done if "device" in stage.get("inputs", {})}),
    "kinds": sorted({stage["kind"] for stage in done}),
    "loaded": study.model.loaded,
    "failed": [part.reason for part in study.failed],
}))
"""


def run(world: Path, tmp_path: Path, dtype: str) -> dict[str, Any]:
    words = [sys.executable, "-c", RUN, str(world / "tiny.yaml"), str(tmp_path / "workspace"), dtype]
    paths = {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    done = subprocess.run(words, env={**os.environ, **paths}, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_study_is_made_by_cards_that_this_machine_lacks(world: Path, tmp_path: Path) -> None:
    said = run(world, tmp_path, "float32")
    assert said["failed"] == [] and not said["loaded"]
    assert said["devices"] == ["other"]
    assert {"embeddings", "prompt", "fewshot"} <= set(said["kinds"])


def test_a_wrong_number_format_is_named_with_the_right_one(world: Path, tmp_path: Path) -> None:
    said = run(world, tmp_path, "bfloat16")
    assert said["failed"] and not said["loaded"]
    assert any("(here other, float32)" in reason and "machine file" in reason for reason in said["failed"])


def left_open(world: Path, **changes: str) -> StudyConfig:
    """The tiny study, with device and number format left to the machine but for some changes."""
    config = load_study(world / "tiny.yaml")
    model = config.model.model_copy(update={"device": "auto", "dtype": "auto", **changes})
    return config.model_copy(update={"model": model})


@pytest.mark.parametrize(
    ("of_study", "slurm", "device", "dtype"),
    [
        ({}, {}, "cuda", "bfloat16"),
        ({}, {"dtype": "float16"}, "cuda", "float16"),
        ({"dtype": "float32"}, {}, "cuda", "float32"),
        ({"device": "cuda:1"}, {"gpus": 0}, "cuda", "bfloat16"),
        ({}, {"gpus": 0, "options": {"gres": "gpu:a100:1"}}, "cuda", "bfloat16"),
        ({"device": "cpu", "dtype": "float32"}, {}, "cpu", "float32"),
        ({}, {"gpus": 0, "dtype": "bfloat16"}, "cpu", "bfloat16"),
    ],
)
def test_ids_are_those_of_the_workers(
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    of_study: dict[str, str],
    slurm: dict[str, Any],
    *,
    device: str,
    dtype: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    study = Study(left_open(world, **of_study), Workspace(tmp_path))
    compute_as_workers(study, "slurm", MachineConfig.model_validate({"slurm": slurm}))
    assert (study.model.identity["device"], study.model.identity["dtype"]) == (device, dtype)
    study.check_settings()  # does not ask this machine for the device
    if study.model.runs_elsewhere:
        with pytest.raises(UserError, match="not loaded here"):
            study.model.backbone  # noqa: B018


def test_nothing_changes_where_workers_are_like_this_machine(world: Path, tmp_path: Path) -> None:
    study, machine = Study(left_open(world), Workspace(tmp_path)), MachineConfig.model_validate({"ray": {"gpus": 0}})
    before = study.model.identity
    assert hand_out(study, "local:2", machine) is not None
    compute_as_workers(study, "ray", machine)
    assert study.model.identity == before
    if devices.resolve_device("auto") == "cpu":
        assert not study.model.runs_elsewhere


@pytest.mark.parametrize(
    ("settings", "hides"), [({"gpus": 0}, True), ({"gpus": 1}, False), ({"gpus": 0, "device": "cuda"}, False)]
)
def test_jobs_without_cards_see_none(settings: dict[str, Any], *, hides: bool) -> None:
    script = script_of([Job("one", Path("w"), "00001", Path("w/00001.log"))], SlurmConfig.model_validate(settings))
    assert ("export CUDA_VISIBLE_DEVICES=" in script.splitlines()) == hides


def test_cells_are_listed_as_the_machine_file_says(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    file, study = tmp_path / "machine.yaml", tmp_path / "study.yaml"
    study.write_text(to_yaml(left_open(world)), encoding="utf-8")
    monkeypatch.setenv("METAPT_MACHINE", str(file))
    found = []
    for tree in ({"on": "here"}, {"on": "slurm"}, {"on": "here"}):
        file.write_text(yaml.safe_dump(tree), encoding="utf-8")
        options = ["--on", "slurm"] if len(found) == 2 else []
        words = ["cells", study, "--json", "--workspace", tmp_path, *options]
        assert call(monkeypatch, *words) == 0
        found.append({cell["key"]: cell["id"] for cell in json.loads(capsys.readouterr().out)["cells"]})
    here, on_cards, asked = found
    assert on_cards == asked
    assert here["split/mood"] == asked["split/mood"]
    assert here["embeddings"] != asked["embeddings"]
