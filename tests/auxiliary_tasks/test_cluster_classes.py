"""Drawn tasks whose classes are clusters, and the words that stand for them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metapt_explore.auxiliary_tasks.formats.cluster_classes import CANDIDATES, DrawnTask, Grouping, draw_cluster_tasks
from metapt_explore.auxiliary_tasks.formats.vocabulary import common_words
from metapt_explore.errors import UserError

VOCABULARY = [f"word{number}" for number in range(60)]
#: 6 clusters of 5 rows and one of 2, 3 outliers; 2 clusters of 10.
FINE = np.array([*np.repeat(np.arange(6), 5), 6, 6, -1, -1, -1])
COARSE = np.array([*np.repeat([0, 1], 10), *[-1] * 15])
CLUSTERINGS = {"fine": FINE, "coarse": COARSE}
KEYWORDS = {name: {number: [f"{name}{number}{end}" for end in "abc"] for number in range(7)} for name in CLUSTERINGS}


def grouped(clusterings: dict[str, np.ndarray], keywords: dict[str, dict[int, list[str]]]) -> list[Grouping]:
    return [Grouping(name, ids, keywords=keywords.get(name, {})) for name, ids in clusterings.items()]


def drawn(**changes: object) -> list[DrawnTask]:
    settings_ = {"n_tasks": 40, "classes": (2, 4), "min_per_class": 5, "words": "random", "seed": 0, **changes}
    return draw_cluster_tasks(grouped(CLUSTERINGS, KEYWORDS), VOCABULARY, **settings_)


@pytest.mark.parametrize("words", ["random", "keywords"])
def test_tasks_are_different_and_their_rows_are_their_clusters(words: str) -> None:
    tasks = drawn(words=words, n_tasks=60)
    assert len(tasks) == 60
    for task in tasks:
        labels = CLUSTERINGS[task.clustering]
        assert 2 <= len(task.clusters) <= 4 and len(set(task.clusters)) == len(task.clusters)
        for cluster, rows in zip(task.clusters, task.rows, strict=True):
            assert len(rows) >= 5 and rows.tolist() == np.flatnonzero(labels == cluster).tolist()
        every = [word for candidates in task.words for word in candidates]
        assert len(every) == len(set(every))
    keys = {(task.clustering, frozenset(zip(task.clusters, task.words, strict=True))) for task in tasks}
    assert len(keys) == 60


def test_clusterings_are_equally_likely_and_sizes_vary() -> None:
    tasks = drawn(n_tasks=400)
    assert 150 <= Counter(task.clustering for task in tasks)["fine"] <= 250
    assert set(Counter(len(task.clusters) for task in tasks if task.clustering == "fine")) == {2, 3, 4}
    assert {len(task.clusters) for task in tasks if task.clustering == "coarse"} == {2}


def test_a_cluster_gets_other_words_in_each_task() -> None:
    first = {candidates[0] for task in drawn(n_tasks=200) for candidates in task.words}
    assert len(first) > 50
    own = {task.words[task.clusters.index(0)][0] for task in drawn(words="keywords") if 0 in task.clusters}
    assert own >= {"fine0a", "fine0b", "fine0c"}


def test_random_words_are_eight_each_where_there_are_enough() -> None:
    assert {len(words) for task in drawn() for words in task.words} == {CANDIDATES}
    few = draw_cluster_tasks(
        grouped(CLUSTERINGS, {}), VOCABULARY[:5], n_tasks=9, classes=(2, 2), min_per_class=5, words="random", seed=0
    )
    assert {len(words) for task in few for words in task.words} == {2}


def test_a_keyword_of_two_classes_stands_for_neither() -> None:
    keywords = {"coarse": {0: ["shared", "tea"], 1: ["Shared", "snow"]}}
    (task,) = draw_cluster_tasks(
        grouped({"coarse": COARSE}, keywords), [], n_tasks=5, classes=(2, 3), min_per_class=5, words="keywords", seed=0
    )
    assert dict(zip(task.clusters, task.words, strict=True)) == {0: ("tea",), 1: ("snow",)}


def test_a_cluster_without_keywords_takes_words_of_the_vocabulary() -> None:
    keywords = {"coarse": {0: ["word0"]}}
    tasks = draw_cluster_tasks(
        grouped({"coarse": COARSE}, keywords),
        ["word0", "other"],
        n_tasks=5,
        classes=(2, 2),
        min_per_class=5,
        words="keywords",
        seed=0,
    )
    assert [dict(zip(task.clusters, task.words, strict=True)) for task in tasks] == [{0: ("word0",), 1: ("other",)}]


def test_as_many_tasks_as_there_are() -> None:
    # Two clusters, three words: six ways.
    tasks = draw_cluster_tasks(
        grouped({"coarse": COARSE}, {}),
        ["a", "b", "c"],
        n_tasks=50,
        classes=(2, 2),
        min_per_class=1,
        words="random",
        seed=0,
    )
    assert len(tasks) == 6


def test_more_tasks_begin_with_the_same_ones() -> None:
    few, many = drawn(n_tasks=10), drawn(n_tasks=30)
    assert [(task.clusters, task.words) for task in few] == [(task.clusters, task.words) for task in many[:10]]


def test_what_cannot_be_drawn_is_refused_with_advice() -> None:
    with pytest.raises(UserError, match=r"(?s)fine 6, coarse 2.*min_per_class"):
        drawn(classes=(7, 8))
    with pytest.raises(UserError, match="fine 0, coarse 0"):
        drawn(min_per_class=11)
    with pytest.raises(UserError, match="classes is"):
        drawn(classes=(3, 2))
    with pytest.raises(UserError, match="1 words to draw from"):
        draw_cluster_tasks(
            grouped(CLUSTERINGS, {}), ["one"], n_tasks=1, classes=(2, 2), min_per_class=1, words="random", seed=0
        )
    with pytest.raises(UserError, match="there is no clustering"):
        draw_cluster_tasks(grouped({}, {}), [], n_tasks=1, classes=(2, 2), min_per_class=1, words="random", seed=0)


@settings(deadline=None)
@given(
    labels=st.lists(st.integers(-1, 4), min_size=1, max_size=40),
    least=st.integers(1, 4),
    most=st.integers(2, 4),
    words=st.sampled_from(["random", "keywords"]),
)
def test_any_labels_give_valid_tasks_or_a_clear_error(labels: list[int], least: int, most: int, words: str) -> None:
    ids = np.array(labels)
    large = [cluster for cluster in range(5) if (ids == cluster).sum() >= least]
    options = {"n_tasks": 3, "classes": (2, most), "min_per_class": least, "words": words, "seed": 1}
    if len(large) < 2:
        with pytest.raises(UserError):
            draw_cluster_tasks(grouped({"one": ids}, {}), VOCABULARY, **options)
        return
    tasks = draw_cluster_tasks(grouped({"one": ids}, {}), VOCABULARY, **options)
    assert len(tasks) == 3
    assert all(set(task.clusters) <= set(large) and len(task.clusters) <= most for task in tasks)


def test_common_words_leave_out_the_rarest_and_the_commonest() -> None:
    documents = ["The tea is hot", "the snow is hot x9", "the tea and the snow", "the hen naps", "a hen"]
    # the: 4 of 5; is: two letters; and, naps, x9: one document.
    assert common_words(documents) == ["hen", "hot", "snow", "tea"]
    assert common_words(documents, number=2) == ["hen", "hot"]
    assert common_words([]) == []
    assert common_words(["It doesn't cost", "it doesn’t cost", *["none"] * 2]) == ["cost", "none"]


def test_the_hundred_commonest_words_are_no_label_words() -> None:
    letters = "abcdefghij"
    words = [f"w{a}{b}{c}" for a in letters for b in letters for c in letters][:600]
    # Word n stands in documents n, n + 1 … to the last but one: the first stands in most.
    documents = [" ".join(words[: 600 - number]) for number in range(0, 600, 2)] + ["nothing here"] * 400
    made = common_words(documents, number=400)
    assert made[0] == words[100] and len(made) == 400


def test_common_words_of_scripts_without_spaces() -> None:
    documents = [
        "买茶壶送人",
        "这个茶壶好",
        "旧茶壶",
        "一把茶壶在",
        "新杯子一个",
        "人用杯子喝",
        "好杯子",
        *["无关"] * 3,
    ]
    assert set(common_words(documents)) >= {"茶壶", "杯子"}
    assert common_words(["يوم جميل", "جميل جدا", "ليل", "بيت"]) == ["جميل"]
