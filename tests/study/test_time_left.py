"""Percent and time left are of what was asked for, from the first minute on; a machine is measured once."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny

from metapt_explore.config import StudyConfig, parse
from metapt_explore.cost import calibrate, speeds
from metapt_explore.cost.count import Speed
from metapt_explore.cost.speeds import KeptSpeeds, rough_seconds_a_token
from metapt_explore.progress.state import TRUST, Progress, State
from metapt_explore.storage.files import read_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import preview as preview_module
from metapt_explore.study.job_file import read_job, working_on, write_job
from metapt_explore.study.study import Study

SPEED = Speed(0.1, 0.1, 0.0, 0.01, 0.001, 2.0, 100.0, measured_at=5.0)


def config_of(world: Path, **changes: Any) -> StudyConfig:
    return parse(StudyConfig, tiny.study_tree(world, **changes), "test")


def watched(source: Any, workspace: Path, until: str) -> list[State]:
    """The states that a run goes through."""
    states: list[State] = []
    with working_on(Workspace(workspace), "tiny", lambda s: states.append(State(**s.as_dict())), until=until) as p:
        Study(source, workspace, p).run(until=until)
    return states


@pytest.mark.parametrize("until", ["agreement", "plan", "prompts"])
def test_percent_is_of_what_was_asked(world: Path, tmp_path: Path, until: str) -> None:
    states = watched(world / "tiny.yaml", tmp_path, until)
    assert states[-1].fraction == pytest.approx(1.0)
    assert all(before.fraction <= after.fraction + 1e-9 for before, after in pairwise(states))
    last = [state for state in states if state.stage == states[-1].stage]
    assert last[0].fraction < 0.95, "what is asked for comes last and has its share of the bar"


def test_a_machine_is_measured_once_and_time_is_left_from_the_beginning(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview_module, "WORTH_TOKENS", 0)
    measured: list[int] = []
    real = calibrate.calibrate
    monkeypatch.setattr(
        calibrate, "calibrate", lambda *args, **more: measured.append(more["text_tokens"]) or real(*args, **more)
    )
    states = watched(world / "tiny.yaml", tmp_path, "prompts")
    assert len(measured) == 1
    begun = next(state for state in states if state.stage)
    assert begun.seconds_left is not None and begun.fraction < 0.5, "a rough time, before anything was measured"
    assert not (tmp_path / "studies" / "tiny" / "cost.json").exists(), "prompts alone are not what the study costs"
    watched(world / "tiny.yaml", tmp_path, "all")
    assert len(measured) == 1, "it goes on with the measurement of before"
    watched(world / "tiny.yaml", tmp_path, "plan")
    longer = config_of(world, prompt={"length": 4})
    watched(longer, tmp_path, "prompts")
    assert len(measured) == 3, "the cost is asked for; another prompt length"


def test_measurements_are_of_one_model_with_one_set_of_settings(tmp_path: Path) -> None:
    kept = KeptSpeeds(tmp_path, {"model": "a", "dtype": "float32"})
    assert kept.find({"rows": 1}) is None and kept.latest() is None
    kept.keep({"rows": 1}, SPEED)
    kept.keep({"rows": 2}, Speed(0.2, 0.2, 0.0, 0.01, 0.001, 2.0, 100.0, measured_at=9.0))
    assert kept.find({"rows": 1}) == SPEED and kept.find({"rows": 3}) is None
    assert (kept.latest() or SPEED).trained == 0.2
    assert KeptSpeeds(tmp_path, {"model": "a", "dtype": "bfloat16"}).latest() is None
    for text in ("{", "[]", '{"trained": 1}', '{"trained": "fast"}'):
        next((tmp_path / "speeds").glob("*.json")).write_text(text, encoding="utf-8")
        kept.latest()  # a damaged file is no measurement


def test_a_rough_speed_goes_by_the_size_of_the_model(world: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(speeds, "_operations_a_second", lambda device, dtype: 1e9)
    monkeypatch.setattr(
        speeds, "_header", lambda file: {"a": ("F32", (1000, 50)), "b": ("F32", (50,)), "embed": ("F32", (9,))}
    )
    assert rough_seconds_a_token(world / "lm", "cpu", "float32") == pytest.approx(2 * 50_050 / 0.5e9)
    assert rough_seconds_a_token(tmp_path, "cpu", "float32") is None


def test_the_planned_time_is_corrected_by_what_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("metapt_explore.progress.state.time.monotonic", lambda: now[0])
    progress = Progress()
    progress.plan({"prompt/a": 100.0, "fewshot/b": 100.0}, seconds_for_work=1.0)
    assert progress.state.seconds_left == pytest.approx(200)
    progress.begin("prompt/a", "a", 10)
    progress.advance(0)
    now[0] += 30  # texts are encoded; no unit is finished
    progress.notice("slow")
    assert progress.state.seconds_left == pytest.approx(200)
    progress.advance(1)
    # 10 units took 30 s; 6 more count as planned.
    trusted = TRUST * 200
    assert progress.state.seconds_left == pytest.approx(190 * (30 + trusted) / (10 + trusted))


def test_a_run_that_goes_on_begins_where_it_stopped(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    stopped = {"status": "cancelled", "until": "all", "init_seeds": None, "fraction": 0.4}

    def shown(until: str) -> list[float]:
        workspace.study_folder("tiny").mkdir(parents=True, exist_ok=True)
        write_job(workspace, "tiny", stopped)  # type: ignore[arg-type]
        with working_on(workspace, "tiny", until=until) as progress:
            progress.plan({"a": 50.0, "b": 50.0})
            before = progress.state.fraction
            progress.found(["a"])
            return [before, progress.state.fraction]

    assert shown("all") == [0.4, 0.5] and shown("prompts") == [0.0, 0.5]
    assert read_job(workspace, "tiny")["status"] == "done" and read_json(tmp_path / "none.json") is None
