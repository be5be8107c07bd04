"""`PromptClassifier`: a study's prompt and predictions, tensor for tensor; rows, recipes and what is refused."""

from __future__ import annotations

import json
import math
import pickle
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from datasets import Dataset
from sklearn.exceptions import NotFittedError

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.estimators.classes import read_classes
from metapt_explore.estimators.classifier import PromptClassifier
from metapt_explore.export.prompt_pipeline import load_prompt
from metapt_explore.study.study import Study

Rows = tuple[list[str], list[str]]
#: Names of the task and its rows take part in random choices.
TASK = "task"


def _study(folder: Path, small: dict[str, Any], rows: Rows, tested: Rows) -> Study:
    """The same by hand: a task file over the same rows, tuned with the same settings."""
    for name, (texts, labels) in (("rows", rows), ("test", tested)):
        lines = [json.dumps({"text": text, "label": label}) for text, label in zip(texts, labels, strict=True)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    columns = {"text": "text", "label": "label"}
    source = {"file": "rows.jsonl", "columns": columns}
    labels = {"negative": "negative", "positive": "positive"}
    task = {
        "name": TASK,
        "template": "{text}\nSentiment:",
        "labels": labels,
        "splits": {"train": source, "dev": source, "test": {"file": "test.jsonl", "columns": columns}},
    }
    (folder / "task.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    tree = {
        "name": "by-hand",
        "seed": small["seed"],
        "model": {"name": small["model"], "dtype": "float32", "device": "cpu", "max_text_tokens": 16},
        "texts": {"file": str(folder / "rows.jsonl"), "columns": columns},
        "auxiliary_tasks": {"labels": labels},
        "prompt": {"length": 3},
        "methods": [{"name": "PT", "kind": "pt"}],
        "evaluation": {
            "tasks": [{"task": str(folder / "task.yaml"), "shots": "all", "dev_share": 0.5}],
            "data_seeds": [small["seed"]],
            "init_seeds": [small["seed"]],
            "learning_rates": small["learning_rates"],
            "steps": small["steps"],
            "batch_size": small["batch_size"],
        },
    }
    return Study(parse(StudyConfig, tree, "by hand"), folder / "workspace")


def test_it_is_a_study(fitted: PromptClassifier, small: dict[str, Any], rows: Rows, tmp_path: Path) -> None:
    """Prompt and predictions are those of a study with the same settings and rows."""
    tested = rows[0][::-1], rows[1][::-1]
    study = _study(tmp_path, small, rows, tested)
    score = study.fewshot("PT", TASK)
    assert torch.equal(fitted.prompt_, score.tensors("prompts")[f"data_seed_{small['seed']}"])
    result = score.table("results").iloc[0]
    assert fitted.dev_accuracy_ == result["dev_accuracy"]
    assert (fitted.learning_rate_, fitted.n_steps_) == (result["learning_rate"], result["step"])
    assert {"dev_loss", "step"} <= set(fitted.curves_) and not [name for name in fitted.curves_ if "test" in name]
    scored = study.split(TASK).table("rows").query("split == 'test'")
    shares = fitted.predict_proba(scored["text"])
    predictions = score.table("predictions")
    assert copy(fitted).score(scored["text"], scored["label"]) == pytest.approx(result["accuracy"])
    assert (fitted.predict(scored["text"]) == fitted.classes_[predictions["predicted"]]).all()
    kept = predictions[["score_0", "score_1"]].to_numpy(dtype="float64")
    assert np.allclose(np.log(shares), kept, atol=2e-3)  # a study keeps them in half precision


def test_containers_give_the_same_prompt(fitted: PromptClassifier, small: dict[str, Any], rows: Rows) -> None:
    table = pd.DataFrame({"text": rows[0], "label": rows[1]})
    again = PromptClassifier(**small).fit(Dataset.from_pandas(table))
    assert torch.equal(again.prompt_, fitted.prompt_)
    other = PromptClassifier(**{**small, "seed": 8}).fit(table["text"], table["label"])
    assert not torch.equal(other.prompt_, fitted.prompt_)


def test_two_rows_a_class_have_a_fixed_recipe(small: dict[str, Any], rows: Rows) -> None:
    own = {**small, "learning_rates": None, "steps": None}
    few = PromptClassifier(**own).fit(rows[0][:4], rows[1][:4])
    assert math.isnan(few.dev_accuracy_) and (few.learning_rate_, few.n_steps_) == (0.016, 10)
    assert "nothing was chosen" in few.exported_.files["README.md"].decode()
    assert few.exported_.facts.made_by["rows"]["train"] == 4
    with pytest.raises(UserError, match="read='words'"):
        PromptClassifier(**{**own, "read": "probe_ensemble"}).fit(rows[0][:4], rows[1][:4])


def test_a_probe_is_read_where_dev_weighs_it(small: dict[str, Any], rows: Rows, tmp_path: Path) -> None:
    """By default; the tuned prompt is the same, and a saved folder reads the same with and without this package."""
    own = {name: value for name, value in small.items() if name != "read"}
    both, words = PromptClassifier(**own).fit(*rows), PromptClassifier(**small).fit(*rows)
    assert both.exported_.facts.probe is not None and words.exported_.facts.probe is None
    assert torch.equal(both.prompt_, words.prompt_)
    few = PromptClassifier(**{**own, "learning_rates": 0.01}).fit(rows[0][:4], rows[1][:4])
    calibrated = {**small["settings"], "verbalizer": {"calibration": "content_free"}}
    asked = PromptClassifier(**{**own, "settings": calibrated}).fit(*rows)
    assert few.exported_.facts.probe is None and asked.exported_.facts.probe is None
    both.save_pretrained(tmp_path)
    classify = load_prompt(tmp_path)
    shares = [{each["label"]: each["score"] for each in answer} for answer in classify(rows[0], top_k=None)]
    expected = both.predict_proba(rows[0])
    assert np.allclose([[each[name] for name in both.classes_] for each in shares], expected, atol=1e-5)


def test_validation_rows_are_dev(small: dict[str, Any], rows: Rows) -> None:
    texts, labels = rows
    chosen = PromptClassifier(**small).fit(texts[:8], labels[:8], validation=(texts[8:], labels[8:]))
    assert chosen.exported_.facts.made_by["rows"] == {"train": 8, "dev": 8}
    assert 0 <= chosen.dev_accuracy_ <= 1
    with pytest.raises(UserError, match="'other', which no training row has"):
        PromptClassifier(**small).fit(texts, labels, validation=(["a"], ["other"]))


def test_numbers_come_back_as_numbers(small: dict[str, Any], rows: Rows) -> None:
    numbers = [int(label == "positive") for label in rows[1]]
    with pytest.warns(UserWarning, match="label_words"):
        guessed = PromptClassifier(**{**small, "steps": 2}).fit(rows[0], numbers)
    assert guessed.predict(rows[0]).dtype.kind == "i" and guessed.classes_.tolist() == [0, 1]
    named = PromptClassifier(**{**small, "steps": 2}, label_words={0: "bad", 1: "good"}).fit(rows[0], numbers)
    assert named.exported_.facts.labels["1"]["words"] == ["good"]


@pytest.mark.parametrize("classes", [[0, 1], [0.0, 1.0], [False, True], ["0", "1"]])
def test_words_of_numbers_are_found_however_numbers_are_written(classes: list[Any]) -> None:
    """Pandas reads a column of whole numbers with a gap as 0.0 and 1.0."""
    keys: dict[Any, str] = {0: "bad", 1: "good"}
    reading = read_classes(classes, keys, None, pairs=False)
    assert [entry["words"] for entry in reading.labels.values()] == [["bad"], ["good"]]
    with pytest.raises(UserError, match="no row has the class '2'"):
        read_classes(classes, {**keys, 2: "other"}, None, pairs=False)


def test_a_prompt_begins_from_another(fitted: PromptClassifier, small: dict[str, Any], rows: Rows) -> None:
    own = {**small, "model": None, "prompt_length": None, "steps": 0, "learning_rates": [0.01]}
    started = PromptClassifier(**own, init=fitted).fit(*rows)
    assert torch.equal(started.prompt_, fitted.prompt_)
    with pytest.raises(UserError, match="prompt_length is 5"):
        PromptClassifier(**{**own, "prompt_length": 5}, init=fitted).fit(*rows)
    with pytest.raises(UserError, match="not fitted"):
        PromptClassifier(**own, init=PromptClassifier()).fit(*rows)
    with pytest.raises(UserError, match="no folder 'vocabulry'"):
        PromptClassifier(**own, init="vocabulry").fit(*rows)


def test_pairs_and_other_placements(small: dict[str, Any], rows: Rows) -> None:
    pairs = list(zip(rows[0], rows[0][::-1], strict=True))
    made = PromptClassifier(**{**small, "steps": 2}, placement="prefix", template="{text} and {text_pair} Type :")
    made.fit(pairs, rows[1])
    assert made.predict_proba(pairs[:3]).shape == (3, 2) and "adapter_config.json" in made.exported_.files


def test_probes_soups_and_several_classes(small: dict[str, Any], rows: Rows, tmp_path: Path) -> None:
    quick = {**small, "steps": 2, "learning_rates": 0.05}
    probed = PromptClassifier(**{**quick, "read": "probe_ensemble"}).fit(*rows)
    probed.save_pretrained(tmp_path)
    loaded = PromptClassifier.from_pretrained(tmp_path, settings=small["settings"])
    assert (tmp_path / "probe.safetensors").exists()
    assert np.array_equal(loaded.predict_proba(rows[0]), probed.predict_proba(rows[0]))
    settings = {**small["settings"], "evaluation": {"soup": 2}}
    assert math.isnan(PromptClassifier(**{**quick, "settings": settings}).fit(*rows).n_steps_)
    words = {"a": "good", "b": "bad", "c": ["book", "album"]}
    three = PromptClassifier(**quick, label_words=words).fit(rows[0], ["a", "b", "c", "a"] * 4)
    assert three.predict_proba(rows[0][:2]).shape == (2, 3) and three.classes_.tolist() == ["a", "b", "c"]


def test_rows_that_cannot_be_used_are_counted(small: dict[str, Any], rows: Rows) -> None:
    texts, labels = [*rows[0], rows[0][0], " ", rows[0][1]], [*rows[1], rows[1][0], "positive", "negative"]
    made = PromptClassifier(**{**small, "steps": 2}).fit(texts, labels)
    assert [notice for notice in made.notices_ if notice.startswith("Rows that are left out")] == [
        "Rows that are left out, blank: 1.",
        "Rows that are left out, repeated: 1.",
        "Rows that are left out, with several labels: 2.",
    ]


def test_a_workspace_finds_the_same_fit(small: dict[str, Any], rows: Rows, tmp_path: Path) -> None:
    kept = PromptClassifier(**{**small, "steps": 2}, workspace=tmp_path).fit(*rows)
    artifacts = {folder.name: folder.stat().st_mtime_ns for folder in (tmp_path / "artifacts").iterdir()}
    again = PromptClassifier(**{**small, "steps": 2}, workspace=tmp_path).fit(*rows)
    assert torch.equal(again.prompt_, kept.prompt_)
    assert {folder.name: folder.stat().st_mtime_ns for folder in (tmp_path / "artifacts").iterdir()} == artifacts


def test_what_does_not_fit_is_said(small: dict[str, Any], rows: Rows, fitted: PromptClassifier) -> None:
    with pytest.raises(NotFittedError):
        PromptClassifier(**small).predict(["a"])
    with pytest.raises(UserError, match="Row 2 is blank"):
        fitted.predict(["good", ""])
    with pytest.raises(UserError, match="needs a label"):
        PromptClassifier(**small).fit(rows[0])
    with pytest.raises(UserError, match="dev_share is 2"):
        PromptClassifier(**small, dev_share=2).fit(*rows)
    with pytest.raises(UserError, match="label_words"):
        PromptClassifier(**small, label_words={"negative": "unheard", "positive": "unseen"}).fit(*rows)
    with pytest.raises(UserError, match="lerning_rates"):
        PromptClassifier(**{**small, "settings": {"evaluation": {"lerning_rates": [1]}}}).fit(*rows)
    with pytest.raises(UserError, match="no row to learn from"):
        PromptClassifier(**small).fit([], [])


def test_it_survives_another_process(fitted: PromptClassifier, rows: Rows) -> None:
    """Workers of a grid search get estimators by pickle; models stay where they are."""
    copied = pickle.dumps(fitted)
    assert len(copied) < 100_000
    assert (pickle.loads(copied).predict_proba(rows[0]) == fitted.predict_proba(rows[0])).all()
