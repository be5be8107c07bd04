"""The benchmark's tasks: files of one's own where they are, else the hub; what tasks have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny

from metapt_explore.config import TASK_SETS, EvaluationConfig, StudyConfig, TaskConfig, load_task, parse
from metapt_explore.config.load import _absolute_study
from metapt_explore.errors import UserError
from metapt_explore.fewshot.overlaps import task_overlaps
from metapt_explore.fewshot.splits import make_splits
from metapt_explore.study.study import Study

CLASSES = {"sst-2": 2, "sst-5": 5, "mr": 2, "cr": 2, "subj": 2, "trec-6": 6, "agnews": 4}
FOLDERS = {"trec-6": "trec"}


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METAPT_DATA", raising=False)


def test_the_sets_are_packaged_tasks(no_data: None) -> None:
    assert {name: len(load_task(name).labels) for name in TASK_SETS["benchmark"]} == CLASSES
    assert len(TASK_SETS["starter"]) == 7 and all(load_task(name).data for name in TASK_SETS["starter"])
    assert EvaluationConfig.model_validate({"tasks": "starter"}).tasks == TASK_SETS["starter"]


@pytest.mark.parametrize("name", CLASSES)
def test_without_a_data_folder_the_hub_is_read(name: str, no_data: None) -> None:
    task = load_task(name)
    assert all(source.hub and source.file is None for source in task.sources)
    assert task.instead_of == f"{{data}}/fewshot/{FOLDERS.get(name, name)}/test.jsonl"
    train, dev, test = task.sources
    # Few-shot rows never come out of the test split.
    assert (test.hub, test.split) not in {(train.hub, train.split), (dev.hub, dev.split)}


def test_the_hub_may_call_classes_by_other_values(no_data: None) -> None:
    values = {name: label.value for name, label in load_task("trec-6").labels.items()}
    assert values["human"] == "HUM" and values["number"] == "NUM"


def test_with_a_data_folder_its_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAPT_DATA", str(tmp_path))
    for part, seeds in (("train", ["13"]), ("dev", ["13"]), ("test", [""])):
        for seed in seeds:
            file = tmp_path / "fewshot" / "trec" / seed / f"{part}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            rows = [{"text": f"{part} question {label} {i}", "label": label} for label in range(6) for i in range(3)]
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = load_task("trec-6")
    assert task.instead_of is None and task.labels["human"].value == "3"
    splits = make_splits(task, 2, [13], test_rows=None, seed=0)
    assert len(splits.train[13]) == 12 and len(splits.test) == 18
    assert set(splits.train[13]["label"]) == set(task.labels)
    (tmp_path / "fewshot" / "trec" / "test.jsonl").unlink()
    with pytest.raises(UserError, match=r"test\.jsonl"):
        make_splits(task, 2, [13], test_rows=None, seed=0)


def test_offline_without_files_both_ways_are_named(no_data: None, world: Path, tmp_path: Path) -> None:
    study = Study(parse(StudyConfig, tiny.study_tree(world, evaluation={"tasks": ["cr"]}), "test"), tmp_path)
    with pytest.raises(UserError, match=r"SetFit/SentEval-CR.*METAPT_DATA to the folder that holds fewshot/cr/test"):
        study.split("cr")


def test_texts_in_a_data_folder_that_is_not_named(no_data: None, world: Path, tmp_path: Path) -> None:
    tree: dict[str, Any] = tiny.study_tree(world)
    tree["texts"] = {**tree["texts"], "file": "{data}/reviews.parquet"}
    with pytest.raises(UserError, match=r"\{data\}/reviews\.parquet.*set METAPT_DATA"):
        parse(StudyConfig, _absolute_study(tree, tmp_path), "study")


def test_texts_in_a_data_folder(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAPT_DATA", str(tmp_path))
    tree: dict[str, Any] = tiny.study_tree(world)
    tree["texts"] = {**tree["texts"], "file": "{data}/reviews.parquet"}
    config = parse(StudyConfig, _absolute_study(tree, world), "study")
    assert config.texts.file == str(tmp_path / "reviews.parquet")


def test_train_and_dev_of_one_source_share_nothing(tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": [f"word {i // 2} here" for i in range(60)], "label": [i // 2 % 2 for i in range(60)]})
    rows.to_csv(tmp_path / "train.csv", index=False)
    pd.DataFrame({"text": ["a b", "c d"], "label": [0, 1]}).to_csv(tmp_path / "test.csv", index=False)
    source = {"file": str(tmp_path / "train.csv"), "columns": {"label": "label"}}
    test = {"file": str(tmp_path / "test.csv"), "columns": {"label": "label"}}
    labels = {"no": {"value": "0", "word": "no"}, "yes": {"value": "1", "word": "yes"}}
    task = TaskConfig.model_validate(
        {"name": "t", "labels": labels, "splits": {"train": source, "dev": source, "test": test}}
    )
    splits = make_splits(task, 5, [1, 2], test_rows=None, seed=0)
    for seed in (1, 2):
        assert len(splits.train[seed]) == len(splits.dev[seed]) == 10
        assert not set(splits.train[seed]["text"]) & set(splits.dev[seed]["text"])
    assert splits.dropped["duplicate"] == 30 and not splits.warnings
    with pytest.raises(UserError, match="7 rows, but 8 shots"):
        make_splits(task, 8, [1], test_rows=None, seed=0)


def test_overlaps_by_hand() -> None:
    def rows(**parts: list[str]) -> pd.DataFrame:
        frames = [pd.DataFrame({"split": part, "text": texts, "data_seed": 1}) for part, texts in parts.items()]
        return pd.concat(frames)

    a = rows(train=["one", "two"], dev=["Two ", "three"], test=["four", "five", "six", "six"])
    b = rows(train=["four"], dev=["seven"], test=["five", "six", "one"])
    assert task_overlaps({"a": a, "b": b}).values.tolist() == [
        ["a", "test", "b", "test", 2, 2 / 3],
        ["a", "train", "b", "test", 1, 1 / 2],
        ["a", "dev", "a", "train", 1, 1 / 2],
        ["b", "train", "a", "test", 1, 1.0],
    ]
