"""A part that fails does not stop the others: what needs it is left out, and the next run tries it again."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from copy import copy
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from tiny import study_tree
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.config import StudyConfig
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.jobs.state import job_state
from metapt_explore.pretraining.maml import MAML
from metapt_explore.pretraining.pooled import Pooled
from metapt_explore.results.tables import results_table
from metapt_explore.storage.files import read_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.failures import Failures, Named, PartFailed, format_failed
from metapt_explore.study.job_file import working_on
from metapt_explore.study.study import Study

NOTHING_FOUND = {"name": "none", "algorithm": "hdbscan", "min_cluster_size": 100, "dimensions": 8}
KMEANS = {"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8}
METHODS = [
    {"name": "PT", "kind": "pt"},
    {"name": "PPT", "kind": "ppt"},
    {"name": "Dense", "kind": "metapt", "clustering": "none"},
    {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
]
TFIDF = {"name": "TF-IDF", "kind": "tfidf"}


def config_of(world: Path, **changes: Any) -> StudyConfig:
    changes = {"clusterings": [NOTHING_FOUND, KMEANS], "methods": METHODS, "baselines": [TFIDF], **changes}
    return StudyConfig.model_validate(study_tree(world, **changes))


def run(config: StudyConfig, workspace: Workspace, **how: Any) -> Study:
    with working_on(workspace, config.name) as progress:
        study = Study(config, workspace, progress)
        study.run(**how)
    return study


def scored(workspace: Workspace) -> set[tuple[str, str]]:
    table = results_table(workspace, "tiny")
    return set(zip(table["method"], table["task"], strict=True))


def everything(*but: tuple[str, str]) -> set[tuple[str, str]]:
    methods = [method["name"] for method in [*METHODS, TFIDF]]
    return {(method, task) for method in methods for task in ("mood", "question")} - set(but)


DENSE = [("Dense", "mood"), ("Dense", "question")]


def test_a_clustering_that_finds_nothing_stops_only_what_is_made_of_it(world: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    study = run(config_of(world), workspace)
    assert scored(workspace) == everything(*DENSE)
    assert len(study.failed) == 1
    part = study.failed[0]
    assert "none" in part.sentence
    assert {"fewshot/Dense/mood/0", "fewshot/Dense/question/0", "prompt/Dense/0"} <= set(part.needed_by)
    assert not [key for key in part.needed_by if "Dense" not in key and not key.startswith("tasks/")]
    state = job_state(workspace, "tiny")
    assert state["status"] == "incomplete"
    assert "Dense on mood, Dense on question" in state["error"]
    assert state["fraction"] == pytest.approx(1.0)


def test_what_the_others_scored_is_as_in_a_study_without_the_part(world: Path, tmp_path: Path) -> None:
    failing, plain = Workspace(tmp_path / "failing"), Workspace(tmp_path / "plain")
    run(config_of(world), failing)
    methods = [method for method in METHODS if method["name"] != "Dense"]
    run(config_of(world, clusterings=[KMEANS], methods=methods), plain)
    tables = [
        results_table(workspace, "tiny").drop(columns=["seconds", "pretraining_seconds"])
        for workspace in (failing, plain)
    ]
    pd.testing.assert_frame_equal(*tables)


def test_the_exit_code_says_that_parts_failed_and_the_next_run_tries_again(world: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(world, folder)
    gone = folder / "question.jsonl"
    kept = gone.read_bytes()
    gone.unlink()
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(study_tree(folder, baselines=[TFIDF])), encoding="utf-8")
    command = ["run", str(file), "--workspace", str(tmp_path / "workspace")]
    first = CliRunner().invoke(metapt, command)
    assert first.exit_code == 1
    workspace = Workspace(tmp_path / "workspace")
    done = {("PT", "mood"), ("PPT", "mood"), ("MetaPT", "mood"), ("TF-IDF", "mood")}
    assert scored(workspace) == done
    said = " ".join(first.output.split())
    assert "1 part failed; the same command tries again" in said
    assert "question.jsonl" in said.replace(" ", "")
    assert "MetaPT on question" in said
    gone.write_bytes(kept)
    second = CliRunner().invoke(metapt, command)
    assert second.exit_code == 0, second.output
    assert scored(workspace) == done | {(method, "question") for method, _ in done}
    assert job_state(workspace, "tiny")["status"] == "done"
    # Gone again: what was read of it before is used, and nothing is computed anew.
    gone.unlink()
    before = results_table(workspace, "tiny")
    third = CliRunner().invoke(metapt, command)
    assert third.exit_code == 0, third.output
    assert "What was read of it before is used" in " ".join(third.output.split())
    pd.testing.assert_frame_equal(before, results_table(workspace, "tiny"))


def fail_where(monkeypatch: pytest.MonkeyPatch, function: str, where: Callable[[Any], bool], error: Exception) -> None:
    """Makes a function raise where its first argument is such."""
    module, _, name = function.rpartition(".")
    real = getattr(import_module(module), name)

    def wrapped(first: Any, *args: Any, **more: Any) -> Any:
        if where(first):
            raise copy(error)  # a new one: a traceback would keep the study, and its model, alive
        return real(first, *args, **more)

    monkeypatch.setattr(function, wrapped)


PRETRAIN = "metapt_explore.pretraining.loop.pretrain"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("no"), "memory ran out"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory ran out"),
        (UserError("The loss is not a number; lower outer_lr."), "lower outer_lr"),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), "x.csv"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero. This is a fault of the program"),
    ],
)
def test_any_error_of_a_pretraining_stays_with_its_method(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    fail_where(monkeypatch, PRETRAIN, lambda learner: isinstance(learner, MAML), error)
    workspace = Workspace(tmp_path)
    methods = [method for method in METHODS if method["name"] != "Dense"]
    study = run(config_of(world, clusterings=[KMEANS], methods=methods), workspace)
    assert scored(workspace) == everything(*DENSE, ("MetaPT", "mood"), ("MetaPT", "question"))
    assert [part.key for part in study.failed] == ["prompt/MetaPT/0"]
    assert said in study.failed[0].sentence
    if isinstance(error, ZeroDivisionError):
        assert "Traceback" in (workspace.study_folder("tiny") / "faults.log").read_text(encoding="utf-8")


def test_a_baseline_that_fails_on_one_task(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_mood = "metapt_explore.baselines.tfidf.tfidf"
    fail_where(monkeypatch, on_mood, lambda setting: setting.task.name == "mood", MemoryError("no"))
    workspace = Workspace(tmp_path)
    study = run(config_of(world, clusterings=[], methods=METHODS[:1]), workspace)
    assert scored(workspace) == {("PT", "mood"), ("PT", "question"), ("TF-IDF", "question")}
    assert [part.title for part in study.failed] == ["baseline TF-IDF on mood"]


def test_where_nothing_could_be_computed_the_job_has_failed(world: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    config = config_of(world, clusterings=[NOTHING_FOUND], methods=METHODS[2:3], baselines=[])
    with pytest.raises(PartFailed, match="none"):
        run(config, workspace)
    assert job_state(workspace, "tiny")["status"] == "failed"
    assert PartFailed.exit_code == 1


@pytest.mark.parametrize("error", [Cancelled("stop"), OSError(errno.ENOSPC, "No space left on device")])
def test_a_cancel_and_a_full_disk_stop_everything(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fail_where(monkeypatch, PRETRAIN, lambda learner: isinstance(learner, Pooled), error)
    workspace = Workspace(tmp_path)
    with pytest.raises(type(error)):
        run(config_of(world), workspace)
    assert ("MetaPT", "mood") not in scored(workspace)


def test_one_file_that_is_gone_is_one_failure(tmp_path: Path) -> None:
    failures = Failures(tmp_path)

    def read() -> None:
        raise UserError("there is no file x.csv.")

    for part in (Named("texts", "texts"), Named("clusters/a", "a"), Named("fewshot/PPT/mood/0", "", "PPT on mood")):
        assert failures.attempt(part, read) is None
    assert [(part.key, part.needed_by) for part in failures.parts] == [("texts", ["clusters/a", "fewshot/PPT/mood/0"])]
    told = format_failed(part.as_dict() for part in failures.parts)
    assert told == ["texts: there is no file x.csv. Not computed without it: PPT on mood."]


def test_the_failed_parts_are_in_the_job_file_while_the_study_goes_on(world: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    seen: list[int] = []

    def look(state: Any) -> None:
        if "MetaPT" in state.stage:
            told = read_json(workspace.study_folder("tiny") / "job.json")
            seen.append(len(told["failed"]))

    config = config_of(world, baselines=[])
    with working_on(workspace, config.name, look) as progress:
        Study(config, workspace, progress).run()
    assert seen
    assert seen[-1] == 1
