"""Outliers that are moved into clusters: against plain references, and by what must hold for all of them."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from metapt_explore.clusters.algorithms import cluster
from metapt_explore.clusters.grouping import Grouping
from metapt_explore.clusters.outliers import count_moved, format_moved, move_by_words, move_to_centroids
from metapt_explore.config import ClusteringConfig, HdbscanClustering

SUBJECTS = [["camera", "lens", "zoom", "photo"], ["oven", "knife", "kettle", "recipe"], ["song", "album", "guitar"]]


def world() -> tuple[np.ndarray, list[str]]:
    """Three dense places, and rows at random between them; a text of each row's subject."""
    random = np.random.default_rng(2)
    subject = random.permutation(np.repeat([0, 1, 2], [50, 40, 30]))
    rows = np.eye(8)[subject] + random.choice([0.05, 0.6], size=(120, 1)) * random.normal(size=(120, 8))
    return rows, [" ".join(random.choice(SUBJECTS[s], 5)) for s in subject]


def group(threshold: float = 0.0, **settings: Any) -> Grouping:
    rows, texts = world()
    given_threshold = {"outlier_threshold": threshold} if threshold else {}
    tree = {"name": "dense", "algorithm": "hdbscan", "min_cluster_size": 10, "min_samples": 3, **settings}
    return cluster(rows, ClusteringConfig.model_validate({**tree, **given_threshold}), seed=0, texts=texts)


def test_a_setting_that_is_not_used_does_not_enter_an_id() -> None:
    plain = HdbscanClustering(name="d", algorithm="hdbscan")
    assert plain.model_dump() == {
        "name": "d", "algorithm": "hdbscan", "dimensions": 50, "min_cluster_size": 15, "min_samples": None
    }  # fmt: skip
    moved = HdbscanClustering(name="d", algorithm="hdbscan", outliers="own_task")
    assert moved.model_dump() == {**plain.model_dump(), "outliers": "own_task"}
    assert HdbscanClustering.model_validate(moved.model_dump()) == moved


def test_a_threshold_needs_something_that_is_moved_by_it() -> None:
    for outliers in ("drop", "own_task"):
        with pytest.raises(ValueError, match="`outlier_threshold` goes with `outliers: nearest_centroid`"):
            ClusteringConfig(name="d", algorithm="hdbscan", outliers=outliers, outlier_threshold=0.1)


@pytest.mark.parametrize("outliers", ["own_task", "nearest_centroid", "probability", "c_tf_idf"])
def test_only_outliers_move(outliers: str) -> None:
    before, after = group(), group(outliers=outliers)
    inside = before.labels >= 0
    assert 20 < (~inside).sum() < 80 and before.moved is None and after.moved is not None
    np.testing.assert_array_equal(before.labels[inside], after.labels[inside])
    np.testing.assert_array_equal(before.membership[inside], after.membership[inside])
    assert after.moved.sum() > 10 and not after.moved[inside].any()
    np.testing.assert_array_equal(after.labels >= 0, inside | after.moved)
    assert (after.membership[after.moved] > 0).all() and (after.membership[after.labels < 0] == 0).all()


def test_a_cluster_of_outliers_is_the_last_and_is_called_so() -> None:
    before, after = group(), group(outliers="own_task")
    number = before.labels.max() + 1
    np.testing.assert_array_equal(after.labels == number, before.labels < 0)
    assert after.names == {number: "outliers"} and (after.labels >= 0).all()


@pytest.mark.parametrize(("outliers", "bound"), [("nearest_centroid", 0.3), ("probability", 0.1), ("c_tf_idf", 0.3)])
def test_a_higher_threshold_moves_fewer_to_the_same_clusters(outliers: str, bound: float) -> None:
    low, high = group(outliers=outliers), group(bound, outliers=outliers)
    assert low.moved is not None and high.moved is not None
    assert 0 < high.moved.sum() <= low.moved.sum() and not (high.moved & ~low.moved).any()
    np.testing.assert_array_equal(high.labels[high.moved], low.labels[high.moved])
    assert (high.membership[high.moved] >= bound).all()
    np.testing.assert_array_equal(high.moved[low.moved], low.membership[low.moved] >= bound)


def test_by_probability_they_go_where_the_package_says() -> None:
    from hdbscan import HDBSCAN, all_points_membership_vectors

    from metapt_explore.clusters.reduce import reduce_embeddings

    rows, _ = world()
    fitted = HDBSCAN(min_cluster_size=10, min_samples=3, prediction_data=True).fit(reduce_embeddings(rows, 50))
    vectors = all_points_membership_vectors(fitted)
    after, before = group(0.1, outliers="probability"), group()
    moved = (fitted.labels_ < 0) & (vectors.max(axis=1) >= 0.1)
    np.testing.assert_array_equal(after.moved, moved)
    number_of = {int(theirs): int(ours) for theirs, ours in zip(fitted.labels_, before.labels, strict=True)}
    assert after.labels[moved].tolist() == [number_of[best] for best in vectors.argmax(axis=1)[moved].tolist()]


@given(
    hnp.arrays(float, (12, 3), elements=st.floats(-1, 1).map(lambda x: round(x, 3))),
    st.lists(st.integers(-1, 2), min_size=9, max_size=9),
    st.floats(0, 1),
)
def test_nearest_centroids_by_loops(rows: np.ndarray, labels: list[int], threshold: float) -> None:
    all_labels = np.array([0, 1, 2, *labels])
    unit = [row / np.linalg.norm(row) if np.linalg.norm(row) else row for row in rows]
    centroids = [np.mean([unit[i] for i in range(12) if all_labels[i] == c], axis=0) for c in range(3)]
    made = move_to_centroids(rows, all_labels, threshold)
    for row, label in enumerate(all_labels.tolist()):
        cosines = [float(unit[row] @ c / np.linalg.norm(c)) if np.linalg.norm(c) > 1e-9 else 0.0 for c in centroids]
        if label >= 0 or max(cosines) < threshold - 1e-9 or max(cosines) < -1e-9:
            assert made.to[row] == -1
        elif max(cosines) > threshold + 1e-9 and max(cosines) > 1e-9:
            assert cosines[made.to[row]] == pytest.approx(max(cosines), abs=1e-9)


def test_words_by_the_formula_of_bertopic() -> None:
    """c-TF-IDF (`ClassTfidfTransformer`): share of the words times log(1 + mean words a class / count in all)."""
    texts = ["camera lens", "lens zoom zoom", "oven knife", "knife oven kettle", "lens oven oven", "kettle", "unheard"]
    labels = np.array([0, 0, 1, 1, -1, -1, -1])
    words = [text.split() for text in texts]
    known = {word for each in words for word in each if sum(word in other for other in words) >= 2}
    of_class = [Counter(w for each, of in zip(words, labels, strict=True) if of == c for w in each if w in known)
                for c in (0, 1)]  # fmt: skip
    mean = sum(sum(counts.values()) for counts in of_class) / 2
    idf = {word: math.log(1 + mean / sum(counts[word] for counts in of_class)) for word in known}

    def weights(counts: Counter[str]) -> dict[str, float]:
        return {word: count / sum(counts.values()) * idf[word] for word, count in counts.items()}

    def cosine(a: dict[str, float], b: dict[str, float]) -> float:
        length = math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
        return sum(a[word] * b.get(word, 0.0) for word in a) / length if length else 0.0

    made = move_by_words(texts, labels, 0.0)
    for row in (4, 5):
        own = weights(Counter(word for word in words[row] if word in known))
        likeness = [cosine(own, weights(counts)) for counts in of_class]
        assert made.to[row] == int(np.argmax(likeness)) and made.by[row] == pytest.approx(max(likeness))
    assert made.to[6] == -1  # no word of it is known


def test_texts_without_words_stay_out() -> None:
    assert move_by_words(["1", "2", "3"], np.array([0, 1, -1]), 0.0).to.tolist() == [-1, -1, -1]


def test_what_moved_is_counted_and_said() -> None:
    labels, moved = np.array([0, 0, 1, -1, 1]), np.array([False, True, False, False, True])
    counts = count_moved({"outliers": "c_tf_idf", "outlier_threshold": 0.25}, labels, moved)
    assert counts["into"] == {"0": 1, "1": 1} and (counts["outliers"], counts["moved"], counts["rows"]) == (3, 2, 5)
    assert format_moved(counts) == (
        "2 of 3 outliers (of 5 texts) were given to the cluster with the most similar words (0.25 or more); "
        "1 stays out."
    )
    assert count_moved({}, labels, None) == {} and format_moved({}) == ""
    whole = count_moved({"outliers": "own_task"}, np.array([0, 1]), np.array([False, True]))
    assert format_moved(whole) == "1 of 1 outliers (of 2 texts) was put into a cluster of their own."


def test_a_report_says_what_moved() -> None:
    from metapt_explore.reporting.background_sections import add_clusters
    from metapt_explore.reporting.document import Document

    counts = {"by": "nearest_centroid", "threshold": 0.0, "outliers": 7, "moved": 7, "rows": 90}
    clustering: dict[str, Any] = {
        "name": "dense", "algorithm": "hdbscan", "n_clusters": 1, "sizes": [90], "names": ["0: soup"], "outliers": 0,
        "moved": counts, "quality": {}, "agreement": None, "tasks": None,
    }  # fmt: skip
    document = Document("title")
    add_clusters(document, SimpleNamespace(clusterings=[clustering], study={"embeddings": {"kind": "tfidf"}}))  # type: ignore[arg-type]
    wanted = "`dense`: 7 of 7 outliers (of 90 texts) were given to the cluster with the nearest centroid; 0 stay out."
    assert wanted in document.markdown()
    assert "made from words (TF-IDF), not from the sentence encoder." in document.markdown()
