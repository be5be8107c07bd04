"""A lock while the disk does not answer for a moment, and what is not written once another host has it."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from waiting import wait

from metapt_explore.errors import TakenOver
from metapt_explore.storage import checked_lines, host_lock, presence
from metapt_explore.storage.artifact import ArtifactWriter, Question
from metapt_explore.storage.files import write_json
from metapt_explore.storage.host_lock import HostLock, owner_of
from metapt_explore.storage.integrity import payloads
from metapt_explore.storage.processes import identity
from metapt_explore.storage.stage_file import read_stage, sum_of_file, write_stage
from metapt_explore.storage.workspace import Workspace

OTHER = {**identity(), "boot": "another", "host": "second"}


def stale(*arguments: Any, **options: Any) -> Any:
    raise OSError(errno.ESTALE, "Stale file handle")


@pytest.fixture
def lock(tmp_path: Path) -> HostLock:
    return HostLock(tmp_path / "a.lock", tmp_path)


@pytest.mark.parametrize("failing", [("read_bytes",), ("exists",), ("read_bytes", "exists")])
def test_a_disk_that_does_not_answer_takes_no_lock_away(
    lock: HostLock, monkeypatch: pytest.MonkeyPatch, failing: tuple[str, ...]
) -> None:
    with lock:
        content = owner_of(lock.file).read_bytes()
        with monkeypatch.context() as away:
            if "read_bytes" not in failing:
                owner_of(lock.file).unlink()  # so that the lock's own file is asked for
            for name in failing:
                away.setattr(Path, name, stale)
            lock._look()
            assert lock.is_ours and not lock.lost
        owner_of(lock.file).write_bytes(content)
        lock._look()
        assert lock.is_ours and not lock.lost
        write_json(owner_of(lock.file), OTHER)
        lock._look()
        assert lock.lost and not lock.is_ours
    assert presence.read(owner_of(lock.file)) == OTHER


def test_the_heart_beats_on_after_a_look_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "BEAT_S", 0.01)
    monkeypatch.setattr(presence, "_heart", None)
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        stale()

    with presence.present(tmp_path) as shown:
        shown.on_beat.add(look)
        wait(lambda: len(looks) > 2)
        before = shown.file.read_bytes()
        wait(lambda: shown.file.read_bytes() != before)


def test_a_heart_that_stopped_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = threading.Thread(target=lambda: None)
    dead.start()
    dead.join()
    monkeypatch.setattr(presence, "_heart", dead)
    with presence.present(tmp_path):
        assert presence._heart is not dead and presence._heart is not None and presence._heart.is_alive()


@pytest.mark.parametrize("links", [True, False])
def test_a_live_owner_gets_its_file_back(
    lock: HostLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Between the judgement of a dead owner and its removal another host took the lock."""
    owner = owner_of(lock.file)
    dead = {**OTHER, "pid": 1}
    write_json(owner, dead)

    def judged(process: Any, workspace: Path) -> bool:
        write_json(owner, OTHER)
        return False

    monkeypatch.setattr(presence, "is_alive", judged)
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", stale)
    assert not host_lock._remove_dead(owner, tmp_path)
    assert presence.read(owner) == OTHER
    assert [file.name for file in tmp_path.iterdir()] == [owner.name]


@pytest.mark.parametrize("clock", [0, 1])
def test_who_slept_looks_before_it_goes_on(lock: HostLock, monkeypatch: pytest.MonkeyPatch, clock: int) -> None:
    """Either clock may stand still while a machine sleeps, and the heartbeat may wake later than the work."""
    monkeypatch.setattr(presence, "BEAT_S", 1e6)
    now = list(host_lock._clocks())
    monkeypatch.setattr(host_lock, "_clocks", lambda: tuple(now))
    with lock:
        write_json(owner_of(lock.file), OTHER)
        assert not lock.lost, "not looked at within a few seconds"
        now[clock] += 120
        assert lock.lost


WRITES = {
    "metric": lambda out: out.metric({"step": 3}),
    "table": lambda out: out.write_table("rows", pd.DataFrame({"row": [2]})),
    "tensors": lambda out: out.write_tensors("prompt", {}),
    "summary": lambda out: out.write_summary({"rows": 2}),
    "checkpoint": lambda out: out.save_checkpoint({}, {"step": 3}),
    "resume": lambda out: out.load_checkpoint(),
}


@pytest.mark.parametrize("write", WRITES)
def test_what_another_host_finished_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    question = Question("prompt", "a prompt", 1, {"steps": 2})
    monkeypatch.setattr(presence, "BEAT_S", 1e6)

    def compute(out: ArtifactWriter) -> None:
        out.metric({"step": 1})
        out.write_summary({"rows": 1})
        # Meanwhile this machine sleeps, and another one takes the artifact over and finishes it.
        write_json(owner_of(out.folder / ".lock"), OTHER)
        files = {name: sum_of_file(out.folder / name) for name in payloads(out.folder)}
        write_stage(out.folder, {**read_stage(out.folder), "status": "done", "files": files})
        monkeypatch.setattr(host_lock, "LOOK_AGAIN_S", -1.0)
        WRITES[write](out)
        pytest.fail("it was written")

    with pytest.raises(TakenOver, match="another host goes on with 'a prompt'"):
        workspace.make(question, compute)
    assert workspace.artifact(question.id).is_whole
    assert not (workspace.artifact(question.id).folder / "checkpoint").exists()


def test_a_line_of_a_list_is_on_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_size))
    line = checked_lines.to_line({"id": "texts-1"})
    checked_lines.append(tmp_path / "index.jsonl", line)
    assert flushed == [len(line)] * 2, "the file and its copy"
