"""`metapt check` and `plan` find what `run` would stumble over, and write nothing into the workspace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import study_tree
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.config import StudyConfig
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.problems import looking
from metapt_explore.study.study import Study

KMEANS = {"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8}


def problems(world: Path, workspace: Path, **changes: Any) -> list[str]:
    config = StudyConfig.model_validate(study_tree(world, **changes))
    with looking(config, Workspace(workspace)) as found:
        return found.problems


def test_nothing_is_found_in_a_study_that_runs(world: Path, tmp_path: Path) -> None:
    config = StudyConfig.model_validate(study_tree(world))
    with looking(config, Workspace(tmp_path / "ws")) as found:
        assert found.problems == []
        assert any("'kmeans', a quick look at words: 4 clusters give" in notice for notice in found.notices)
    assert not (tmp_path / "ws").exists()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"texts": {"file": "/no/texts.csv"}}, "texts.csv"),
    ({"texts": {"columns": {"text": "review"}}}, "no column 'review'"),
    (
        {"texts": {"file": "/no/texts.csv"}, "clusterings": [], "methods": [{"name": "PT", "kind": "pt"}]},
        "texts.csv",
    ),
    ({"auxiliary_tasks": {"labels": {"angry": "bad", "happy": "good"}}}, "no label of the texts"),
    ({"auxiliary_tasks": {"min_size": 10_000}}, "min_size"),
    ({"evaluation": {"shots": 500}}, "shots"),
    ({"evaluation": {"more_shots": [500]}}, "500"),
    ({"evaluation": {"test_rows": 100_000}}, ""),
    ({"clusterings": [KMEANS, {"name": "many", "algorithm": "kmeans", "n_clusters": 1000}]}, "'many'"),
    ({"clusterings": [KMEANS, {"name": "d", "algorithm": "hdbscan", "min_cluster_size": 1000}]}, "min_cluster_size"),
    ({"texts": {"columns": {"group": None}}}, "texts.columns.group"),
    ({"prompt": {"length": 3, "placement": "encoder"}}, "suffix"),
]


@pytest.mark.parametrize(
    ("changes", "sentence"), WRONG, ids=[f"{said or 'test_rows'}-{n}" for n, (_, said) in enumerate(WRONG)]
)
def test_what_would_fail_is_found_as_the_run_finds_it(
    world: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    tree = study_tree(world)
    if "columns" in changes.get("texts", {}):
        changes = {"texts": {"columns": {**tree["texts"]["columns"], **changes["texts"]["columns"]}}}
    found = problems(world, tmp_path / "looked", **changes)
    config = StudyConfig.model_validate(study_tree(world, **changes))
    study = Study(config, tmp_path / "ran")
    try:
        study.run()
        failed = [part.reason for part in study.failed]
    except Exception as error:
        failed = [str(error)]
    assert bool(found) == bool(failed), (found, failed)
    assert sentence in " ".join(found)


def test_a_seed_without_a_file_is_found(world: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(world, folder)
    task = yaml.safe_load((folder / "mood.yaml").read_text(encoding="utf-8"))
    rows = (folder / "mood.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "test.jsonl").write_text("\n".join(rows[:20]), encoding="utf-8")
    (folder / "train-1.jsonl").write_text("\n".join(rows[20:60]), encoding="utf-8")
    columns = {"text": "text", "label": "label"}
    task["splits"] = {
        "train": {"file": "train-{seed}.jsonl", "columns": columns},
        "dev": {"file": "train-{seed}.jsonl", "columns": columns},
        "test": {"file": "test.jsonl", "columns": columns},
    }
    del task["data"]
    (folder / "mood.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    found = problems(folder, tmp_path / "ws")
    assert any("train-2.jsonl" in sentence for sentence in found), found


def test_the_command_says_it_and_exits_with_1(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    tree = study_tree(world, auxiliary_tasks={"min_size": 10_000})
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    told = CliRunner().invoke(metapt, ["check", str(file), "--workspace", str(tmp_path / "ws")])
    assert told.exit_code == 1
    assert "Would fail:" in told.output
    assert "MetaPT" not in told.output.split("Would fail:")[0]
    as_json = CliRunner().invoke(metapt, ["check", str(file), "--workspace", str(tmp_path / "ws"), "--json"])
    assert "min_size" in json.loads(as_json.stdout)["problems"][0]
    plan = CliRunner().invoke(metapt, ["plan", str(file), "--workspace", str(tmp_path / "ws"), "--json"])
    assert plan.exit_code == 1
    assert "min_size" in json.loads(plan.stdout)["problems"][0]
    assert not (tmp_path / "ws").exists()


def test_a_note_is_said_once(world: Path, tmp_path: Path) -> None:
    """Notes of settings and notes of what was read, in the terminal and in JSON."""
    file = tmp_path / "study.yaml"
    pool = {"clusterings": [{"name": "pool", "algorithm": "one_pool"}]}
    method = {"name": "MetaPT", "kind": "metapt", "clustering": "pool"}
    tree = study_tree(world, **pool, methods=[method], model={"max_text_tokens": 9})
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    asked = [str(file), "--workspace", str(tmp_path / "ws")]
    notices = json.loads(CliRunner().invoke(metapt, ["check", *asked, "--json"]).stdout)["notices"]
    assert any("one auxiliary task" in notice for notice in notices)
    assert any("are cut at" in notice for notice in notices)
    for command in ("check", "plan"):
        said = " ".join(CliRunner().invoke(metapt, [command, *asked]).output.split())
        assert [said.count(notice) for notice in notices] == [1] * len(notices), command


def test_a_model_of_another_language_than_the_texts_is_noticed(world: Path, tmp_path: Path) -> None:
    """As `run` says it, too: both ask one function."""
    (tmp_path / "gpt2").symlink_to(world / "lm")
    rows = [
        f"Das Paket {n} kam beschädigt an und die Rechnung ist falsch,{('negative', 'positive')[n % 2]}"
        for n in range(60)
    ]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    tree = study_tree(world, texts={"file": str(tmp_path / "texts.csv"), "columns": {"text": "text", "label": "label"}})
    tree["model"]["name"] = str(tmp_path / "gpt2")
    tree["clusterings"], tree["methods"] = [KMEANS], [{"name": "PT", "kind": "pt"}]
    with looking(StudyConfig.model_validate(tree), Workspace(tmp_path / "ws")) as found:
        (notice,) = [each for each in found.notices if "look German" in each]
    assert "language model" in notice and "sentence encoder" not in notice and "task" not in notice.split("Better")[0]
