"""Labels for unlabelled texts, and tasks without labels: by hand, and in a tiny study."""

from __future__ import annotations

import csv
from math import perm
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from fake_pipeline import fake_pipeline
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.auxiliary_tasks.clusters import cluster_tasks
from metapt_explore.config import AuxiliaryTasksConfig, LabellingConfig, StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.stages.clusters import Clusters
from metapt_explore.study.study import Study
from metapt_explore.texts.labelling import FoundLabels, agreement, classify, confident_labels

SURE = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.05, 0.95], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"cutoff": 0.8}, [1, 0, 0, 1, 1]),
        ({"cutoff": {"bad": 0.95, "good": 0.75}}, [0, 0, 0, 1, 1]),
        ({"cutoff": {"good": 0.75}}, [1, 1, 0, 1, 1]),
        ({"most_per_class": 1}, [1, 0, 0, 1, 0]),
        ({"cutoff": {"bad": 0.95}, "most_per_class": 2}, [0, 0, 0, 1, 1]),
    ],
)
def test_cutoffs_by_hand(settings: dict[str, Any], kept: list[int]) -> None:
    found = confident_labels(SURE, ["bad", "good"], LabellingConfig(by="zero_shot", **settings))
    assert found.classes == ["bad", "bad", "good", "good", "good"]
    assert found.kept.astype(int).tolist() == kept
    assert found.confidence.tolist() == [0.9, 0.6, 0.7, 0.95, 0.8]


def test_agreement_by_hand() -> None:
    found = FoundLabels(["a", "b", "b", "a"], np.ones(4), np.array([True, True, False, True]))
    assert agreement(found, ["a", "a", "b", None]) == {
        "rows": 3,
        "accuracy": pytest.approx(2 / 3),
        "kept_rows": 2,
        "kept_accuracy": 0.5,
        "recall": {"a": 0.5, "b": 1.0},
    }
    assert agreement(found, [None] * 4) is None


def test_the_classifier_learns_and_says_how_well() -> None:
    rng = np.random.default_rng(0)
    centres = {"b": np.array([2.0, 0.0]), "a": np.array([0.0, 2.0])}
    names = ["a", "b"] * 30
    rows = np.stack([centres[name] + 0.3 * rng.normal(size=2) for name in names])
    probabilities, accuracy = classify(rows[:40], names[:40], rows[40:], ["b", "a"], "train.csv")
    assert [("b", "a")[i] for i in probabilities.argmax(1)] == names[40:] and accuracy > 0.95
    assert np.allclose(probabilities.sum(1), 1)
    shuffled = [names[i] for i in rng.permutation(40)]
    assert classify(rows[:40], shuffled, rows[40:], ["b", "a"], "train.csv")[1] < 0.8
    with pytest.raises(UserError, match=r"train\.csv has 1 rows of the class 'b'"):
        classify(rows[:40:2][:3].repeat(1, 0), ["a", "a", "b"], rows, ["b", "a"], "train.csv")


# --------------------------------------------------------------------------------- clusters as classes


@given(
    st.lists(st.integers(-1, 5), min_size=8, max_size=60),
    st.integers(2, 3),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_tasks_of_clusters(labels: list[int], classes: int, n_tasks: int, need: int, seed: int) -> None:
    names = [f"class {i}" for i in range(classes)]
    config = AuxiliaryTasksConfig(
        labels={name: f"word {name}" for name in names}, classes="clusters", n_tasks=n_tasks, min_per_label=need
    )
    large = [c for c in set(labels) - {-1} if labels.count(c) >= need]
    if len(large) < classes:
        with pytest.raises(UserError, match=r"lower\s+auxiliary_tasks\.min_per_label"):
            cluster_tasks(np.array(labels), names, config, seed=seed)
        return
    made = cluster_tasks(np.array(labels), names, config, seed=seed)
    # As many as were asked for, unless there are fewer ways to deal the words out; none twice.
    assert list(made.tasks) == list(range(min(n_tasks, perm(len(large), classes))))
    dealt = {tuple(labels[rows[0]] for rows in by_class.values()) for by_class in made.tasks.values()}
    assert len(dealt) == len(made.tasks)
    for by_class in made.tasks.values():
        assert list(by_class) == names
        # A class is one whole cluster, and no cluster is two classes.
        clusters = [{labels[row] for row in rows} for rows in by_class.values()]
        assert all(len(own) == 1 for own in clusters) and len(set.union(*clusters)) == classes
        assert all(len(rows) == labels.count(*own) for rows, own in zip(by_class.values(), clusters, strict=True))
    assert sum(made.counts.values()) == len(labels)
    again = cluster_tasks(np.array(labels), names, config, seed=seed)
    assert all((again.tasks[t][n] == made.tasks[t][n]).all() for t in made.tasks for n in names)


def test_words_are_dealt_out_anew_in_every_task() -> None:
    config = AuxiliaryTasksConfig(labels={"a": "x", "b": "y"}, classes="clusters", n_tasks=20, min_per_label=1)
    made = cluster_tasks(np.arange(4), ["a", "b"], config, seed=0)
    assert {int(task["a"][0]) for task in made.tasks.values()} == {0, 1, 2, 3}
    other = cluster_tasks(np.arange(4), ["a", "b"], config, seed=1)
    assert any(made.tasks[t]["a"].tolist() != other.tasks[t]["a"].tolist() for t in made.tasks)


# --------------------------------------------------------------------------------------- in a study

PART = {"evaluation": {"steps": 2, "curve_steps": [0, 2], "test_rows": 8}, "pretraining": {"steps": 2}}


def study_of(world: Path, workspace: Path, **changes: Any) -> Study:
    return Study(parse(StudyConfig, tiny.study_tree(world, **{**PART, **changes}), "test"), workspace)


@pytest.fixture(scope="module")
def half_labelled(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny texts with every second label left out."""
    path = tmp_path_factory.mktemp("half") / "half.csv"
    with (world / "texts.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "label": row["label"] if number % 4 < 2 else ""} for number, row in enumerate(rows))
    return path


CLASSIFIER = {"by": "classifier", "train": {"columns": {"text": "text", "label": "label"}}}


@pytest.mark.parametrize("by", ["zero_shot", "classifier"])
def test_unlabelled_texts_get_labels(by: str, world: Path, half_labelled: Path, tmp_path: Path) -> None:
    labelling: dict[str, Any] = {"by": by, "cutoff": 0.5, "most_per_class": 30}
    if by == "classifier":
        labelling["train"] = {"file": str(world / "texts.csv"), **CLASSIFIER["train"]}
    study = study_of(world, tmp_path, texts={"file": str(half_labelled)}, labelling=labelling)
    assert study.run()["test_loss"].notna().all()
    labels = study.labels()
    assert labels is not None
    table, given = labels.table("labels"), study.texts().table("texts")["label"]
    assert (table["class"][given.notna()] == given.dropna()).all(), "the data's own labels stay"
    found = table[given.isna()]
    assert found["confidence"].between(0.5, 1).all() and table["confidence"][given.notna()].isna().all()
    kept = found["class"].dropna()
    assert 0 < len(kept) <= 60 and kept.value_counts().max() <= 30
    used = study.auxiliary_tasks(None).table("tasks")
    assert set(used["row"]) == set(table.index[table["class"].notna()])
    counts = labels.summary["classes"]
    assert sum(entry["found"] for entry in counts.values()) == len(found) == labels.summary["asked"]
    if by == "classifier":
        assert labels.summary["held_out_accuracy"] > 0.5
    # Clusters have nothing to do with them: another cut-off does not cluster anew.
    clusters = study.clusters("kmeans")
    assert set(clusters.stage["parents"]) == {"texts", "embeddings"}
    assert not any("labels" in entry for entry in clusters.summary["clusters"])
    other = study_of(world, tmp_path, texts={"file": str(half_labelled)}, labelling={**labelling, "cutoff": 0.6})
    assert other.clusters("kmeans").id == clusters.id


def test_all_labels_anew_tells_how_good_they_are(world: Path, tmp_path: Path) -> None:
    written = (world / "texts.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "some.csv").write_text("".join(written[:61]), encoding="utf-8")  # the header and 60 rows
    train = {"file": str(tmp_path / "some.csv"), **CLASSIFIER["train"]}
    study = study_of(world, tmp_path, labelling={"by": "classifier", "which": "all", "train": train})
    labels = study.labels()
    assert labels is not None
    rows, table = study.texts().table("texts"), labels.table("labels")
    told, new = labels.summary["agreement"], rows["source_row"] >= 60
    assert labels.summary["train"]["also_asked"] == 60 == (~new).sum()
    # What it was trained on says nothing of it.
    assert told["rows"] == new.sum()
    assert told["accuracy"] == pytest.approx((table["class"] == rows["label"])[new].mean())
    assert set(table["source"]) == {"classifier"}


def test_the_classifiers_rows_may_call_classes_by_name(world: Path, half_labelled: Path, tmp_path: Path) -> None:
    labels = {"negative": {"value": "0", "word": "negative"}, "positive": {"value": "1", "word": "positive"}}
    texts = {"file": str(half_labelled), "columns": {"text": "text"}}
    changes: dict[str, Any] = {"texts": texts, "auxiliary_tasks": {"labels": labels}}
    train = {"file": str(world / "texts.csv"), **CLASSIFIER["train"]}
    made = study_of(world, tmp_path, labelling={"by": "classifier", "train": train}, **changes).labels()
    assert made is not None and made.table("labels")["class"].isin(["negative", "positive"]).all()
    train["columns"] = {"text": "text", "label": "topic"}
    with pytest.raises(UserError, match=r"labelling\.train: no label of .*texts\.csv \(book, camera"):
        study_of(world, tmp_path, labelling={"by": "classifier", "train": train}, **changes).labels()


def test_calibration_is_another_question_and_cutoffs_too(world: Path, half_labelled: Path, tmp_path: Path) -> None:
    def stage(**labelling: Any) -> Any:
        changes = {"texts": {"file": str(half_labelled)}, "labelling": {"by": "zero_shot", **labelling}}
        return study_of(world, tmp_path, **changes).labels()

    plain, calibrated, free = stage(calibration="none"), stage(), stage(calibration="content_free")
    assert len({plain.id, calibrated.id, free.id, stage(cutoff=0.9).id}) == 4
    # After batch calibration the classes are as likely on average.
    shares = [
        made.table("labels").query("source == 'zero_shot'")["class"].value_counts(normalize=True)
        for made in (plain, calibrated)
    ]
    assert shares[1].max() <= shares[0].max()


def test_nothing_confident_enough_is_said(world: Path, half_labelled: Path, tmp_path: Path) -> None:
    changes = {"texts": {"file": str(half_labelled)}, "labelling": {"by": "zero_shot", "which": "all", "cutoff": 1.0}}
    with pytest.raises(UserError, match=r"lower labelling\.cutoff"):
        study_of(world, tmp_path, **changes).auxiliary_tasks("kmeans")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labelling": {"by": "zero_shot", "cutoff": {"positve": 0.9}}}, "Did you mean 'positive'"),
        ({"labelling": {"by": "zero_shot", "cutoff": 1.5}}, "between 0 and 1"),
        ({"labelling": {"by": "classifier"}}, "goes with `by: classifier`"),
        ({"labelling": {"by": "classifier", "train": {"file": "a.csv"}}}, "needs a label column"),
        ({"labelling": {"by": "zero_shot"}, "texts": {"labelled_only": True}}, "texts.labelled_only"),
        ({"labelling": {"by": "zero_shot"}, "auxiliary_tasks": {"classes": "clusters"}}, "exclude one another"),
        ({"auxiliary_tasks": {"classes": "clusters"}}, "method 'PPT' needs `clustering`"),
        ({"auxiliary_tasks": {"n_tasks": 3}}, "goes with `classes: clusters`"),
        ({"labelling": {"by": "zero_shot", "cutoff": "high"}}, "cutoff: give a confidence between 0 and 1"),
        ({"labelling": {"by": "zero_shot", "cutoff": True}}, "give a confidence between 0 and 1"),
        (
            {"labelling": {"by": "classifier", "train": {"starter": "vader"}, "calibration": "none"}},
            "`calibration` belongs to `by: zero_shot`",
        ),
    ],
)
def test_mistakes(changes: dict[str, Any], message: str, world: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        study_of(world, tmp_path, **changes)


def test_a_study_without_any_label(world: Path, tmp_path: Path) -> None:
    """Clusters are the classes: nothing of the texts but the texts is read."""
    study = study_of(
        world,
        tmp_path,
        texts={"columns": {"text": "text"}},
        clusterings=[
            {"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8},
            {"name": "random", "algorithm": "random_groups", "like": "kmeans"},
        ],
        auxiliary_tasks={"classes": "clusters", "n_tasks": 5},
        methods=[
            {"name": "PT", "kind": "pt"},
            {"name": "PPT", "kind": "ppt", "clustering": "kmeans"},
            {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
            {"name": "Noise", "kind": "metapt", "clustering": "random"},
        ],
    )
    assert study.run()["test_loss"].notna().all()
    tasks = study.auxiliary_tasks("kmeans")
    assert tasks.summary["tasks"] == 5
    clusters = study.clusters("kmeans").table("clusters")["cluster"]
    assert tasks.table("tasks").groupby(["task", "label"])["row"].agg(lambda rows: clusters[rows].nunique()).eq(1).all()
    assert study.prompt("MetaPT").summary["moved"] > 0


def test_labels_that_are_still_to_be_found_have_no_part_in_a_grouping(world: Path) -> None:
    """Another cut-off must not cluster anew; without labelling the data's own labels are counted by their names."""
    plain = parse(StudyConfig, tiny.study_tree(world), "test")
    assert Clusters(fake_pipeline(plain), "kmeans").config()["labels"] == dict(
        zip(tiny.FEELINGS, tiny.FEELINGS, strict=True)
    )
    found = [
        parse(StudyConfig, tiny.study_tree(world, labelling={"by": "zero_shot", "cutoff": cutoff}), "test")
        for cutoff in (0.5, 0.9)
    ]
    one, other = (Clusters(fake_pipeline(study), "kmeans").config() for study in found)
    assert one == other and one["labels"] is None


def test_own_labels_are_still_counted(world: Path, tmp_path: Path) -> None:
    counts = [entry["labels"] for entry in study_of(world, tmp_path).clusters("kmeans").summary["clusters"]]
    assert {name: sum(own.get(name, 0) for own in counts) for name in tiny.FEELINGS} == {"negative": 80, "positive": 80}
