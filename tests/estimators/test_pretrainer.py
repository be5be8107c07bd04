"""`PromptPretrainer`: a study's prompt, with labels and without; pictures, saving, and a classifier that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny
import torch

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.estimators.classifier import PromptClassifier
from metapt_explore.estimators.pretrainer import PromptPretrainer
from metapt_explore.study.study import Study

Rows = tuple[list[str], list[str]]
SIZES = {"steps": 4, "meta_batch_size": 2, "support_size": 4, "query_size": 4, "inner_lr": 0.5, "outer_lr": 0.05}
KMEANS = {"algorithm": "kmeans", "dimensions": 8}


@pytest.fixture(scope="module")
def texts(world: Path) -> pd.DataFrame:
    return pd.read_csv(world / "texts.csv")


@pytest.fixture(scope="module")
def own(world: Path) -> dict[str, Any]:
    """Settings with which pre-training takes a second."""
    return {
        "model": str(world / "lm"),
        "encoder": str(world / "encoder"),
        "clustering": KMEANS,
        "n_clusters": 4,
        "template": "{text} Sentiment :",
        "prompt_length": 3,
        "max_text_tokens": 16,
        "seed": 7,
        "settings": {
            "model": {"dtype": "float32", "device": "cpu"},
            "auxiliary_tasks": {"min_size": 8, "min_per_label": 4},
            "pretraining": SIZES,
        },
    }


@pytest.fixture(scope="module")
def pretrained(own: dict[str, Any], texts: pd.DataFrame) -> PromptPretrainer:
    return PromptPretrainer(**own).fit(texts["text"], texts["label"])


def test_it_is_a_study(pretrained: PromptPretrainer, world: Path, tmp_path: Path) -> None:
    """The prompt is that of a study with the same settings and texts."""
    evaluation = {"data_seeds": [7], "init_seeds": [7]}
    tree = tiny.study_tree(world, evaluation=evaluation, pretraining=SIZES)
    study = Study(parse(StudyConfig, tree, "by hand"), tmp_path)
    assert torch.equal(pretrained.prompt_, study.prompt("MetaPT").tensors("prompt")["prompt"])
    clusters = study.clusters("kmeans").table("clusters")
    assert pretrained.clusters_["cluster"].tolist() == clusters["cluster"].tolist()


def test_pictures_and_files(pretrained: PromptPretrainer, texts: pd.DataFrame, tmp_path: Path) -> None:
    assert set(pretrained.clusters_["text"]) <= set(texts["text"]) and pretrained.clusters_["name"].nunique() > 1
    assert len(pretrained.plot_clusters().data) > 1 and len(pretrained.plot_losses().data) > 1
    pretrained.save_pretrained(tmp_path)
    loaded = PromptPretrainer.from_pretrained(tmp_path)
    assert torch.equal(loaded.prompt_, pretrained.prompt_) and loaded.method == "metapt"
    with pytest.raises(UserError, match="a saved prompt has no texts"):
        loaded.plot_clusters()
    with pytest.raises(UserError, match="not saved"):
        loaded.plot_losses()
    assert not any("book" in file.read_text(encoding="utf-8") for file in tmp_path.glob("*.json"))


def test_a_classifier_goes_on_from_it(pretrained: PromptPretrainer, rows: Rows, small: dict[str, Any]) -> None:
    quick = {**small, "model": None, "prompt_length": None, "steps": 0, "learning_rates": [0.01]}
    classifier = PromptClassifier(**quick, init=pretrained).fit(*rows)
    assert torch.equal(classifier.prompt_, pretrained.prompt_)
    assert classifier.exported_.facts.template == "{text} Sentiment :"


def test_raw_texts_are_enough(own: dict[str, Any], texts: pd.DataFrame, rows: Rows, small: dict[str, Any]) -> None:
    formats = [{"format": "cluster_classes", "min_per_class": 4, "n_tasks": 5, "template": "{text} Type :"}]
    settings = {key: value for key, value in own["settings"].items() if key != "auxiliary_tasks"}
    raw = PromptPretrainer(**{**own, "template": None, "settings": settings}, formats=formats).fit(texts["text"])
    assert not raw.losses_.empty and len(raw.plot_losses().data) and raw.clusters_["cluster"].nunique() > 1
    quick = {**small, "model": None, "prompt_length": None, "steps": 1, "learning_rates": [0.01]}
    assert PromptClassifier(**quick, init=raw).fit(*rows).predict(rows[0][:2]).shape == (2,)


@pytest.mark.parametrize("method", ["ppt", "reptile", {"kind": "metapt", "learner": "hsml"}])
def test_methods_by_name(own: dict[str, Any], texts: pd.DataFrame, method: Any) -> None:
    made = PromptPretrainer(**own, method=method).fit(texts[["text", "label"]])
    assert made.prompt_.shape == (3, 32)
    assert hasattr(made, "clusters_") == (method != "ppt")


def test_held_out_rows_are_kept_clear_of(own: dict[str, Any], texts: pd.DataFrame) -> None:
    known = {**own, "clustering": "known_groups", "n_clusters": None}
    made = PromptPretrainer(**known).fit(
        texts["text"], texts["label"], groups=texts["topic"], held_out=texts["text"][:5]
    )
    assert set(made.leaks_["text"]) >= set(texts["text"][:5])
    assert not set(made.clusters_["text"]) & set(texts["text"][:5])
    assert {name.partition(": ")[2] for name in made.clusters_["name"]} == set(texts["topic"])


def test_what_cannot_be_pretrained_is_said(own: dict[str, Any], texts: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="no method 'mtapt'"):
        PromptPretrainer(**own, method="mtapt").fit(texts["text"], texts["label"])
    with pytest.raises(UserError, match="no text to pre-train on"):
        PromptPretrainer(**own).fit([])
