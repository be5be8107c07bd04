"""Ray itself, on this machine: a run that is killed or cancelled leaves checkpoints and no process, and goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil
from forked_engine import Serial
from in_processes import HELD_AT, steps_of_prompts
from real_run import PROMPTS, WITHOUT_RAY, RealRun
from waiting import wait

from metapt_explore.jobs.queue import cancel
from metapt_explore.jobs.state import job_state
from metapt_explore.storage.checkpoint import read_checkpoint
from metapt_explore.storage.files import read_json
from metapt_explore.study.worker_file import open_batches

pytestmark = WITHOUT_RAY


def test_killed_coordinator(serial: Serial, tmp_path: Path) -> None:
    """Nobody tells the workers: they and Ray see that the run is gone."""
    with RealRun(serial, tmp_path, "ray", os.environ) as run:
        _stop(run, run.kill)
        assert _states(run.folder) == {"stopped"}, "the next run finds how they ended"
        _go_on(run)


def test_cancelled_run(serial: Serial, tmp_path: Path) -> None:
    with RealRun(serial, tmp_path, "ray", os.environ) as run:

        def cancelled() -> None:
            cancel(run.workspace, "tiny")
            assert run.wait_for_end() == 130, run.told()

        _stop(run, cancelled)
        assert job_state(run.workspace, "tiny")["status"] == "cancelled"
        assert open_batches(run.workspace, "tiny") == {}
        assert "stopped" in _states(run.ended)
        _go_on(run)


def _stop(run: RealRun, stop: Callable[[], None]) -> None:
    """Ends a run while both prompts stand in their middle: all its processes end, and each prompt has a checkpoint."""
    run.start_held()
    assert run.process is not None
    begun = psutil.Process(run.process.pid).children(recursive=True)
    assert {"raylet", "gcs_server"} <= {process.name() for process in begun}
    assert set(run.workers().values()) <= set(begun), "what Ray started is looked at below"
    folders = {
        key: run.workspace.artifact(record["cells"][key]).folder
        for record in open_batches(run.workspace, "tiny").values()
        for key in PROMPTS
        if key in record["cells"]
    }
    assert set(folders) == set(PROMPTS)
    stop()
    wait(lambda: not _alive(begun), lambda: f"{_alive(begun)} {run.told()}")
    for key, folder in folders.items():
        checkpoint = read_checkpoint(folder)
        assert checkpoint is not None and checkpoint[1]["step"] == HELD_AT, (key, run.told())


def _go_on(run: RealRun) -> None:
    """The same command ends the study, from the checkpoints on, as one process would have."""
    before = steps_of_prompts(run.workspace.folder.parent)
    run.let_go()
    run.start()
    assert run.wait_for_end() == 0, run.told()
    run.assert_as_serial()
    again = steps_of_prompts(run.workspace.folder.parent)[len(before) :]
    assert again and min(again) >= HELD_AT, "no step is computed twice"


def _alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; nobody may have asked for the exit code of some that have."""
    return [one for one in processes if one.is_running() and _status(one) not in (psutil.STATUS_ZOMBIE, "")]


def _status(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.NoSuchProcess:
        return ""


def _states(folder: Path) -> set[str]:
    return {read_json(file)["state"] for file in folder.glob("*.worker.json")}
