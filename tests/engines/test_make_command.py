"""`metapt cells` and `metapt make`: ids before anything is computed, cells without a lock, stops with a checkpoint."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import call
from waiting import wait

from metapt_explore.config import load_study
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.progress.state import State
from metapt_explore.results.tables import results_table
from metapt_explore.storage.files import write_json
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import cell_worker
from metapt_explore.study.cell_worker import CellWorker, ending_with, stopping_at_signals
from metapt_explore.study.study import Study
from metapt_explore.study.worker_file import batch_file, cells_folder, read_worker


def printed_cells(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    return {cell["key"]: cell for cell in json.loads(capsys.readouterr().out)["cells"]}


def test_cells_are_known_before_anything_is_computed(
    world: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an empty workspace the ids are those that a finished one has; parents stand before what is made of them."""
    file = world / "tiny.yaml"
    assert call(monkeypatch, "cells", file, "--json", "--workspace", tmp_path / "empty") == 0
    before = printed_cells(capsys)
    assert not (tmp_path / "empty").exists(), "nothing is written"
    assert call(monkeypatch, "cells", "tiny", "--json", "--workspace", finished) == 0
    after = printed_cells(capsys)
    assert {key: cell["id"] for key, cell in before.items()} == {key: cell["id"] for key, cell in after.items()}
    listed = {entry["id"] for entry in Workspace(finished).index("tiny")}
    assert {cell["id"] for cell in after.values()} == listed
    assert not any(cell["done"] for cell in before.values()) and all(cell["done"] for cell in after.values())
    seen: set[str] = set()
    for key, cell in before.items():
        assert set(cell["parents"]) <= seen, key  # type: ignore[call-overload]
        seen.add(key)
    prompt = before["prompt/MetaPT/0"]
    assert prompt["seconds"] > 0 and prompt["memory_mib"] > 0  # type: ignore[operator]
    assert all(cell["seconds"] == 0 for cell in after.values())


def test_making_a_score_makes_its_ancestors_and_no_list(
    world: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal to the serial run's; a run afterwards lists them. A process that runs the study is in nobody's way."""
    file, workspace = world / "tiny.yaml", Workspace(tmp_path / "workspace")
    with workspace.study_lock("tiny"):
        assert call(monkeypatch, "make", file, "fewshot/MetaPT/mood/0", "-w", workspace.folder) == 0
    assert workspace.study_names() == []
    assert not list(workspace.folder.rglob("index.json")) and not list(workspace.folder.rglob("job.json"))
    kinds = sorted(path.name.partition("-")[0] for path in workspace.folder.glob("artifacts/*"))
    assert kinds == ["clusters", "embeddings", "fewshot", "prompt", "split", "split", "tasks", "texts"]
    score = next(entry for entry in Workspace(finished).index("tiny") if is_score(entry))
    mine, right = workspace.artifact(score["id"]), Workspace(finished).artifact(score["id"])
    assert mine.status == "done"
    assert mine.table("results").equals(right.table("results"))
    tensors = right.tensors("prompts")
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in mine.tensors("prompts").items())
    Study(file, workspace).fewshot("MetaPT", "mood")
    assert len(results_table(workspace, "tiny")) == 2


def is_score(entry: IndexEntry) -> bool:
    return (entry["kind"], entry.get("method"), entry.get("task")) == ("fewshot", "MetaPT", "mood")


def begin_batch(workspace: Workspace, batch: str) -> None:
    """A batch as a run has written it: a worker without one ends."""
    folder = cells_folder(workspace, "tiny")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(batch_file(folder, batch), {"id": batch})


def test_a_signal_ends_it_with_a_checkpoint_and_it_goes_on(world: Path, finished: Path, tmp_path: Path) -> None:
    """As a scheduler that takes a machine back sends it."""
    config, workspace = load_study(world / "tiny.yaml"), Workspace(tmp_path)

    def interrupt(state: State) -> None:
        if state.stage.startswith("prompt of MetaPT") and state.done == 2:
            signal.raise_signal(signal.SIGTERM)

    begin_batch(workspace, "first")
    worker = CellWorker(config, workspace, "first", interrupt)
    with stopping_at_signals(worker), pytest.raises(Cancelled):
        worker.make(["prompt/MetaPT/0"])
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    told = read_worker(cells_folder(workspace, "tiny"), "first")
    assert (told["state"], told["current"], told["fraction"]) == ("stopped", "prompt/MetaPT/0", 0.5)
    (folder,) = workspace.folder.glob("artifacts/prompt-*")
    assert workspace.artifact(folder.name).status == "cancelled"
    assert list((folder / "checkpoint").iterdir())

    steps: list[int] = []
    begin_batch(workspace, "second")
    second = CellWorker(
        config, workspace, "second", lambda state: steps.append(state.done) if state.total == 4 else None
    )
    assert second.make(["prompt/MetaPT/0"]) == []
    assert min(step for step in steps if step) == 2, "steps one and two were not taken again"
    told = read_worker(cells_folder(workspace, "tiny"), "second")
    assert (told["state"], told["made"]) == ("ended", ["prompt/MetaPT/0"])
    right = Workspace(finished).artifact(folder.name).tensors("prompt")
    assert all(
        torch.equal(tensor, right[name]) for name, tensor in workspace.artifact(folder.name).tensors("prompt").items()
    )


def test_a_cell_that_would_be_another_one_here_is_refused(world: Path, tmp_path: Path) -> None:
    begin_batch(Workspace(tmp_path), "one")
    worker = CellWorker(load_study(world / "tiny.yaml"), Workspace(tmp_path), "one")
    with pytest.raises(UserError, match=r"prompt-0 where the study runs.*here cpu, float32"):
        worker.make(["prompt/PT/0"], {"prompt/PT/0": "prompt-0"})
    told = read_worker(cells_folder(Workspace(tmp_path), "tiny"), "one")
    assert told["state"] == "refused" and "model.device" in told["error"]
    assert not (tmp_path / "artifacts").exists()


def test_a_cell_that_does_not_exist_is_named(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "make", world / "tiny.yaml", "prompt/MetaPT/1", "-w", tmp_path) == 2
    assert "Did you mean 'prompt/MetaPT/0'?" in capsys.readouterr().err
    assert call(monkeypatch, "make", world / "tiny.yaml", "-w", tmp_path) == 2
    assert "Name cells" in capsys.readouterr().err


def test_a_worker_stops_when_the_task_that_began_it_is_killed(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray kills a task, not what it has started."""
    monkeypatch.setattr(cell_worker, "PARENT_POLL_S", 0.01)
    worker = CellWorker(load_study(world / "tiny.yaml"), Workspace(tmp_path))
    task = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with ending_with(worker, task.pid):
        assert not worker.is_stopping
        task.kill()
        task.communicate()
        wait(lambda: worker.is_stopping)


def test_a_worker_that_computes_on_without_its_task_is_ended(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(cell_worker, "PARENT_POLL_S", 0.01)
    monkeypatch.setattr(cell_worker, "STOP_GRACE_S", 0.01)
    monkeypatch.setattr(cell_worker.os, "_exit", codes.append)
    task = subprocess.Popen([sys.executable, "-c", ""])
    task.wait()
    with ending_with(CellWorker(load_study(world / "tiny.yaml"), Workspace(tmp_path)), task.pid):
        wait(lambda: codes)
    assert codes[0] == 75
