"""Slices: groups that the rows have, ways to cut them, and studies that have no clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import yaml

from metapt_explore.errors import UserError
from metapt_explore.results.row_facts import in_parts, slicings
from metapt_explore.study.study import Study


def test_groups_of_rows_and_no_clusters(world: Path, tmp_path: Path) -> None:
    task = yaml.safe_load((world / "same.yaml").read_text(encoding="utf-8"))
    task["data"] |= {"file": str(world / "same.csv"), "columns": {**tiny.PAIR_COLUMNS, "group": "topic"}}
    (tmp_path / "same.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    tree = tiny.study_tree(world, methods=[], baselines=["tfidf"])
    tree |= {"clusterings": []}
    tree["evaluation"] |= {"tasks": [str(tmp_path / "same.yaml")]}
    study = Study(tree, tmp_path / "workspace")
    study.baseline("tfidf", "same")
    table = study.slices("same")
    assert list(dict.fromkeys(table["by"])) == ["class", "length", "group"]
    own = pd.read_csv(world / "same.csv").set_index(["one", "two"])["topic"]
    rows = study.split("same").table("rows")
    test = rows[rows["split"] == "test"]
    expected = pd.Series([own[(row.text, row.text_pair)] for row in test.itertuples()]).value_counts()
    cut = table[table["by"] == "group"].set_index("slice")["rows"]
    assert cut.to_dict() == expected.to_dict()
    with pytest.raises(UserError, match="has no clustering"):
        study.request("slices", task="same")
    # A task whose sources name no column of groups asks the same question as before.
    plain = Study(tree | {"evaluation": tree["evaluation"] | {"tasks": [str(world / "same.yaml")]}}, tmp_path)
    assert "keeps_groups" not in plain.split("same").stage["config"]
    assert "group" not in plain.split("same").table("rows")


def test_parts_of_like_size_keep_equal_values_together() -> None:
    values = pd.Series([1, 1, 1, 1, 1, 2, 3, 40], index=range(10, 18))
    parts = in_parts(values, "{} words", "{:.0f}")
    assert parts.tolist() == ["1 words"] * 5 + ["2 words", "3 to 40 words", "3 to 40 words"] or len(set(parts)) <= 4
    assert parts[values == 1].nunique() == 1 and parts.cat.ordered
    assert list(parts.cat.categories) == list(dict.fromkeys(parts))  # from short to long, not by letters
    some = in_parts(pd.Series([0.1, np.nan, 0.9]), "cosine {}", "{:.2f}", parts=2)
    assert some.tolist()[0] == "cosine 0.10" and pd.isna(some[1])
    assert in_parts(pd.Series([np.nan]), "{}", "{}").isna().all()


def test_facts_that_all_rows_share_cut_nothing() -> None:
    rows = pd.DataFrame({"label": ["a", "a"], "words": [3, 3], "group": ["x", None], "cluster:k": ["one", "two"]})
    found = slicings(rows, ["a", "b"])
    assert list(found) == ["class", "nearest cluster of k"]
    assert list(slicings(rows.assign(group=None), ["a"])) == ["class", "nearest cluster of k"]


def test_clusters_of_words_are_looked_for_among_the_vectors_of_the_encoder(world: Path, tmp_path: Path) -> None:
    tree = tiny.study_tree(world, methods=[], baselines=["tfidf"])
    tree |= {"clusterings": [{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8}]}
    tree["evaluation"] |= {"tasks": [str(world / "mood.yaml")]}
    by_words = Study(tree | {"embeddings": "tfidf"}, tmp_path / "words")
    found = by_words.request("slices", task="mood").table("slices")
    plain = Study(tree, tmp_path / "plain")
    again = plain.request("slices", task="mood")
    assert found["similarity"].tolist() == again.table("slices")["similarity"].tolist()
    assert again.stage["parents"]["embeddings"] == plain.embeddings().id
    names = {cluster["name"] for cluster in by_words.clusters("kmeans").summary["clusters"]}
    assert set(found["cluster:kmeans"]) <= names
