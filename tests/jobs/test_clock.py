"""A clock that is set back meanwhile: no duration is negative, nothing waits for the old time to come again."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import pytest

from metapt_explore.config import StudyConfig, load_study
from metapt_explore.jobs import queue
from metapt_explore.jobs import state as jobs
from metapt_explore.storage.artifact import Question
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.making import making
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import job_file

PACKAGE = Path(jobs.__file__).parents[1]
HOUR = 3600.0


class BackwardClock:
    """A time of day that is an hour earlier at each look."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        self.now -= HOUR
        return self.now


@pytest.fixture
def backward(monkeypatch: pytest.MonkeyPatch) -> BackwardClock:
    clock = BackwardClock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
def study(world: Path) -> StudyConfig:
    return load_study(world / "tiny.yaml")


def test_an_artifact_takes_no_less_than_no_time(tmp_path: Path, backward: BackwardClock) -> None:
    stage = Question(kind="texts", title="texts", version=1, config={})
    with making(tmp_path / "artifact", stage, {}) as writer:
        assert 0 <= writer.seconds < HOUR
    assert 0 <= read_json(tmp_path / "artifact" / "stage.json")["seconds"] < HOUR


def test_a_job_goes_on_to_say_how_far_it_is(
    tmp_path: Path, study: StudyConfig, backward: BackwardClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_file, "WRITE_EVERY_S", 0.0)
    workspace = Workspace(tmp_path)
    workspace.save_study(study)
    with job_file.working_on(workspace, study.name) as progress:
        progress.begin("prompt", "a prompt", 10)
        for done in range(1, 10):
            progress.advance(done)
            assert read_json(workspace.study_folder(study.name) / "job.json")["done"] == done


@pytest.mark.parametrize("since", [-2 * HOUR, -HOUR, HOUR])
def test_what_was_written_under_another_clock_is_not_believed(tmp_path: Path, study: StudyConfig, since: float) -> None:
    workspace = Workspace(tmp_path)
    workspace.save_study(study)
    write_json(workspace.study_folder(study.name) / "job.json", {"status": "starting", "began": time.time() - since})
    assert jobs.own_state(workspace, study.name)["status"] == "stopped"
    write_json(queue.worker_file(workspace, 0, "json"), {"began": time.time() - since})
    assert not queue.worker_alive(workspace, 0)


@pytest.mark.parametrize("since", [-5.0, 0.0, 5.0])
def test_what_was_written_a_moment_ago_is(tmp_path: Path, study: StudyConfig, since: float) -> None:
    workspace = Workspace(tmp_path)
    workspace.save_study(study)
    write_json(workspace.study_folder(study.name) / "job.json", {"status": "starting", "began": time.time() - since})
    assert jobs.own_state(workspace, study.name)["status"] == "starting"


def test_the_queue_keeps_its_order(
    tmp_path: Path, study: StudyConfig, backward: BackwardClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAPT_WORKERS", "0")
    workspace = Workspace(tmp_path)
    names = ["third", "first", "second"]
    for name in names:
        queue.enqueue(workspace, study.model_copy(update={"name": name}))
    assert [name for name, _ in queue.requests(workspace)] == names


def test_no_duration_is_a_difference_of_times_of_day() -> None:
    """Within a process durations are of `time.monotonic`; ages of what other processes wrote are of `is_recent`.

    `remembered` asks the same of a file's time; where the clock was set back it only remembers nothing.
    """
    allowed = {
        "dashboard/parts/loss_curves.py: _numbers",
        "storage/files.py: is_recent",
        "storage/files.py: remembered",
    }
    # As `remembered`; and a share of a progress bar, never below zero.
    allowed |= {"jobs/study_list.py: _settled", "clusters/other_process.py: _share"}
    found = set()
    for file in sorted(PACKAGE.rglob("*.py")):
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                differences = [n for n in ast.walk(function) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Sub)]
                if any("time.time()" in ast.unparse(side) for n in differences for side in (n.left, n.right)):
                    found.add(f"{file.relative_to(PACKAGE).as_posix()}: {function.name}")
    assert found <= allowed
