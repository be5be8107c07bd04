from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from metapt_explore.clusters.algorithms import cluster
from metapt_explore.clusters.grouping import Grouping
from metapt_explore.clusters.topics import bag_of_words
from metapt_explore.config import ClusteringConfig
from metapt_explore.errors import UserError

TOPICS = [["camera", "lens", "zoom", "photo"], ["oven", "knife", "kettle", "recipe"], ["song", "album", "guitar"]]


def group(texts: list[str], seed: int = 0, **settings: Any) -> Grouping:
    config = ClusteringConfig.model_validate({"name": "mine", "algorithm": "lda", **settings})
    return cluster(np.zeros((len(texts), 2)), config, seed=seed, texts=texts)


def written(counts: tuple[int, ...] = (40, 30, 20)) -> tuple[list[str], np.ndarray]:
    random = np.random.default_rng(0)
    topic = random.permutation(np.repeat(np.arange(len(counts)), counts))
    return ["The " + " ".join(random.choice(TOPICS[t], 6)) + " is 7!" for t in topic], topic


def test_texts_of_one_subject_share_a_topic() -> None:
    texts, topic = written()
    found = group(texts, n_clusters=3)
    assert adjusted_rand_score(topic, found.labels) == 1.0
    np.testing.assert_array_equal(found.labels, topic)  # numbered by size
    # Six words of one topic against priors of a third for each: near (6 + 1/3) / (6 + 1).
    np.testing.assert_allclose(found.membership, (6 + 1 / 3) / 7, atol=0.03)


def test_a_text_without_a_counted_word_is_in_no_cluster() -> None:
    texts, _ = written()
    found = group([*texts, "", "the and of", "unheard"], n_clusters=3)
    assert found.labels[-3:].tolist() == [-1, -1, -1] and found.membership[-3:].tolist() == [0.0, 0.0, 0.0]
    assert (found.labels[:-3] >= 0).all()


def test_preprocessing() -> None:
    counts, words = bag_of_words(["Don't ZOOM 12 zoom", "zoom, Über-Linse", "über x", "once"])
    assert counts is not None and words == ["zoom", "über"]
    assert counts.toarray().tolist() == [[2, 0], [1, 1], [0, 1], [0, 0]]
    for empty in ([], ["the", "of"], ["one word", "other text"]):
        assert bag_of_words(empty) == (None, [])


def test_the_seed_changes_topics_that_are_not_there() -> None:
    random = np.random.default_rng(1)
    words = [word for topic in TOPICS for word in topic]
    texts = [" ".join(random.choice(words, 4)) for _ in range(120)]
    first, other = (group(texts, seed=seed, n_clusters=4).labels for seed in (0, 1))
    assert adjusted_rand_score(first, other) < 0.8


def test_bad_input() -> None:
    with pytest.raises(UserError, match=r"'mine': 2 texts cannot make 6 topics. Lower n_clusters"):
        group(["a lens", "a zoom"])
    with pytest.raises(UserError, match="no word stands in 2 of the 3 texts"):
        group(["lens", "zoom", "song"], n_clusters=2)


def test_words_of_scripts_without_spaces_are_counted_whole() -> None:
    texts = ["这次买的茶壶非常好", "旧茶壶太差了", "送人一个茶壶", "手柄坏了的茶壶", "新手柄", "红手柄很滑"]
    counts, words = bag_of_words(texts)
    assert counts is not None and words == ["手柄", "茶壶"]
    assert counts.toarray().sum(axis=0).tolist() == [3, 4]
