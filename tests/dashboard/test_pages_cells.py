"""The job's panel where a study runs on an engine: each cell, how it stands, and who has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from looking import said
from streamlit.testing.v1 import AppTest

from metapt_explore.config import load_study
from metapt_explore.engines import orphans
from metapt_explore.storage.files import write_json
from metapt_explore.storage.processes import identity
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.cell_table import CellTable, cell_table, table_file
from metapt_explore.study.job_file import working_on, write_job
from metapt_explore.study.worker_file import batch_file, cancel_batch_file, cells_folder, worker_file

Open = Callable[..., AppTest]


@pytest.fixture
def workspace(world: Path, tmp_path: Path) -> Workspace:
    """A study of which a worker has two cells; one waits, one failed, one is finished."""
    workspace = Workspace(tmp_path / "workspace")
    workspace.save_study(load_study(world / "tiny.yaml"))
    table = CellTable(workspace, "tiny")
    table.made(["texts", "embeddings"], "gpu1:12")
    keys = ["texts", "embeddings", "clusters/dense", "prompt/PT/0", "fewshot/PT/mood/0", "score"]
    table.write(keys, done={"texts", "embeddings"}, failed={"clusters/dense": "it found no cluster"})
    folder = cells_folder(workspace, "tiny")
    cells = {"prompt/PT/0": "prompt-1", "fewshot/PT/mood/0": "fewshot-1"}
    record = {"id": "00001", "cells": cells, "engine": "slurm", "handle": "7_0"}
    write_json(batch_file(folder, "00001"), record)
    said = {"state": "running", "worker": "gpu2:13", "process": identity(), "current": "prompt/PT/0", "fraction": 0.25}
    write_json(worker_file(folder, "00001"), {**said, "made": [], "beat": 1, "updated": time.time()})
    return workspace


def test_a_running_study_shows_its_cells_and_workers(show: Open, workspace: Workspace) -> None:
    with working_on(workspace, "tiny") as progress:
        progress.at_work("1 worker on slurm", {"prompt/PT/0": 0.25}, done=2, total=6)
        at = show(workspace.folder, "start", "tiny")
        assert not at.exception
        assert "6 cells: 1 running, 1 failed, 1 submitted, 1 waiting, 2 finished" in said(at, "caption")
        shown = next(table.value for table in at.dataframe if "worker" in table.value.columns)
        rows = {row["cell"]: row for row in shown.to_dict(orient="records")}
    running, failed, made = rows["prompt/PT/0"], rows["clusters/dense"], rows["embeddings"]
    assert (running["state"], running["finished"], running["worker"]) == ("running", "25 %", "gpu2:13")
    assert (failed["state"], failed["reason"]) == ("failed", "it found no cluster")
    assert (made["state"], made["finished"], made["worker"]) == ("finished", "100 %", "gpu1:12")
    assert all(shown.columns), "each column has a name"
    assert rows["score"]["state"] == "waiting" and rows["fewshot/PT/mood/0"]["state"] == "submitted"
    assert next(iter(rows)) == "prompt/PT/0", "what changes comes first"


def test_a_run_in_one_process_shows_no_cells_of_an_earlier_one(workspace: Workspace) -> None:
    record = {"process": {**identity(), "pid": 1}, "cells": [{"key": "score", "state": "waiting"}]}
    write_json(table_file(workspace, "tiny"), record)
    batch_file(cells_folder(workspace, "tiny"), "00001").unlink()
    with working_on(workspace, "tiny"):
        assert cell_table(workspace, "tiny") == []


def test_workers_without_their_run_are_cancelled_on_the_page(
    show: Open, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "slurm_engine", lambda: None)
    process = {**identity(), "created": 1.0}
    write_job(workspace, "tiny", {"status": "running", "process": process, "began": 1.0, "fraction": 0.5})
    at = show(workspace.folder, "start", "tiny")
    assert "Its workers are at work or will begin" in said(at, "warning")
    at.button(key="cancel").click().run()
    assert not at.exception
    assert cancel_batch_file(cells_folder(workspace, "tiny"), "00001").exists()
