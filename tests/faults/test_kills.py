"""A study that is killed at any moment, and run again, ends with the answers of one that never was."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forked
import pytest
import tiny
import yaml
from answers import answers, assert_whole, different, leftovers
from soak import examples
from tally import tried
from waiting import LIMIT, wait

from metapt_explore.jobs import queue
from metapt_explore.jobs import state as jobs
from metapt_explore.jobs.processes import kill
from metapt_explore.storage.files import read_json
from metapt_explore.storage.processes import runs_here
from metapt_explore.storage.workspace import Workspace

pytestmark = pytest.mark.skipif(not forked.CAN_FORK, reason=forked.WHY_NOT)

NAME = "tiny"
#: Each test is cut into so many, which run side by side.
SHARES = 4
#: Kills of one study at most, before it is left alone.
MOST_KILLS = 6


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed.

    Attributes:
        file: The study.
        answers: What it answered.
        moments: File changes that it made, counted as in `moments.py`.
        seconds: What it took.
    """

    file: Path
    answers: dict[str, Any]
    moments: int
    seconds: float


@pytest.fixture(scope="session")
def undisturbed(world: Path, made_once: Callable[[str, Callable[[Path], object]], Path]) -> Undisturbed:
    """The study, and its right answers."""

    def make(folder: Path) -> None:
        tree = tiny.study_tree(
            world,
            clusterings=[{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8}],
            methods=[{"name": "PPT", "kind": "ppt"}, {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}],
            evaluation={"tasks": [str(world / "mood.yaml")]},
            baselines=[{"name": "TF-IDF", "kind": "tfidf"}],
        )
        file = folder / "study.yaml"
        file.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
        found = []
        for name in ("first", "second"):  # the second knows the models' hashes, as all that follow do
            run = Run(file, folder / name, folder / "home")
            began = time.monotonic()
            assert run.go(count=folder / "moments.json") == 0, run.said()
            (folder / "seconds.json").write_text(json.dumps(time.monotonic() - began), encoding="utf-8")
            found.append(answers(run.workspace, NAME))
        assert different(*found) == [], "the study differs by itself"
        (folder / "answers.json").write_text(json.dumps(found[0]), encoding="utf-8")

    folder = made_once("undisturbed", make)
    known = {name: read_json(folder / f"{name}.json") for name in ("answers", "moments", "seconds")}
    return Undisturbed(folder / "study.yaml", **known)


class Run:
    """A study's runs in one workspace, by the command line."""

    def __init__(self, file: Path, workspace: Path, home: Path) -> None:
        self.workspace = Workspace(workspace)
        self.roots = (workspace, home)
        self.log = workspace.with_name(f"{workspace.name}.log")
        self.words = ["run", str(file), "--workspace", str(workspace)]

    def go(self, die_at: int | None = None, after: float | None = None, count: Path | None = None) -> int | None:
        """Runs once, to its end or its death at a moment, or after some seconds; returns the exit code."""
        process = forked.start(forked.metapt, self.log, self.words, self.roots, die_at, count)
        process.join(LIMIT if after is None else after)
        if after is not None and process.is_alive():
            process.kill()
            process.join(LIMIT)
        return process.exitcode

    def said(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:] if self.log.exists() else ""


def run_to_the_end(run: Run, right: Undisturbed, story: list[Any], kills: list[dict[str, Any]]) -> int:
    """Kills the study as asked, runs it to its end and compares; returns how many kills hit."""
    hit = 0
    for death in [*kills, {}]:
        story.append(death)
        code = run.go(**death)
        if code == 0:
            break
        assert code == -9 and death, (code, story, run.said())
        hit += 1
        assert jobs.job_state(run.workspace, NAME)["status"] in ("stopped", "none", "done"), story
    assert_whole(run.workspace, NAME, right.answers, story)
    tried("kills, in the terminal", hit)
    tried("temporary files left behind", len(leftovers(run.workspace)))
    shutil.rmtree(run.workspace.folder)  # a long run makes hundreds
    return hit


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_at_any_file_change(undisturbed: Undisturbed, tmp_path: Path, share: int) -> None:
    """Before and after each change, and half-way through each write; no moment twice, so that a long run tries all."""
    moments = list(range(1, undisturbed.moments + 1))
    random.Random(0).shuffle(moments)
    moments = moments[share::SHARES]
    draw = random.Random(share)
    wanted, hit = examples(3), 0
    while hit < wanted and moments:
        first = {"die_at": moments.pop()}
        # What runs after a kill has less to do; small numbers hit it before it ends.
        more = [{"die_at": draw.randint(1, undisturbed.moments // 2)} for _ in range(draw.randrange(MOST_KILLS))]
        run = Run(undisturbed.file, tmp_path / f"{first['die_at']}", tmp_path / "home")
        hit += run_to_the_end(run, undisturbed, [], [first, *more[: wanted - hit - 1]])
    assert hit >= min(wanted, 1)


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_at_any_time(undisturbed: Undisturbed, tmp_path: Path, share: int) -> None:
    draw = random.Random(100 + share)
    wanted, hit = examples(2), 0
    for number in range(4 * wanted):
        if hit >= wanted:
            break
        kills = [{"after": draw.uniform(0.0, 0.9 * undisturbed.seconds)} for _ in range(draw.randint(1, MOST_KILLS))]
        run = Run(undisturbed.file, tmp_path / str(number), tmp_path / "home")
        hit += run_to_the_end(run, undisturbed, [], kills[: wanted - hit])
    assert hit


# -------------------------------------------------------------------------------- through the queue


class Queue:
    """A study that is asked for, and workers that compute it, all of them killed now and then.

    Args:
        right: The study.
        folder: An empty folder.
        draw: Random numbers.
        kills: Kills that are wanted; then all are left alone.
    """

    def __init__(self, right: Undisturbed, folder: Path, draw: random.Random, kills: int) -> None:
        self.right, self.draw, self.left = right, draw, kills
        self.workspace = Workspace(folder / "workspace")
        self.roots = (self.workspace.folder, folder / "home")
        self.log = folder / "log.txt"
        self.story: list[str] = []
        self.kills = 0

    def moment(self, most: int) -> int | None:
        """A moment of death, or None for a life."""
        return self.draw.randint(1, most) if self.left > 0 and self.draw.random() < 0.6 else None

    def died(self, who: str, code: int | None, dies: object) -> None:
        """Notes a death."""
        self.story.append(f"{who} {dies}: {code}")
        if code == -9:
            self.left -= 1
            self.kills += 1

    def ask(self) -> None:
        """Asks for the study; who asks may die over it."""
        dies = self.moment(30)
        words = ["run", str(self.right.file), "--workspace", str(self.workspace.folder), "--queue"]
        process = forked.start(forked.metapt, self.log, words, self.roots, dies)
        process.join(LIMIT)
        assert process.exitcode in (0, -9), (self.story, self.said())
        self.died("asks", process.exitcode, dies)

    def work(self) -> None:
        """A worker, until it ends or dies; the processes that it starts die, too."""
        dies = self.moment(70)
        children = [self.moment(self.right.moments) for _ in range(2)]
        process = forked.start(forked.work, self.log, self.workspace.folder, self.roots, dies, children)
        end = time.monotonic() + self.draw.uniform(0.1, 2 * self.right.seconds) if self.moment(1) else None
        both = self.draw.random() < 0.5

        def ended() -> bool:
            if end is not None and time.monotonic() > end and process.is_alive():
                process.kill()
                if both:
                    self.kill_child()
            return not process.is_alive()

        wait(ended, lambda: f"the worker's end: {self.story}")
        process.join(LIMIT)
        self.died("works", process.exitcode, (dies, children))
        assert process.exitcode in (0, -9), (self.story, self.said())

    def kill_child(self) -> None:
        """Kills the study's process, wherever it is."""
        request = read_json(jobs.request_file(self.workspace, NAME))
        child = request.get("child") if isinstance(request, dict) else None
        if runs_here(child):
            kill(child)
            self.died("computes", -9, "with its worker")

    def said(self) -> str:
        """The end of all logs."""
        logs = [self.log, self.workspace.study_folder(NAME) / "log.txt"]
        return "\n".join(log.read_text(encoding="utf-8", errors="replace")[-2000:] for log in logs if log.exists())

    def run_to_the_end(self) -> None:
        """Asks and works until the study has ended."""
        limit = time.monotonic() + LIMIT
        while True:
            assert time.monotonic() < limit, (self.story, self.said())
            state = jobs.job_state(self.workspace, NAME)
            asked = any(name == NAME for name, _ in queue.requests(self.workspace))
            if state["status"] == "done" and not asked and not self.workspace.is_locked(NAME):
                break
            assert state["status"] not in ("cancelled", "incomplete", "partly"), (state, self.story, self.said())
            if state["status"] == "failed":  # given up after two kills, as it should be
                assert "killed by" in state["error"], (state, self.story, self.said())
            if not asked:
                self.ask()
            else:
                self.work()
        assert not (self.workspace.folder / "twice").exists(), self.story
        assert_whole(self.workspace, NAME, self.right.answers, self.story)


@pytest.mark.parametrize("share", range(SHARES))
def test_killed_through_the_queue(undisturbed: Undisturbed, tmp_path: Path, share: int) -> None:
    """Who asks, who works and who computes are killed, alone and together."""
    draw = random.Random(200 + share)
    wanted, number = examples(3), 0
    while wanted > 0:
        number += 1
        (tmp_path / str(number)).mkdir()
        jobs_queue = Queue(undisturbed, tmp_path / str(number), draw, min(wanted, 2 * MOST_KILLS))
        jobs_queue.run_to_the_end()
        tried("kills, through the queue", jobs_queue.kills)
        tried("jobs of the queue")
        wanted -= max(jobs_queue.kills, 1)
        shutil.rmtree(tmp_path / str(number))
