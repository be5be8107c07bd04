"""Clusters, tasks and stability as stages: what enters an id, and what lies in their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
from command_line import call
from fake_pipeline import fake_pipeline, id_over
from sklearn.metrics import normalized_mutual_info_score

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.stages.auxiliary_tasks import Tasks
from metapt_explore.stages.clusters import Clusters
from metapt_explore.study.study import Study


def config_of(folder: Path = Path("/nowhere"), **changes: Any) -> StudyConfig:
    return parse(StudyConfig, tiny.study_tree(folder, **changes), "test")


def ids(study: StudyConfig) -> dict[str, str]:
    """Ids of the study's clusterings, over made-up texts."""
    made_up = {"texts": "texts-0", "embeddings": "embeddings-0"}
    stages = {config.name: Clusters(fake_pipeline(study), config.name) for config in study.clusterings}
    like = {name: {"like": "clusters-0"} if stage.like else {} for name, stage in stages.items()}
    return {name: id_over(stage, **made_up, **like[name]) for name, stage in stages.items()}


def test_ids_of_finished_clusterings_have_not_changed() -> None:
    """Pinned: finished clusterings must not be made again."""
    study = config_of()
    assert ids(study) == {
        "kmeans": "clusters-bb151d21af34ae81",
        "random": "clusters-ace46551084db636",
        "topics": "clusters-0fb0ace116c46335",
    }
    pool, tasks = (Tasks(fake_pipeline(study), names) for names in ((), ("kmeans",)))
    assert id_over(pool, texts="texts-0") == "tasks-65e69e803ff18599"
    assert id_over(tasks, texts="texts-0", clusters="clusters-0") == "tasks-baf060e0a54d8d4c"


def test_a_seed_of_its_own_enters_the_id_where_it_is_set() -> None:
    tree = tiny.study_tree(Path("/nowhere"))
    clusterings = [{**entry, "seed": 3} if entry["name"] == "kmeans" else entry for entry in tree["clusterings"]]
    before, after = ids(config_of()), ids(config_of(clusterings=clusterings))
    assert before["kmeans"] != after["kmeans"] and before["topics"] == after["topics"]


def test_tasks_of_several_clusterings(world: Path, tmp_path: Path) -> None:
    both = {"name": "both", "kind": "metapt", "clustering": ["kmeans", "topics"]}
    study = Study(config_of(world, methods=[both]), tmp_path)
    joined, kmeans, topics = (study.auxiliary_tasks(names) for names in (["kmeans", "topics"], "kmeans", "topics"))
    table = joined.table("tasks")
    for part, offset in ((kmeans, 0), (topics, 4)):
        own = part.table("tasks")
        same = table[(table["task"] >= offset) & (table["task"] < offset + 4)].reset_index(drop=True)
        assert same.assign(task=same["task"] - offset).equals(own)
    assert joined.summary["tasks"] == kmeans.summary["tasks"] + topics.summary["tasks"]
    assert joined.summary["names"]["4"].startswith("topics 0: ") and joined.summary["counts"]["used"] == 160
    assert study.auxiliary_tasks(["topics", "kmeans"]).id != joined.id
    prompt = study.prompt("both")
    assert prompt.stage["parents"]["tasks"] == joined.id
    assert set(prompt.metrics["task"]) <= set(map(int, joined.summary["names"]))


def test_soft_tasks_and_their_random_control(world: Path, tmp_path: Path) -> None:
    methods = [{"name": name, "kind": "metapt", "clustering": name} for name in ("kmeans", "random")]
    hard, soft = (
        Study(config_of(world, methods=methods, auxiliary_tasks={"softness": softness}), tmp_path)
        for softness in (0.0, 0.02)
    )
    made, control = soft.auxiliary_tasks("kmeans"), soft.auxiliary_tasks("random")
    assert hard.clusters("kmeans").id == soft.clusters("kmeans").id
    assert made.id != hard.auxiliary_tasks("kmeans").id
    table, before = made.table("tasks"), hard.auxiliary_tasks("kmeans").table("tasks")
    assert len(table) == made.summary["memberships"] > len(before)
    assert set(map(tuple, before.to_numpy())) <= set(map(tuple, table.to_numpy()))
    # The control's groups are random and as large, over all rows (labels are not shared out alike).
    rows = {name: found.table("tasks")["row"].to_numpy() for name, found in (("soft", made), ("random", control))}
    assert len(rows["soft"]) == len(rows["random"])
    counts = [np.sort(np.unique(found, return_counts=True)[1]) for found in rows.values()]
    np.testing.assert_array_equal(*counts)
    assert soft.prompt("random").summary["outer_steps"] == 4


def test_tasks_by_probability_and_their_random_control(world: Path, tmp_path: Path) -> None:
    methods = [{"name": name, "kind": "metapt", "clustering": name} for name in ("kmeans", "random", "topics")]
    soft = Study(config_of(world, methods=methods, auxiliary_tasks={"min_probability": 0.05}), tmp_path)
    hard = Study(config_of(world, methods=methods), tmp_path)
    made, control, known = (soft.auxiliary_tasks(name) for name in ("kmeans", "random", "topics"))
    assert made.stage["parents"]["memberships 1"] == soft.request("memberships", name="kmeans").id
    probable = soft.memberships("kmeans").astype(float) >= 0.05
    own = soft.clusters("kmeans").table("clusters")["cluster"]
    for row, cluster in own.items():
        probable.loc[row, cluster] = True
    table = made.table("tasks")
    rows = {int(task): set(part["row"]) for task, part in table.groupby("task")}
    assert rows == {task: set(np.flatnonzero(probable[task])) for task in rows} and len(table) > 160
    assert (
        len(control.table("tasks")) == len(table)
        and control.stage["parents"]["memberships 1"] == (made.stage["parents"]["memberships 1"])
    )
    assert known.table("tasks").equals(hard.auxiliary_tasks("topics").table("tasks"))
    assert soft.prompt("kmeans").summary["outer_steps"] == 4


def test_a_clustering_without_a_task_is_named(world: Path, tmp_path: Path) -> None:
    clusterings = [
        {"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8},
        {"name": "fine", "algorithm": "kmeans", "n_clusters": 80, "dimensions": 8},
    ]
    study = Study(config_of(world, clusterings=clusterings, methods=[{"name": "PT", "kind": "pt"}]), tmp_path)
    with pytest.raises(UserError, match="Clustering 'fine': No cluster can become an auxiliary task"):
        study.auxiliary_tasks(["kmeans", "fine"])


def test_topics_and_minibatches_in_a_study(world: Path, tmp_path: Path) -> None:
    clusterings = [
        {"name": "words", "algorithm": "lda", "n_clusters": 4},
        {"name": "batches", "algorithm": "minibatch_kmeans", "n_clusters": 4, "dimensions": 8},
    ]
    study = Study(config_of(world, clusterings=clusterings, methods=[{"name": "PT", "kind": "pt"}]), tmp_path)
    for name in ("words", "batches"):
        found = study.clusters(name)
        assert found.summary["quality"]["n_clusters"] >= 2 and -1 <= found.summary["quality"]["dbcv"] <= 1


def test_stability_is_made_on_request_and_once(world: Path, tmp_path: Path) -> None:
    study = Study(config_of(world), tmp_path)
    found = {name: study.stability(name, runs=2) for name in ("kmeans", "random", "topics")}
    assert found["topics"].summary["over_seeds"] is None  # nothing is drawn
    assert found["topics"].summary["jaccard"] == 1.0
    assert found["random"].summary["over_seeds"]["adjusted_rand_index"] < 0.1
    assert found["kmeans"].summary["runs"] == 2 and found["kmeans"].summary["over_samples"]["runs"] == 2
    before = (found["kmeans"].folder / "summary.json").stat().st_mtime_ns
    assert study.stability("kmeans", runs=2).id == found["kmeans"].id
    assert (found["kmeans"].folder / "summary.json").stat().st_mtime_ns == before
    assert study.stability("kmeans", runs=3).id != found["kmeans"].id
    with pytest.raises(UserError, match="two runs or more"):
        study.stability("kmeans", runs=1)


def test_quality_beside_gain_of_a_finished_study(world: Path, finished: Path) -> None:
    study = Study(world / "tiny.yaml", finished)
    table = study.clustering_quality().set_index("clustering")
    assert list(table.index) == ["kmeans", "random", "topics"]
    scores = study.results().groupby(["method", "task"])["accuracy"].mean()
    gain = (scores["MetaPT"] - scores["PPT"]).mean()
    assert table.loc["kmeans", "gain"] == pytest.approx(gain)
    assert table.loc["kmeans", ["methods", "units", "tasks"]].tolist() == ["MetaPT", 4, 4.0]
    assert table.loc[["random", "topics"], "gain"].isna().all()
    assert table.loc["topics", "known_groups_ari"] == 1.0 and table.loc["topics", "label_information"] < 0.01


def test_label_information_of_labels_that_were_found(world: Path, tmp_path: Path) -> None:
    labelling = {"by": "zero_shot", "which": "all", "cutoff": 0.5}
    study = Study(config_of(world, labelling=labelling), tmp_path)
    labels, clusters = study.labels(), study.clusters("kmeans")
    assert labels is not None and "labels" not in clusters.summary["clusters"][0]
    table = study.clustering_quality().iloc[0]
    classes = labels.table("labels")["class"]
    known = classes.notna().to_numpy()
    expected = normalized_mutual_info_score(classes[known], clusters.table("clusters")["cluster"][known])
    assert table["label_information"] == pytest.approx(expected)


def test_an_edited_clustering_its_random_control_and_an_edit_of_the_edit(world: Path, tmp_path: Path) -> None:
    tree = tiny.study_tree(world)
    edits = [{"merge": [0, 1]}, {"rename": {0: "both of them"}}]
    more = [
        {"name": "hand", "algorithm": "edited", "like": "kmeans", "edits": edits},
        {"name": "hand 2", "algorithm": "edited", "like": "hand", "edits": [{"exclude": [1]}]},
        {"name": "chance", "algorithm": "random_groups", "like": "hand"},
    ]
    study = Study(config_of(world, clusterings=[*tree["clusterings"], *more], methods=[
        {"name": name, "kind": "metapt", "clustering": name} for name in ("hand", "chance")
    ]), tmp_path)  # fmt: skip
    before, made = study.clusters("kmeans"), study.clusters("hand")
    assert made.stage["parents"]["like"] == before.id
    old, new = before.table("clusters")["cluster"], made.table("clusters")["cluster"]
    assert (new[old <= 1] == 0).all() and (new[old > 1] == old[old > 1] - 1).all()
    named = {cluster["cluster"]: cluster["name"] for cluster in made.summary["clusters"]}
    assert named[0] == "0: both of them" and "," in named[1]
    # The name goes on to the next version; the excluded cluster is in no task.
    second = study.clusters("hand 2")
    assert second.summary["clusters"][0]["name"] == "0: both of them"
    assert second.summary["outliers"] == (new == 1).sum()
    rows = set(study.auxiliary_tasks("hand 2").table("tasks")["row"])
    assert not rows & set(np.flatnonzero(new == 1).tolist()) and rows
    sizes = made.table("clusters")["cluster"].value_counts()
    assert study.clusters("chance").table("clusters")["cluster"].value_counts().equals(sizes)
    with pytest.raises(UserError, match="edits name clusters of one clustering"):
        study.stability("hand")


def test_a_map_is_made_on_request_for_all_clusterings(world: Path, tmp_path: Path) -> None:
    study = Study(config_of(world), tmp_path)
    placed = study.request("tsne")
    table = placed.table("positions")
    assert table["row"].tolist() == list(range(len(study.texts().table("texts")))) and table.notna().all(axis=None)
    assert placed.stage["parents"] == {"embeddings": study.embeddings().id}
    other = config_of(
        world, clusterings=[{"name": "one", "algorithm": "one_pool"}], methods=[{"name": "PT", "kind": "pt"}]
    )
    assert Study(other, tmp_path).request("tsne").id == placed.id
    with pytest.raises(UserError, match="no clustering, so its texts have no map"):
        Study(config_of(world, clusterings=[], methods=[{"name": "PT", "kind": "pt"}]), tmp_path).request("umap")


def test_a_map_is_written_for_people_and_for_embedding_atlas(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(config_of(world), tmp_path)
    table, clusters = study.map(), study.clusters("kmeans")
    assert list(table)[:4] == ["text", "projection_x", "projection_y", "category"]
    assert {"cluster", "membership", "label", "group", "row"} == set(table) - set(list(table)[:4])
    assert table["text"].tolist() == study.texts().table("texts")["text"].tolist()
    points, names = clusters.table("clusters"), {c["cluster"]: c["name"] for c in clusters.summary["clusters"]}
    assert table["projection_x"].tolist() == pytest.approx(points["x"].tolist(), abs=1e-6)
    assert table["category"].tolist() == [names[cluster] for cluster in points["cluster"]]
    placed = study.map("topics", "tsne")
    assert placed["projection_x"].tolist() == pytest.approx(study.request("tsne").table("positions")["x"].tolist())
    study.workspace.save_study(study.config)
    for file in ("map.parquet", "map.html"):
        out = tmp_path / file
        assert (
            call(
                monkeypatch,
                "map",
                "tiny",
                "--clustering",
                "topics",
                "--projection",
                "tsne",
                "--out",
                out,
                "-w",
                tmp_path,
            )
            == 0
        )
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "map.parquet"), placed)
    assert "<title>tiny: topics</title>" in (tmp_path / "map.html").read_text(encoding="utf-8")
    assert call(monkeypatch, "map", "tiny", "--out", tmp_path / "map.csv", "-w", tmp_path) == 2
    with pytest.raises(UserError, match=r"There is no map 'umpa'\. Did you mean 'umap'"):
        study.map(projection="umpa")
