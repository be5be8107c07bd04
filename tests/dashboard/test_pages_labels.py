"""Pages over studies whose labels are found, or whose tasks tell clusters apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
from looking import charts, said
from streamlit.testing.v1 import AppTest

from metapt_explore.config import StudyConfig, parse
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

Open = Callable[..., AppTest]
SMALL = {"steps": 2, "curve_steps": [0, 2], "test_rows": 8}


def study_of(world: Path, folder: Path, **changes: Any) -> Study:
    # No label column: nothing that is shown here needs one.
    texts = {"columns": {"text": "text", "group": "topic"}}
    tree = tiny.study_tree(world, **{"texts": texts, "evaluation": SMALL, "pretraining": {"steps": 2}, **changes})
    return Study(parse(StudyConfig, tree, "test"), Workspace(folder))


@pytest.fixture
def of_clusters(world: Path, tmp_path: Path) -> Study:
    """Two tasks over eight clusters: some are drawn, some are not."""
    study = study_of(
        world,
        tmp_path,
        clusterings=[{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 8, "dimensions": 8}],
        auxiliary_tasks={"classes": "clusters", "n_tasks": 2, "min_per_label": 8},
        methods=[{"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}],
    )
    study.prompt("MetaPT")
    return study


def test_only_drawn_clusters_are_called_tasks(show: Open, of_clusters: Study) -> None:
    at = show(of_clusters.workspace.folder, "clusters")
    assert not at.exception and not at.error
    table = of_clusters.auxiliary_tasks("kmeans").table("tasks")
    of_row = of_clusters.clusters("kmeans").table("clusters").set_index("row")["cluster"]
    drawn = {int(cluster) for cluster in of_row[table["row"]]}
    shown = next(frame.value for frame in at.dataframe if "auxiliary task" in frame.value)
    told = dict(zip(shown["cluster"].str.split(":").str[0].astype(int), shown["auxiliary task"], strict=True))
    sizes = of_row.value_counts()
    assert {cluster for cluster, answer in told.items() if answer == "yes"} == drawn
    undrawn = {cluster for cluster in told if cluster not in drawn and sizes[cluster] >= 8}
    assert undrawn and all(told[cluster] == "no: no task drew it" for cluster in undrawn)
    assert "No row has a label" not in "\n".join(text.value for text in at.markdown)


def test_fewer_tasks_than_asked_for_are_said(show: Open, world: Path, tmp_path: Path) -> None:
    study = study_of(
        world,
        tmp_path,
        clusterings=[{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 2, "dimensions": 8}],
        auxiliary_tasks={"classes": "clusters", "n_tasks": 5, "min_per_label": 8},
        methods=[{"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}],
    )
    assert study.auxiliary_tasks("kmeans").summary["tasks"] == 2, "two clusters, two words: two ways"
    at = show(tmp_path, "clusters")
    assert "2 auxiliary tasks (of 5 asked for: more would repeat one)" in said(at, "caption")


def test_found_labels_are_counted_where_they_are_shown(show: Open, world: Path, tmp_path: Path) -> None:
    study = study_of(world, tmp_path, labelling={"by": "zero_shot", "cutoff": 0.5})
    study.clusters("kmeans")
    at = show(tmp_path, "clusters")
    assert [bar["name"] for bar in charts(at)[1]["data"]] == ["texts"], "labels come later"
    labels, points = study.labels(), study.clusters("kmeans").table("clusters")
    assert labels is not None
    at = show(tmp_path, "clusters")
    assert not at.exception and not at.error
    bars = {bar["name"]: bar["x"] for bar in charts(at)[1]["data"]}
    found = labels.table("labels")["class"]
    for name in bars:
        of_class = found.isna() if name == "unlabelled" else found == name
        assert bars[name] == [int((of_class & (points["cluster"] == cluster)).sum()) for cluster in range(4)]
    assert "No row has a label" not in "\n".join(text.value for text in at.markdown)


@pytest.mark.parametrize(
    ("kind", "page"), [("tasks", "pretraining"), ("clusters", "pretraining"), ("tasks", "clusters")]
)
def test_damage_is_laid_at_the_right_door(show: Open, of_clusters: Study, kind: str, page: str) -> None:
    """A message that names another folder would have a whole pre-training deleted for nothing."""
    made = {"tasks": of_clusters.auxiliary_tasks("kmeans"), "clusters": of_clusters.clusters("kmeans")}[kind]
    (made.folder / f"{kind}.parquet").write_bytes(b"PAR1")
    at = show(of_clusters.workspace.folder, page)
    told = said(at, "error")
    assert not at.exception and f"{made.folder / f'{kind}.parquet'}" in told
    assert "sets aside what is damaged" in told and "Delete the folder" not in told
    assert of_clusters.prompt("MetaPT").id not in told
    assert charts(at), "what is whole is still shown"


def test_damaged_labels_are_not_the_texts(show: Open, world: Path, tmp_path: Path) -> None:
    study = study_of(world, tmp_path, labelling={"by": "zero_shot"})
    study.clusters("kmeans")
    labels = study.labels()
    assert labels is not None
    (labels.folder / "labels.parquet").write_bytes(b"PAR1")
    at = show(tmp_path, "clusters")
    told = said(at, "error")
    assert not at.exception and f"{labels.folder / 'labels.parquet'}" in told and study.texts().id not in told
    assert "sets aside what is damaged" in told and "Delete the folder" not in told
    assert any("text" in frame.value for frame in at.dataframe), "the texts are shown without their labels"


def test_the_loss_of_a_guess_is_that_of_the_studys_classes(show: Open, world: Path, tmp_path: Path) -> None:
    labels = {name: {"value": name, "word": word} for name, word in (("a", "good"), ("b", "bad"), ("c", "great"))}
    study = study_of(
        world,
        tmp_path,
        auxiliary_tasks={"classes": "clusters", "labels": labels, "min_per_label": 8},
        methods=[{"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}],
    )
    study.prompt("MetaPT")
    at = show(tmp_path, "pretraining")
    assert not at.exception and not at.error
    assert "ln 3 ≈ 1.10 nats is guessing between 3 labels." in said(at, "caption") and "ln 2" not in said(at, "caption")
