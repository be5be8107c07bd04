"""Many studies asked for at once, while workers are killed: in order, each computed once, none lost."""

from __future__ import annotations

import json
import os
import random
from multiprocessing.process import BaseProcess
from pathlib import Path

import forked
import pytest
from tally import tried
from waiting import LIMIT, wait

from metapt_explore.jobs import queue
from metapt_explore.storage.workspace import Workspace

pytestmark = pytest.mark.skipif(not forked.CAN_FORK, reason=forked.WHY_NOT)

SOAK = int(os.environ.get("METAPT_SOAK", "1"))
STUDIES = 12 if SOAK == 1 else 50
#: Long runs, each with random numbers of its own.
ROUNDS = max(1, SOAK // 4)
#: Processes that ask, and threads of each.
ASKERS, THREADS = 3, 4


def work_until_all_is_done(workspace: Workspace, askers: list[BaseProcess], draw: random.Random, workers: int) -> int:
    """Starts a worker wherever one is missing, kills one now and then; returns how many were killed."""
    log = workspace.folder.with_name("log.txt")
    alive: dict[int, BaseProcess] = {}
    killed = 0

    def look() -> bool:
        nonlocal killed
        asking = any(asker.is_alive() for asker in askers)
        for number in range(workers):
            worker = alive.get(number)
            if worker is None or not worker.is_alive():
                if worker is not None:
                    worker.join()
                    assert worker.exitcode in (0, -9), log.read_text(encoding="utf-8")[-3000:]
                    killed += worker.exitcode == -9
                    del alive[number]
                if asking or queue.requests(workspace):
                    dies = draw.randint(1, 500) if killed < STUDIES // 2 else None
                    roots = (workspace.folder, workspace.folder.with_name("home"))
                    arguments = (workspace.folder, roots, dies, (), number, True)
                    alive[number] = forked.start(forked.work, log, *arguments)
            elif draw.random() < 0.01 and killed < STUDIES // 2:
                worker.kill()
        return not asking and not alive and not queue.requests(workspace)

    wait(look, lambda: queue.requests(workspace))
    return killed


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", range(ROUNDS))
def test_many_studies_at_once(tmp_path: Path, number: int, workers: int) -> None:
    """Each is asked for by two; with one worker they begin in the order in which they were asked for."""
    draw = random.Random(number)
    workspace = Workspace(tmp_path / "workspace")
    names = [f"s{number:02}" for number in range(STUDIES)]
    draw.shuffle(names)
    log = tmp_path / "asked.txt"
    askers = [
        forked.start(forked.ask, log, workspace.folder, [*names[n::ASKERS], *names[n + 1 :: ASKERS]], THREADS)
        for n in range(ASKERS)
    ]
    killed = work_until_all_is_done(workspace, askers, draw, workers)
    for asker in askers:
        asker.join(LIMIT)
        assert asker.exitcode == 0, log.read_text(encoding="utf-8")[-3000:]
    table = queue.jobs_table(workspace)
    assert dict(zip(table["study"], table["status"], strict=True)) == dict.fromkeys(names, "done")
    begun = [json.loads(line) for line in (workspace.folder / "order").read_text(encoding="utf-8").splitlines()]
    assert sorted(name for name, _ in begun) == sorted(names), "each is computed once"
    if workers == 1:
        assert [asked for _, asked in begun] == sorted(asked for _, asked in begun)
    tried("jobs of the queue", len(names))
    tried("kills, through the queue", killed)
