"""Usable tasks by number of clusters, and sizes that fit, before a study is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from metapt_explore.auxiliary_tasks.labels import auxiliary_tasks
from metapt_explore.auxiliary_tasks.quick_look import COUNTS, QuickLook, TaskCount, quick_look, recommended
from metapt_explore.clusters.algorithms import cluster
from metapt_explore.clusters.word_vectors import word_vectors
from metapt_explore.config import (
    AuxiliaryTasksConfig,
    ClusteringConfig,
    Columns,
    EvaluationConfig,
    LabelsConfig,
    SourceConfig,
)
from metapt_explore.config.fixed_recipe import FixedRecipe
from metapt_explore.errors import UserError
from metapt_explore.plots.task_counts import task_counts
from metapt_explore.seeds import stream
from metapt_explore.study.first_look import (
    Bounds,
    best_count,
    fitting_bounds,
    labels_teach,
    look_at_rows,
    usable_rows,
    usual_bounds,
)
from metapt_explore.study.new import SCALES, Choices, Scale, new_study

TOPICS = {
    "bill": "invoice money refund payment bank account",
    "net": "router modem cable signal wifi speed",
    "end": "cancel contract leave notice move provider",
}


def messages(rows: int, *, mixed: bool) -> tuple[list[str], list[str]]:
    """Texts of three topics; their labels are the topics, or have nothing to do with them."""
    order = stream(0, "messages")
    texts, labels = [], []
    for row in range(rows):
        topic = list(TOPICS)[row % 3]
        words = order.choice(TOPICS[topic].split(), 4).tolist()
        texts.append(f"{' '.join(words)} please number {row}")
        labels.append(("good", "bad")[int(order.integers(2))] if mixed else topic)
    return texts, labels


def test_tasks_are_counted_as_the_study_counts_them() -> None:
    texts, labels = messages(240, mixed=True)
    classes: list[str | None] = [None if row % 7 == 0 else label for row, label in enumerate(labels)]
    look = quick_look(texts, classes, ["good", "bad"])
    for number in (2, 5, 12):
        grouping = cluster(look.vectors, ClusteringConfig(name="quick look", algorithm="kmeans", n_clusters=number), 0)
        config = AuxiliaryTasksConfig(labels={"good": "good", "bad": "bad"}, min_size=20, min_per_label=6)
        made = auxiliary_tasks(grouping.labels, classes, ["good", "bad"], config=config)
        count = look.count(number, min_size=20, min_per_label=6)
        assert count is not None and count.tasks == len(made.tasks)
        labelled = sum(label is not None for label in classes)
        assert count.used == pytest.approx(made.counts["used"] / labelled)


def test_topics_as_labels_make_pure_clusters_and_other_labels_do_not() -> None:
    texts, topics = messages(240, mixed=False)
    pure = quick_look(texts, topics, list(TOPICS))
    assert pure.is_pure and best_count(pure, usual_bounds(3)) is None
    assert not labels_teach(pure, fitting_bounds(pure, 3))
    assert best_count(pure.of_classes(), Bounds(8, 8)) is not None
    texts, labels = messages(240, mixed=True)
    mixed = quick_look(texts, labels, ["good", "bad"])
    assert not mixed.is_pure and labels_teach(mixed, fitting_bounds(mixed, 2))
    assert fitting_bounds(mixed, 2) == usual_bounds(2) == Bounds(16, 8)


def test_bounds_are_lowered_where_only_lower_ones_give_tasks() -> None:
    texts, labels = messages(30, mixed=True)
    look = quick_look(texts, labels, ["good", "bad"])
    assert best_count(look, usual_bounds(2)) is None
    bounds = fitting_bounds(look, 2)
    assert bounds.min_per_label < 8 and best_count(look, bounds) is not None


def test_a_sample_stands_for_as_many_texts_as_the_study_takes() -> None:
    vectors, ids = np.repeat(np.eye(2), 10, axis=0), np.tile([0, 1], 10)
    look = QuickLook(vectors, ids, labels=2, rows=200)
    whole = look.count(2, min_size=100, min_per_label=50)
    assert whole is not None and whole.tasks == 2
    assert look.count(2, min_size=100, min_per_label=51) == TaskCount(2, 0, 0.0)
    assert look.count(3, min_size=2, min_per_label=1) is None, "there are two different texts"


def test_the_fewest_clusters_that_are_nearly_as_good_are_recommended() -> None:
    assert recommended([TaskCount(2, 1, 1.0), TaskCount(4, 0, 0.0)]) is None
    assert recommended([TaskCount(4, 4, 1.0), TaskCount(8, 8, 1.0), TaskCount(16, 9, 0.5)]) == 8
    assert recommended([TaskCount(6, 6, 1.0), TaskCount(8, 7, 1.0)]) == 6


def test_texts_without_words_and_without_difference_have_no_clusters() -> None:
    assert word_vectors(["1 2 3", "…"]).tolist() == [[0.0], [0.0]]
    look = quick_look(["the same words"] * 30, None, [])
    assert look.counts(min_size=1, min_per_label=1) == []
    assert "too few, or too alike" in task_counts([], 8).layout.title.text


def test_rows_are_kept_as_a_study_keeps_them_and_looked_at_by_their_values() -> None:
    texts, labels = messages(60, mixed=True)
    table = {"t": [*texts, "", "two words", texts[0].upper()], "y": [*labels, "good", "good", "good"]}
    columns = Columns(text="t", label="y")
    assert usable_rows(table, columns) == list(range(60)) and usable_rows(table, columns, [3, 60]) == [3]
    config = LabelsConfig.model_validate({"labels": {"up": {"value": "good", "word": "good"}, "bad": "bad"}})
    look = look_at_rows(table, columns, config.labels, range(60))
    table_of_two = look.table(2)
    assert table_of_two is not None and table_of_two.sum(axis=0).tolist() == [labels.count("good"), labels.count("bad")]


def test_pairs_have_no_clusters_as_classes() -> None:
    labels = {name: {"value": name, "word": name} for name in ("yes", "no")}
    source = SourceConfig(file="x.csv", columns=Columns(text="a", text_pair="b", label="y"))
    template = "{text}\n{text_pair}\nAnswer:"
    study = new_study("x", source, labels, tasks=["trec"], choices=Choices(template=template))
    assert study.auxiliary_tasks.by_labels
    with pytest.raises(UserError, match="need single texts"):
        new_study("x", source, labels, tasks=["trec"], choices=Choices(formats=["cluster_classes"], labelled=False))


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.name)
def test_nothing_is_chosen_on_two_dev_rows(scale: Scale) -> None:
    labels = {name: {"value": name, "word": name} for name in ("one", "two", "three")}

    def study(**choices: Any) -> EvaluationConfig:
        asked = Choices(**choices)
        return new_study(
            "x", SourceConfig(starter="vader"), labels, tasks=["trec"], scale=scale, choices=asked
        ).evaluation

    for shots in (1, 2):
        alone = study(shots=shots)
        assert (alone.select_by, alone.learning_rates, alone.steps, alone.fixed_recipe) == ("last", [0.016], 10, None)
    beside = study(shots=8, more_shots=[1, 32])
    assert beside.select_by == "loss" and beside.fixed_recipe == FixedRecipe(up_to=2, learning_rate=0.016, steps=10)
    assert study(shots=4, more_shots=[8]).fixed_recipe is None


def test_sizes_follow_the_number_of_classes() -> None:
    names = [f"class{number}" for number in range(12)]
    labels = {name: {"value": name, "word": name} for name in names}
    study = new_study("x", SourceConfig(starter="vader"), labels, tasks=["trec"])
    assert (study.pretraining.support_size, study.pretraining.query_size) == (12, 12)
    assert (study.auxiliary_tasks.min_size, study.auxiliary_tasks.min_per_label) == (24, 2)
    with pytest.raises(UserError, match="at least two labels"):
        new_study("x", SourceConfig(starter="vader"), {"class0": labels["class0"]}, tasks=["trec"])


def test_the_figure_marks_the_chosen_number() -> None:
    bar = task_counts([TaskCount(count, count // 2, 0.5) for count in COUNTS], 8).data[0]
    colors = dict(zip(bar.x, bar.marker.color, strict=True))
    assert [x for x, color in colors.items() if list(colors.values()).count(color) == 1] == ["8"]
