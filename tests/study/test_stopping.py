"""A study that is killed, cancelled or shared between processes goes on; the time left is reckoned by the work."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.jobs.queue import cancel
from metapt_explore.jobs.state import job_state
from metapt_explore.progress.state import Progress
from metapt_explore.results.tables import COLUMNS
from metapt_explore.storage.files import read_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import working_on
from metapt_explore.study.study import Study

SCORES = [column for column in COLUMNS if column not in ("study", "seconds", "pretraining_seconds", "artifact")]


def config_of(world: Path, **changes: Any) -> StudyConfig:
    return parse(StudyConfig, tiny.study_tree(world, **changes), "test")


KILLED = """
import os, signal
from metapt_explore.cli.main import main
from metapt_explore.progress.state import Progress
advance = Progress.advance
def advance_until(self, done):
    advance(self, done)
    if self.state.stage.startswith("prompt") and done >= 5:
        os.kill(os.getpid(), signal.SIGKILL)
Progress.advance = advance_until
main()
"""


def test_killed_and_run_again_gives_the_same_scores(world: Path, finished: Path, tmp_path: Path) -> None:
    """`kill -9` in the middle of pre-training; the next run resumes from the checkpoint."""
    changes = {"pretraining": {"steps": 60}, "methods": [{"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}]}
    config = config_of(world, **changes)
    straight = Study(config, tmp_path / "straight").run()

    file = tmp_path / "study.yaml"
    from metapt_explore.config import to_yaml

    file.write_text(to_yaml(config), encoding="utf-8")
    workspace = Workspace(tmp_path / "killed")
    command = [sys.executable, "-c", KILLED, "run", str(file), "--workspace", str(workspace.folder)]
    killed = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    assert killed.returncode == -signal.SIGKILL
    checkpoint = next(workspace.folder.glob("artifacts/prompt-*/checkpoint/state.safetensors"))
    assert job_state(workspace, "tiny")["status"] == "stopped"

    prompt_folder = checkpoint.parents[1]
    assert read_json(prompt_folder / "stage.json")["status"] == "running"
    before = read_json(prompt_folder / "stage.json")["seconds"]
    steps: list[int] = []
    progress = Progress(lambda state: steps.append(state.done) if state.stage.startswith("prompt") else None)
    resumed = Study(file, workspace, progress).run()
    assert before >= 0 and min(step for step in steps if step > 0) >= 4, "it began again instead of going on"
    pd.testing.assert_frame_equal(straight[SCORES], resumed[SCORES], check_exact=True)
    steps = workspace.artifact(prompt_folder.name).metrics["step"]
    assert sorted(set(steps)) == list(range(60)) and len(steps) == 60 * 2


def test_cancel_stops_at_a_step_and_keeps_what_is_there(world: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    config = config_of(world)
    seen: list[str] = []

    def listener(state: Any) -> None:
        seen.append(state.stage)
        if state.stage.startswith("prompt of PPT"):
            cancel(workspace, "tiny")

    with pytest.raises(Cancelled), working_on(workspace, "tiny", listener) as progress:
        Study(config, workspace, progress).run()
    assert job_state(workspace, "tiny")["status"] == "cancelled"
    assert [e["kind"] for e in workspace.index("tiny") if workspace.artifact(e["id"]).status == "cancelled"] == [
        "prompt"
    ]
    with working_on(workspace, "tiny") as progress:
        assert len(Study(config, workspace, progress).run()) == 12
    assert job_state(workspace, "tiny")["status"] == "done"
    assert job_state(workspace, "tiny")["fraction"] == pytest.approx(1.0)


def test_a_changed_study_shows_at_once_what_is_finished(world: Path, tmp_path: Path) -> None:
    """Its list begins anew; scores of the methods that stayed are in it before anything is computed."""
    workspace = Workspace(tmp_path)
    pt, ppt = {"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}
    Study(config_of(world, methods=[pt, ppt]), workspace).run()
    changed = config_of(world, methods=[{"name": "PPT fast", "kind": "ppt", "outer_lr": 0.07}, ppt])

    def listener(state: Any) -> None:
        if state.stage.startswith("prompt of PPT fast"):
            cancel(workspace, "tiny")

    with pytest.raises(Cancelled), working_on(workspace, "tiny", listener) as progress:
        Study(changed, workspace, progress).run()
    scores = [entry for entry in workspace.current_index("tiny") if entry["kind"] == "fewshot"]
    assert len(scores) == 2 and {entry["method"] for entry in scores} == {"PPT"}


def test_two_processes_do_not_run_one_study(world: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with (
        working_on(workspace, "tiny"),
        pytest.raises(UserError, match="Another process is already running"),
        working_on(Workspace(tmp_path), "tiny"),
    ):
        pass


def test_a_failed_stage_keeps_what_was_computed(world: Path, tmp_path: Path) -> None:
    """The error is in the artifact and the job; earlier artifacts are used again after it is repaired."""
    config = config_of(world, auxiliary_tasks={"min_size": 10_000})
    workspace = Workspace(tmp_path)
    with working_on(workspace, "tiny") as progress:
        Study(config, workspace, progress).run()
    assert "min_size" in job_state(workspace, "tiny")["error"]
    done = {e["id"] for e in workspace.index("tiny") if workspace.artifact(e["id"]).status == "done"}
    Study(config_of(world), workspace).run()
    assert done <= {e["id"] for e in workspace.index("tiny")}


def test_time_left_goes_by_the_language_models_own_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("metapt_explore.progress.state.time.monotonic", lambda: now[0])
    progress = Progress()
    progress.plan({"texts": 10.0, "prompt/a": 30.0, "fewshot/b": 60.0})
    progress.begin("texts", "texts", 1, with_model=False)
    now[0] += 50
    progress.finish("texts")
    assert progress.state.fraction == pytest.approx(0.1)
    assert progress.state.seconds_left is None, "slow texts say nothing of the language model"
    progress.begin("prompt/a", "a", 3)
    progress.advance(0)
    now[0] += 20
    progress.advance(2)
    # 20 units of work took 20 s; 10 and 60 are left.
    assert progress.state.fraction == pytest.approx(0.3)
    assert progress.state.seconds_left == pytest.approx(70)
    now[0] += 10
    progress.finish("prompt/a")
    progress.finish("fewshot/b")  # Found, not computed.
    assert progress.state.seconds_left == pytest.approx(0)


def test_what_an_earlier_attempt_did_took_none_of_these_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("metapt_explore.progress.state.time.monotonic", lambda: now[0])
    progress = Progress()
    progress.plan({"prompt/a": 60.0, "fewshot/b": 60.0})
    progress.begin("prompt/a", "a", 6)
    progress.advance(4)  # a checkpoint
    now[0] += 20
    progress.advance(5)
    # 10 units of work took 20 s; 10 and 60 are left.
    assert progress.state.fraction == pytest.approx(50 / 120)
    assert progress.state.seconds_left == pytest.approx(140)
    now[0] += 20
    progress.finish("prompt/a")
    assert progress.state.seconds_left == pytest.approx(120)


def test_time_left_goes_by_the_last_part_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("metapt_explore.progress.state.time.monotonic", lambda: now[0])
    progress = Progress()
    progress.plan({f"fewshot/{n}": 10.0 for n in range(10)})
    for n, seconds in enumerate((1000.0, 10.0, 10.0)):
        progress.begin(f"fewshot/{n}", "", 1)
        now[0] += seconds
        progress.finish(f"fewshot/{n}")
    # A tenth of the work halves what was before: (1000 / 4 + 10 / 2 + 10) seconds for (10 / 4 + 10 / 2 + 10) units.
    assert progress.state.seconds_left == pytest.approx(70 * 265 / 17.5)
