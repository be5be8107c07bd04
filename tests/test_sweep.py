"""Sweeps over the number of clusters are written out before a study is validated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml

from metapt_explore.config import StudyConfig, load_study, parse, to_yaml
from metapt_explore.errors import UserError

CLUSTERINGS = [
    {"name": "kmeans", "algorithm": "kmeans", "n_clusters": [2, 4]},
    {"name": "random", "algorithm": "random_groups", "like": "kmeans"},
    {"name": "topics", "algorithm": "known_groups"},
]
METHODS = [
    {"name": "PT", "kind": "pt"},
    {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
    {"name": "control", "kind": "metapt", "clustering": "random", "inner_steps": 2},
    {"name": "known", "kind": "metapt", "clustering": "topics"},
    {"name": "both", "kind": "metapt", "clustering": ["topics", "kmeans"]},
]


def study(**changes: Any) -> StudyConfig:
    tree = tiny.study_tree(Path("/nowhere"), **{"clusterings": CLUSTERINGS, "methods": METHODS, **changes})
    return parse(StudyConfig, tree, "test")


def refused(message: str, **changes: Any) -> None:
    with pytest.raises(UserError, match=message):
        study(**changes)


def test_a_sweep_makes_clusterings_controls_and_methods() -> None:
    found = study()
    assert [(c.name, c.algorithm, c.source) for c in found.clusterings] == [
        ("kmeans-2", "kmeans", None),
        ("kmeans-4", "kmeans", None),
        ("random-2", "random_groups", "kmeans-2"),
        ("random-4", "random_groups", "kmeans-4"),
        ("topics", "known_groups", None),
    ]
    assert [c.n_clusters for c in found.clusterings[:2]] == [2, 4]
    assert [(m.name, getattr(m, "clustering", None), getattr(m, "inner_steps", 1)) for m in found.methods] == [
        ("PT", None, 1),
        ("MetaPT-2", "kmeans-2", 1),
        ("MetaPT-4", "kmeans-4", 1),
        ("control-2", "random-2", 2),
        ("control-4", "random-4", 2),
        ("known", "topics", 1),
        ("both-2", ["topics", "kmeans-2"], 1),
        ("both-4", ["topics", "kmeans-4"], 1),
    ]
    assert found.methods[-1].clusterings == ["topics", "kmeans-4"] and found.methods[0].clusterings == []


def test_the_yaml_of_a_swept_study_is_plain_and_reads_back_equal(tmp_path: Path) -> None:
    found = study()
    text = to_yaml(found)
    assert "kmeans-4" in text and not re.search(r"n_clusters:\s*\n?\s*[-\[]", text)
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    again = load_study(tmp_path / "s.yaml")
    assert again == found and to_yaml(again) == text
    assert load_study(yaml.safe_load(text)) == found


def test_a_file_may_hold_a_sweep(tmp_path: Path) -> None:
    tree = tiny.study_tree(tmp_path, clusterings=CLUSTERINGS, methods=METHODS)
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    assert [c.name for c in load_study(tmp_path / "s.yaml").clusterings][:2] == ["kmeans-2", "kmeans-4"]
    assert tree["clusterings"][0]["n_clusters"] == [2, 4]  # the caller's tree is left alone


def test_a_study_without_a_sweep_is_as_it_was() -> None:
    tree = tiny.study_tree(Path("/nowhere"))
    found = parse(StudyConfig, tree, "test")
    assert [c.name for c in found.clusterings] == ["kmeans", "random", "topics"]
    one = parse(StudyConfig, tiny.study_tree(Path("/nowhere"), methods=[
        {"name": "M", "kind": "metapt", "clustering": ["kmeans"]}]), "test")  # fmt: skip
    assert one.methods[0].clustering == "kmeans"


def test_bad_sweeps_are_refused() -> None:
    def swept(**changes: Any) -> list[dict[str, Any]]:
        return [{**CLUSTERINGS[0], **changes}, *CLUSTERINGS[1:]]

    refused("clustering 'kmeans': n_clusters must be a number or a list", clusterings=swept(n_clusters=[]))
    refused("clustering 'kmeans': n_clusters must be a number or a list", clusterings=swept(n_clusters=[2, "4"]))
    refused("a number of clusters stands twice", clusterings=swept(n_clusters=[2, 2]))
    refused("several `n_clusters` go with kmeans, minibatch_kmeans, ", clusterings=swept(algorithm="hdbscan"))
    refused("greater than or equal to 2", clusterings=swept(n_clusters=[1, 2]))
    twice = [*CLUSTERINGS, {"name": "kmeans-4", "algorithm": "hdbscan"}]
    refused("clustering 'kmeans-4' stands twice", clusterings=twice)
    refused("no clustering 'kmeans'", clusterings=[*CLUSTERINGS[2:]])
    other = [*CLUSTERINGS, {"name": "lda", "algorithm": "lda", "n_clusters": [3]}]
    method = {"name": "M", "kind": "metapt", "clustering": ["kmeans", "lda"]}
    refused("'M': kmeans and lda are swept over different n_clusters", clusterings=other, methods=[method])
    refused("clusterings: a list is expected, found the text 'kmeans'", clusterings="kmeans")


@pytest.mark.parametrize(("named", "message"), [([], "the list is empty"), (["topics"] * 2, "stands twice")])
def test_a_method_names_each_clustering_once(named: list[str], message: str) -> None:
    refused(message, methods=[{"name": "M", "kind": "metapt", "clustering": named}])
    refused("no clustering 'x'", methods=[{"name": "M", "kind": "metapt", "clustering": ["topics", "x"]}])
