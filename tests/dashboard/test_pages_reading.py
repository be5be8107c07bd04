"""Pages of studies that are read or labelled in other than the plain way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny
from looking import PAGES, charts, said, tab
from streamlit.testing.v1 import AppTest

from metapt_explore.config import StudyConfig, parse
from metapt_explore.study.study import Study

Open = Callable[..., AppTest]
SMALL = {"evaluation": {"steps": 2, "curve_steps": [0, 2], "test_rows": 8}, "pretraining": {"steps": 2}}


def finished(world: Path, workspace: Path, **changes: Any) -> Path:
    Study(parse(StudyConfig, tiny.study_tree(world, **{**SMALL, **changes}), "test"), workspace).run()
    return workspace


@pytest.fixture(scope="module")
def labelled(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels by the model, label words chosen by each data seed."""
    labelling = {"by": "zero_shot", "which": "all", "cutoff": 0.5}
    return finished(world, tmp_path_factory.mktemp("labelled"), labelling=labelling, verbalizer={"read": "automatic"})


@pytest.fixture(scope="module")
def pairs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of texts, clusters as classes, the whole vocabulary."""
    return finished(
        world,
        tmp_path_factory.mktemp("pairs"),
        texts={"file": str(world / "pairs.csv"), "columns": {**tiny.PAIR_COLUMNS, "group": "topic"}},
        auxiliary_tasks={
            "template": "{text} and {text_pair} Type :",
            "classes": "clusters",
            "labels": {"a": "bad", "b": "good"},
        },
        verbalizer={"decode": "whole_vocabulary"},
        methods=[{"name": "PT", "kind": "pt"}, {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}],
        evaluation={**SMALL["evaluation"], "tasks": [str(world / "same.yaml")]},
    )


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("workspace", ["labelled", "pairs"])
def test_every_page_opens(workspace: str, page: str, show: Open, request: pytest.FixtureRequest) -> None:
    at = show(request.getfixturevalue(workspace), page)
    assert not at.exception and not at.error


def test_labels_that_were_found_are_told_with_their_worth(labelled: Path, show: Open) -> None:
    told = said(show(labelled, "clusters"), "info")
    assert "Labels for" in told and "(zero_shot)" in told and "They are the data's own labels for" in told


def test_texts_are_listed_with_the_labels_that_were_found(labelled: Path, show: Open) -> None:
    at = show(labelled, "clusters")
    (texts,) = (frame.value for frame in at.dataframe if "membership" in frame.value and "text" in frame.value)
    assert texts["confidence"].between(0.5, 1).all()
    assert set(texts["source"].dropna()) == {"zero_shot"} and set(texts["label"]) <= {"negative", "positive"}


def test_tasks_of_clusters_say_which_cluster_a_word_stands_for(pairs: Path, show: Open) -> None:
    at = show(pairs, "pretraining")
    (tasks,) = (artifact for artifact in pairs.glob("artifacts/tasks-*/tasks.parquet"))
    (clusters,) = (
        folder
        for folder in pairs.glob("artifacts/clusters-*/clusters.parquet")
        if pd.read_parquet(folder)["cluster"].nunique() == 4
        and folder.parent.name
        in json.loads((tasks.parent / "stage.json").read_text(encoding="utf-8"))["parents"].values()
    )
    titles = {note["text"].replace("<br>", " ") for note in charts(at)[0]["layout"]["annotations"]}
    of_row, expected = pd.read_parquet(clusters)["cluster"], set()
    for _, rows in pd.read_parquet(tasks).groupby("task"):
        words = rows.groupby("label", sort=False)["row"].first()
        expected.add(", ".join(f"{label}: cluster {of_row[row]}" for label, row in words.items()))
    named = {title for title in titles if "cluster" in title}
    assert named and named <= expected


def test_chosen_words_are_shown(labelled: Path, show: Open) -> None:
    at = show(labelled, "fewshot")
    assert "Each data seed chose 1 label word(s) a class" in said(at, "info")
    tab(at, "scores", "Label words")
    (table,) = (frame.value for frame in at.dataframe if "data seed" in frame.value)
    assert len(table) == 4 and table.loc[0, "negative"] != table.loc[0, "positive"]


def test_pairs_are_shown_whole_and_clusters_as_classes_are_said(pairs: Path, show: Open) -> None:
    at = show(pairs, "clusters")
    assert "tell clusters apart" in said(at, "caption")
    (texts,) = (frame.value for frame in at.dataframe if "membership" in frame.value and "text" in frame.value)
    assert texts["text"].str.contains("\n").all()
    assert "another word is a wrong answer" in said(show(pairs, "fewshot"), "info")
