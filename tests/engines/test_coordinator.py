"""A study over two workers: the serial run's answers; failures, losses and cancels end as they do in one process."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import forked
import pytest
import tiny
import yaml
from answers import answers, assert_whole, different
from forked_engine import Serial, said, start
from in_processes import computed_twice
from waiting import LIMIT, wait

from metapt_explore.jobs.state import job_state
from metapt_explore.results.tables import results_table
from metapt_explore.storage.files import read_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.cell_table import cell_table
from metapt_explore.study.worker_file import cell_states, cells_folder, open_batches

pytestmark = pytest.mark.skipif(not forked.CAN_FORK, reason=forked.WHY_NOT)

NOTHING_FOUND = {"name": "none", "algorithm": "hdbscan", "min_cluster_size": 100, "dimensions": 8}
KMEANS = {"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8}
ON_KMEANS = {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}
ON_NOTHING = {"name": "Dense", "kind": "metapt", "clustering": "none"}


def ended(folder: Workspace) -> list[dict[str, Any]]:
    """What workers said of the batches that have ended."""
    files = sorted((cells_folder(folder, "tiny") / "ended").glob("*.worker.json"))
    return [record for file in files if isinstance(record := read_json(file), dict)]


def test_two_workers_answer_what_one_process_does(serial: Serial, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    run = start(serial.file, workspace.folder, serial.home)
    run.join(LIMIT)
    assert run.exitcode == 0, said(workspace.folder)
    assert_whole(workspace, "tiny", serial.answers, said(workspace.folder))
    assert computed_twice(workspace) == []
    assert open_batches(workspace, "tiny") == {}
    records = ended(workspace)
    assert len({record["process"]["pid"] for record in records}) == len(records) >= 3
    made = [key for record in records for key in record["made"]]
    assert len(made) == len(set(made))
    assert {"embeddings", "clusters/kmeans", "prompt/PPT/0", "fewshot/MetaPT/question/0"} <= set(made)
    assert not {"texts", "split/mood", "tasks/kmeans"} & set(made), "cheap cells are the run's own"

    rows = {row["key"]: row for row in cell_table(workspace, "tiny")}
    assert {row["state"] for row in rows.values()} == {"finished"} and set(made) <= set(rows)
    assert {rows[key]["worker"] for key in made} == {record["worker"] for record in records if record["made"]}

    again = start(serial.file, workspace.folder, serial.home)
    again.join(LIMIT)
    assert again.exitcode == 0
    assert len(ended(workspace)) == len(records), "what is there needs no worker"


def test_a_part_that_fails_at_a_worker_is_the_runs_failed_part(serial: Serial, world: Path, tmp_path: Path) -> None:
    """Its reason, and what needs it, are those of a run in one process."""
    tree = tiny.study_tree(
        world,
        clusterings=[NOTHING_FOUND, KMEANS],
        methods=[ON_NOTHING, ON_KMEANS],
        evaluation={"tasks": [str(world / "mood.yaml")]},
    )
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    states = {}
    for on in ("here", "local:2"):
        workspace = Workspace(tmp_path / on.replace(":", "-"))
        run = start(file, workspace.folder, serial.home, on=on)
        run.join(LIMIT)
        assert run.exitcode == 1, said(workspace.folder)
        states[on] = job_state(workspace, "tiny")
        assert set(results_table(workspace, "tiny")["method"]) == {"MetaPT"}
        assert computed_twice(workspace) == []
    assert states["local:2"]["status"] == "incomplete"
    assert states["local:2"]["failed"] == states["here"]["failed"]
    assert states["local:2"]["error"] == states["here"]["error"]


def die_over_one_prompt() -> None:
    """A worker that is killed whenever it has begun to pre-train MetaPT."""
    from metapt_explore.pretraining.maml import MAML

    MAML.gradient = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore


def test_a_cell_that_kills_its_workers_is_given_up_after_three(serial: Serial, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    run = start(serial.file, workspace.folder, serial.home, in_worker=die_over_one_prompt)
    run.join(LIMIT)
    assert run.exitcode == 1, said(workspace.folder)
    (failed,) = job_state(workspace, "tiny")["failed"]
    assert failed["key"] == "prompt/MetaPT/0"
    rows = {row["key"]: row for row in cell_table(workspace, "tiny")}
    assert rows["prompt/MetaPT/0"]["state"] == "failed" and "3 times" in rows["prompt/MetaPT/0"]["reason"]
    assert rows["fewshot/MetaPT/mood/0"]["state"] == "failed" and rows["prompt/PPT/0"]["state"] == "finished"
    assert "killed by SIGKILL" in failed["reason"] and "3 times" in failed["reason"]
    assert set(failed["scores"]) == {"MetaPT on mood", "MetaPT on question"}
    assert set(results_table(workspace, "tiny")["method"]) == {"PPT", "TF-IDF"}
    assert [record["current"] for record in ended(workspace)].count("prompt/MetaPT/0") == 3
    assert computed_twice(workspace) == []

    healthy = start(serial.file, workspace.folder, serial.home)
    healthy.join(LIMIT)
    assert healthy.exitcode == 0
    assert different(answers(workspace, "tiny"), serial.answers) == []


def wait_in_pretraining() -> None:
    """A worker that takes no second outer step until it is stopped."""
    import time

    from metapt_explore.progress.state import Progress

    advance = Progress.advance

    def slowly(self: Progress, done: int) -> None:
        advance(self, done)
        while self.state.stage.startswith("prompt") and done == 2:
            time.sleep(0.01)
            advance(self, done)

    Progress.advance = slowly  # type: ignore[method-assign]


@pytest.mark.parametrize("how", ["cancel", "signal", "minutes"])
def test_a_run_that_stops_stops_its_workers_with_a_checkpoint(serial: Serial, tmp_path: Path, how: str) -> None:
    workspace = Workspace(tmp_path / "workspace")
    options = () if how != "minutes" else ("--minutes", "1000")
    run = start(serial.file, workspace.folder, serial.home, *options, in_worker=wait_in_pretraining)

    def at_step_two() -> bool:
        rows = {row["key"]: row for row in cell_states(workspace, "tiny")}
        return all(rows.get(f"prompt/{name}/0", {}).get("fraction") == 0.5 for name in ("PPT", "MetaPT"))

    wait(at_step_two, lambda: f"both prompts at half: {cell_states(workspace, 'tiny')} {said(workspace.folder)}")
    pids = [row["worker"].rpartition(":")[2] for row in cell_states(workspace, "tiny") if row["state"] == "running"]
    assert len(set(pids)) == 2
    if how != "minutes":
        if how == "cancel":
            (workspace.study_folder("tiny") / "cancel").touch()
        else:
            os.kill(int(run.pid or 0), signal.SIGTERM)
        run.join(LIMIT)
        assert run.exitcode == 130, said(workspace.folder)
        assert job_state(workspace, "tiny")["status"] == "cancelled"
    else:
        os.kill(int(run.pid or 0), signal.SIGKILL)  # the next run finds both workers at work
        run.join(LIMIT)
        run = start(serial.file, workspace.folder, serial.home, "--minutes", "0.0001")
        run.join(LIMIT)
        assert run.exitcode == 75, said(workspace.folder)
    assert [record["state"] for record in ended(workspace)[-2:]] == ["stopped", "stopped"]
    stopped = [name for name in ("PPT", "MetaPT") if _status(workspace, f"prompt of {name}") == "cancelled"]
    assert stopped == ["PPT", "MetaPT"]
    assert len(list(workspace.folder.glob("artifacts/prompt-*/checkpoint/*"))) == 2
    assert open_batches(workspace, "tiny") == {}

    last = start(serial.file, workspace.folder, serial.home)
    last.join(LIMIT)
    assert last.exitcode == 0, said(workspace.folder)
    assert_whole(workspace, "tiny", serial.answers, said(workspace.folder))


def _status(workspace: Workspace, title: str) -> str:
    stages = [workspace.artifact(file.parent.name) for file in workspace.folder.glob("artifacts/*/stage.json")]
    return next(artifact.status for artifact in stages if artifact.stage["title"].startswith(title))
