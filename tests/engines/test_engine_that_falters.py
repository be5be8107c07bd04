"""A scheduler that queues again, refuses, or does not answer: no job is killed for it, forgotten, or run twice."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metapt_explore.config.machine import MachineConfig, SlurmConfig
from metapt_explore.engines import coordinator as coordinator_module
from metapt_explore.engines import live as live_module
from metapt_explore.engines import patience as patience_module
from metapt_explore.engines import slurm as slurm_module
from metapt_explore.engines.base import Job, JobState, SubmitFailed
from metapt_explore.engines.coordinator import Coordinator
from metapt_explore.engines.live import LiveBatches
from metapt_explore.engines.slurm import SlurmEngine
from metapt_explore.errors import UserError
from metapt_explore.storage.files import write_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.cells import stages_of
from metapt_explore.study.study import Study
from metapt_explore.study.worker_file import (
    batch_file,
    cells_folder,
    open_batches,
    worker_file,
)

KEY, ID = "prompt/PT/0", "prompt-1"


class Clock:
    """A clock that a test sets; sleeping lets its time go by."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.01)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (live_module, coordinator_module, patience_module):
        monkeypatch.setattr(module, "time", clock)
    return clock


class Scripted:
    """An engine that says what a test lets it say.

    Args:
        state: How all jobs stand.
    """

    name, slots, poll_s, trouble = "slurm", 2, 3.0, "no contact"

    def __init__(self, state: JobState = "running") -> None:
        self.state = state
        self.looks = 0
        self.killed: list[str] = []
        self.refusals: list[SubmitFailed] = []
        self.submitted: list[Job] = []
        self.at_look: Callable[[], None] = lambda: None

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        if self.refusals:
            raise self.refusals.pop(0)
        self.submitted += jobs
        return [f"7_{job.batch}" for job in jobs]

    def states(self, handles: Sequence[str]) -> dict[str, JobState]:
        self.looks += 1
        self.at_look()
        return dict.fromkeys(handles, self.state)

    def cancel(self, handles: Sequence[str], *, now: bool = False) -> None:
        self.killed += list(handles) * now

    def end_of(self, handle: str) -> str:
        return ""

    def close(self) -> None:
        pass


def begin(workspace: Workspace, **said: Any) -> Path:
    """A batch that an engine has, and what its worker has said."""
    folder = cells_folder(workspace, "tiny")
    folder.mkdir(parents=True, exist_ok=True)
    record = {"id": "00001", "cells": {KEY: ID}, "engine": "slurm", "handle": "7_0"}
    write_json(batch_file(folder, "00001"), record)
    if said:
        write_json(worker_file(folder, "00001"), {"updated": time.time(), "current": KEY, **said})
    return folder


def live_batches(workspace: Workspace, engine: Any, lost_s: float = 600.0) -> LiveBatches:
    study: Any = SimpleNamespace(workspace=workspace, config=SimpleNamespace(name="tiny"))
    live = LiveBatches(study, engine, lost_s=lost_s)
    live.adopt({KEY: ID})
    return live


@pytest.mark.parametrize("state", ["stopped", "running"])
def test_a_job_that_waited_again_is_not_silent(tmp_path: Path, clock: Clock, state: str) -> None:
    """Preempted and queued again, suspended, or its node failed: it may wait for hours, and then begins anew."""
    engine = Scripted()
    begin(Workspace(tmp_path), state=state, beat=57)
    live = live_batches(Workspace(tmp_path), engine)
    for now in ("running", "waiting", "running"):
        engine.state = now  # type: ignore[assignment]
        for _ in range(60 if now == "waiting" else 2):
            assert list(live.ended()) == []
            clock.now += 30
    assert engine.killed == []
    clock.now += 700
    list(live.ended())
    assert engine.killed == ["7_0"], "one that says nothing while it runs is lost"
    list(live.ended())
    assert engine.killed == ["7_0"], "and is not killed at each look"


def test_an_engine_that_does_not_answer_kills_and_ends_nothing(tmp_path: Path, clock: Clock) -> None:
    """What a worker says of its own end counts all the same."""
    engine = Scripted("unknown")
    folder = begin(Workspace(tmp_path), state="running", beat=57)
    live = live_batches(Workspace(tmp_path), engine)
    for _ in range(3):
        assert list(live.ended()) == []
        clock.now += 700
    assert engine.killed == []
    assert live.unanswered_s == 2100 - 700
    write_json(worker_file(folder, "00001"), {"state": "ended", "beat": 60, "made": [KEY]})
    ((batch, _, said, _),) = live.ended()
    assert (batch, said["made"]) == ("00001", [KEY])
    engine.state = "waiting"
    list(live.ended())
    assert live.unanswered_s == 0.0


def test_stopping_asks_a_scheduler_as_seldom_as_ever(tmp_path: Path, clock: Clock) -> None:
    engine = Scripted()
    begin(Workspace(tmp_path), state="running", beat=57)
    live = live_batches(Workspace(tmp_path), engine)
    before = engine.looks
    live.stop()
    assert engine.killed == ["7_0"]
    assert engine.looks - before <= live_module.STOP_GRACE_S / engine.poll_s + 2


def test_adopting_asks_a_scheduler_once(tmp_path: Path) -> None:
    engine = Scripted()
    folder = begin(Workspace(tmp_path))
    for batch in ("00002", "00003"):
        write_json(batch_file(folder, batch), {"id": batch, "cells": {}, "engine": "slurm", "handle": f"7_{batch}"})
    live_batches(Workspace(tmp_path), engine)
    assert engine.looks == 1


# ------------------------------------------------------------------------------------ a run over such an engine


def coordinate(world: Path, folder: Path, engine: Scripted) -> tuple[Study, Coordinator]:
    study = Study(world / "tiny.yaml", Workspace(folder))
    return study, Coordinator(study, engine, MachineConfig.model_validate({}))


def fails(engine: Scripted, workspace: Workspace) -> None:
    """Each job fails at its cells as soon as it is looked at, so that a run ends."""

    def at_look() -> None:
        folder = cells_folder(workspace, "tiny")
        for batch, record in open_batches(workspace, "tiny").items():
            failed = [{"key": key, "title": key, "reason": "it fails"} for key in record["cells"]]
            write_json(worker_file(folder, batch), {"state": "ended", "beat": 1, "failed": failed})
        engine.state = "gone"

    engine.at_look = at_look


def test_a_busy_scheduler_is_asked_again(world: Path, tmp_path: Path, clock: Clock) -> None:
    engine = Scripted()
    engine.refusals = [SubmitFailed("SLURM refuses the job: Socket timed out", passing=True)] * 3
    study, coordinator = coordinate(world, tmp_path, engine)
    fails(engine, study.workspace)
    coordinator.make(stages_of(study, ["embeddings"]))
    assert len(engine.submitted) == 1 and engine.refusals == []
    assert any("Socket timed out" in notice for notice in study.progress.state.notices)
    assert open_batches(study.workspace, "tiny") == {}


def test_a_final_refusal_ends_a_run_that_has_no_workers(world: Path, tmp_path: Path, clock: Clock) -> None:
    engine = Scripted()
    engine.refusals = [SubmitFailed("SLURM refuses the job: invalid partition", passing=False)]
    study, coordinator = coordinate(world, tmp_path, engine)
    began = clock.now
    with pytest.raises(UserError, match="invalid partition"):
        coordinator.make(stages_of(study, ["embeddings"]))
    assert clock.now - began < 10
    assert open_batches(study.workspace, "tiny") == {}


def test_a_scheduler_that_refuses_for_long_ends_the_run(world: Path, tmp_path: Path, clock: Clock) -> None:
    engine = Scripted()
    engine.refusals = [SubmitFailed("SLURM refuses the job: Socket timed out", passing=True)] * 1000
    study, coordinator = coordinate(world, tmp_path, engine)
    with pytest.raises(UserError, match="Socket timed out"):
        coordinator.make(stages_of(study, ["embeddings"]))
    assert 900 < len(engine.refusals) < 990, "it was asked now and then, not all the time"


def test_no_refusal_stops_workers_that_are_at_work(world: Path, tmp_path: Path, clock: Clock) -> None:
    """Some other job of the run was taken: a limit of the user, an account that ran out, a partition that is down."""
    engine = Scripted()
    study, coordinator = coordinate(world, tmp_path, engine)
    stages = stages_of(study, ["embeddings"])
    folder = begin(study.workspace, state="running", beat=1)
    write_json(batch_file(folder, "00001"), {**open_batches(study.workspace, "tiny")["00001"], "cells": {}})
    engine.refusals = [SubmitFailed("SLURM refuses the job: account", passing=False)] * 5

    def goes_on() -> None:
        write_json(worker_file(folder, "00001"), {"state": "running", "beat": engine.looks})
        if not engine.refusals:
            fails(engine, study.workspace)

    engine.at_look = goes_on
    coordinator.make(stages)
    assert engine.killed == []
    assert len(engine.submitted) == 1


def test_a_scheduler_that_is_gone_is_named_and_ends_the_run(world: Path, tmp_path: Path, clock: Clock) -> None:
    """Said after a minute; given up after `lost_minutes`, but not while workers show that they live."""
    engine = Scripted("unknown")
    study, coordinator = coordinate(world, tmp_path, engine)
    folder = cells_folder(study.workspace, "tiny")
    said: list[float] = []

    def beats() -> None:
        if study.progress.state.notices:
            said.append(clock.now)
        beat = min(engine.looks, 400)  # 20 minutes
        for batch in open_batches(study.workspace, "tiny"):
            write_json(worker_file(folder, batch), {"state": "running", "beat": beat})

    engine.at_look = beats
    began = clock.now
    with pytest.raises(UserError, match=r"slurm has not answered for .*no contact"):
        coordinator.make(stages_of(study, ["embeddings"]))
    assert 60 <= said[0] - began < 90
    assert 1200 + 600 <= clock.now - began < 1200 + 600 + 120


# ------------------------------------------------------------------------------------------- SLURM's commands


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What SLURM's commands answer: code, output and errors, by name."""
    answers: dict[str, Any] = {"asked": []}

    def run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        answers["asked"].append(list(words))
        code, out, err = answers.get(words[0], (0, "", ""))
        return subprocess.CompletedProcess(list(words), code, out, err)

    monkeypatch.setattr(slurm_module, "_run", run)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    return answers


def job(folder: Path, batch: str = "00001") -> Job:
    return Job("tiny", folder, batch, folder / f"{batch}.log")


@pytest.mark.parametrize(
    ("said", "passing"),
    [
        ("slurm_load_jobs error: Unable to contact slurm controller (connect failure)", True),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", True),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", True),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", True),
        ("sbatch: error: invalid partition specified: moon", False),
        ("sbatch: error: Requested time limit is invalid (missing or exceeds some limit)", False),
    ],
)
def test_which_refusals_pass(tmp_path: Path, commands: dict[str, Any], said: str, *, passing: bool) -> None:
    commands["sbatch"] = (1, "", said)
    with pytest.raises(SubmitFailed) as caught:
        SlurmEngine(SlurmConfig.model_validate({})).submit([job(tmp_path)])
    assert caught.value.passing is passing


def test_a_job_that_was_queued_although_sbatch_failed_is_found(tmp_path: Path, commands: dict[str, Any]) -> None:
    commands["sbatch"] = (1, "", "Socket timed out on send/recv operation")
    commands["squeue"] = (0, f"6_0|/elsewhere/00001.sbatch\n7_0|{tmp_path}/00001.sbatch\n", "")
    engine = SlurmEngine(SlurmConfig.model_validate({}))
    assert engine.submit([job(tmp_path), job(tmp_path, "00002")]) == ["7_0", "7_1"]


def test_slurm_that_does_not_answer_is_no_state_of_a_job(commands: dict[str, Any]) -> None:
    engine = SlurmEngine(SlurmConfig.model_validate({}))
    commands["squeue"] = (1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    assert engine.states(["7_0"]) == {"7_0": "unknown"}
    assert "Unable to contact" in engine.trouble
    commands["squeue"] = (0, "7_0 RUNNING\n", "")
    assert engine.states(["7_0", "7_1"]) == {"7_0": "running", "7_1": "gone"}
    commands["squeue"] = (1, "", "slurm_load_jobs error: Invalid job id specified")
    assert engine.states(["7_0"]) == {"7_0": "gone"}
