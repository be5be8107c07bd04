"""Workers and the coordinator are killed at random: nothing is lost, and nothing is computed twice."""

from __future__ import annotations

import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import forked
import pytest
from answers import assert_whole
from forked_engine import Serial, said, start
from in_processes import computed_twice
from soak import examples
from tally import tried
from waiting import LIMIT, LOOK_EVERY

from metapt_explore.jobs.state import job_state
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.worker_file import cells_folder, open_batches, read_worker

pytestmark = pytest.mark.skipif(not forked.CAN_FORK, reason=forked.WHY_NOT)


def workers(workspace: Workspace) -> list[int]:
    """Processes that make cells now."""
    folder = cells_folder(workspace, "tiny")
    said = [read_worker(folder, batch) for batch in open_batches(workspace, "tiny")]
    return [record["process"]["pid"] for record in said if record.get("state") == "running"]


def test_killed_at_random_it_ends_as_the_serial_run(serial: Serial, tmp_path: Path) -> None:
    """A worker or the coordinator dies, then the next; `METAPT_SOAK=5` kills twenty."""
    draw, workspace = random.Random(27), Workspace(tmp_path / "workspace")
    wanted, story = examples(4), list[str]()
    while len(story) < wanted:
        run = start(serial.file, workspace.folder, serial.home)
        _kill(run, workspace, draw, story, wanted)
        run.join(LIMIT)
        # A cell over which three workers died is a failed part of that run; the next tries it again.
        assert run.exitcode in (-9, 0, 1), (story, run.exitcode, said(workspace.folder))
        if run.exitcode == 0 and len(story) < wanted:
            assert_whole(workspace, "tiny", serial.answers, story)
            assert computed_twice(workspace) == [], story
            workspace = Workspace(tmp_path / f"workspace-{len(story)}")
    for _ in range(3):
        run = start(serial.file, workspace.folder, serial.home)
        run.join(LIMIT)
        if run.exitcode == 0:
            break
    assert run.exitcode == 0, (story, job_state(workspace, "tiny"), said(workspace.folder))
    assert_whole(workspace, "tiny", serial.answers, story)
    assert computed_twice(workspace) == [], story
    assert open_batches(workspace, "tiny") == {}
    assert set(story) == {"worker", "coordinator"}
    for who in set(story):
        tried(f"kills on an engine, of a {who}", story.count(who))


def _next(draw: random.Random, story: list[str], wanted: int) -> str:
    """Who is killed next; whoever has not been yet at the last."""
    if len(story) == wanted - 1 and len(set(story)) == 1:
        return "worker" if "coordinator" in story else "coordinator"
    return "coordinator" if draw.random() < 0.35 else "worker"


def _kill(run: BaseProcess, workspace: Workspace, draw: random.Random, story: list[str], wanted: int) -> None:
    """Kills workers at random moments until the coordinator has been killed, too, or the run has ended."""
    import os
    import signal

    end = time.monotonic() + LIMIT
    while len(story) < wanted and run.is_alive() and time.monotonic() < end:
        begun = time.monotonic() + draw.uniform(0.0, 2.0)
        while run.is_alive() and time.monotonic() < begun:
            time.sleep(LOOK_EVERY)
        alive = workers(workspace)
        if _next(draw, story, wanted) == "coordinator":
            run.kill()
            run.join(LIMIT)
            if run.exitcode == -9:
                story.append("coordinator")
            return
        if alive:
            try:
                os.kill(draw.choice(alive), signal.SIGKILL)
            except ProcessLookupError:
                continue
            story.append("worker")
