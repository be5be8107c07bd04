from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)

from metapt_explore.clusters import quality
from metapt_explore.clusters.quality import agreement, cluster_quality, density_validity


def rows(count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    labels = random.integers(-1, 4, count)
    return np.eye(5)[labels] * 2 + random.normal(size=(count, 5)), labels


def test_by_hand() -> None:
    # Clusters {0, 2} and {10, 12} on a line, and an outlier far away.
    points, labels = np.array([[0.0], [2.0], [10.0], [12.0], [99.0]]), np.array([0, 0, 1, 1, -1])
    found = cluster_quality(points, labels, seed=0)
    # Silhouette: outer rows (11 - 2) / 11, inner rows (9 - 2) / 9.
    assert found["silhouette"] == pytest.approx((9 / 11 + 7 / 9) / 2)
    # Davies-Bouldin: mean spread 1 of each, centroids 10 apart: (1 + 1) / 10.
    assert found["davies_bouldin"] == pytest.approx(0.2)
    # Calinski-Harabasz: between 4 × 5² over 1, within 4 × 1² over 2.
    assert found["calinski_harabasz"] == pytest.approx(50.0)
    assert found["outlier_share"] == pytest.approx(0.2)
    assert found["n_clusters"] == 2 and found["sizes"] == {0: 2, 1: 2} and found["silhouette_rows"] == 4


def test_agrees_with_scikit_learn_on_the_rows_inside() -> None:
    points, labels = rows()
    found, inside = cluster_quality(points, labels, seed=0), labels >= 0
    points, labels = points[inside], labels[inside]
    assert found["silhouette"] == pytest.approx(silhouette_score(points, labels))
    assert found["davies_bouldin"] == pytest.approx(davies_bouldin_score(points, labels))
    assert found["calinski_harabasz"] == pytest.approx(calinski_harabasz_score(points, labels))
    json.dumps(found)  # goes into an artifact


@pytest.mark.parametrize("labels", [[0, 0, 0], [-1, -1, 0], [-1, -1, -1], [0, 1, 2], [0, 1, -1]])
def test_nothing_to_measure(labels: list[int]) -> None:
    found = cluster_quality(np.eye(3), np.array(labels), seed=0)
    assert found["silhouette"] is found["davies_bouldin"] is found["calinski_harabasz"] is None
    assert found["n_clusters"] == len(set(labels) - {-1}) and found["silhouette_rows"] == 0


def test_no_rows() -> None:
    found = cluster_quality(np.zeros((0, 3)), np.zeros(0, dtype=int), seed=0)
    assert found["outlier_share"] == 0.0 and found["sizes"] == {}


def test_the_silhouette_of_many_rows_is_a_seeded_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    points, labels = rows(400)
    whole = cluster_quality(points, labels, seed=0)
    monkeypatch.setattr(quality, "SILHOUETTE_ROWS", 100)
    first, again, other = (cluster_quality(points, labels, seed) for seed in (0, 0, 1))
    assert first["silhouette_rows"] == 100 and whole["silhouette_rows"] == (labels >= 0).sum()
    assert first == again and first["silhouette"] != other["silhouette"]
    assert first["silhouette"] == pytest.approx(whole["silhouette"], abs=0.05)
    assert first["davies_bouldin"] == whole["davies_bouldin"]


def test_density_validity_by_hand() -> None:
    # On a line d = 1: a row's core distance is the harmonic mean of its distances to the rest of its cluster.
    points, labels = np.array([[0.0], [1.0], [2.0], [3.0], [20.0], [21.0], [22.0], [23.0]]), np.repeat([0, 1], 4)
    ends, inner = 3 / (1 + 1 / 2 + 1 / 3), 3 / (1 + 1 + 1 / 2)
    # The one inner edge (1 to 2) is as long as the larger core distance; inner rows of the clusters are 19 apart.
    sparseness, separation = max(1.0, inner), 19.0
    assert ends > inner and density_validity(points, labels) == pytest.approx((separation - sparseness) / separation)
    # An outlier takes its share of the weight, and nothing else.
    more = np.vstack([points, [[99.0]], [[120.0]]])
    noisy = density_validity(more, np.append(labels, [-1, 5]))  # a cluster of one row is an outlier
    assert noisy == pytest.approx(0.8 * (separation - sparseness) / separation)


def test_density_validity_sees_shapes_that_the_silhouette_does_not() -> None:
    turn = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    circle = np.column_stack([np.cos(turn), np.sin(turn)])
    rings, labels = np.vstack([circle, 3 * circle]), np.repeat([0, 1], 100)
    halves = (rings[:, 0] > 0).astype(int)
    right, wrong = (cluster_quality(rings, found, seed=0) for found in (labels, halves))
    assert right["dbcv"] > 0.5 > 0 > wrong["dbcv"]
    assert right["silhouette"] < wrong["silhouette"]
    assert right["dbcv_rows"] == 200


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3], [-1, -1, 0, 0], [0, 0, 1, 2]])
def test_density_validity_needs_two_clusters(labels: list[int]) -> None:
    found = cluster_quality(np.eye(4), np.array(labels), seed=0)
    assert found["dbcv"] is None and found["dbcv_rows"] == 0


def test_density_validity_of_equal_rows_is_not_a_number() -> None:
    assert density_validity(np.zeros((6, 3)), np.repeat([0, 1], 3)) is None
    assert density_validity(np.zeros((0, 3)), np.zeros(0, dtype=int)) is None


def test_density_validity_of_many_rows_is_a_seeded_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    points, labels = rows(400)
    monkeypatch.setattr(quality, "DBCV_ROWS", 150)
    first, again, other = (cluster_quality(points, labels, seed) for seed in (0, 0, 1))
    assert first["dbcv_rows"] == 150 and first["dbcv"] == again["dbcv"] != other["dbcv"]


def test_agreement_uses_rows_where_both_are_known() -> None:
    labels = np.array([0, 0, 1, 1, 1, -1, 0])
    groups = ["a", "a", "b", "b", "a", "a", None]
    found = agreement(labels, groups)
    assert found is not None and found["rows"] == 5
    assert found["adjusted_rand_index"] == pytest.approx(adjusted_rand_score(list("aabba"), [0, 0, 1, 1, 1]))
    expected = adjusted_mutual_info_score(list("aabba"), [0, 0, 1, 1, 1])
    assert found["adjusted_mutual_information"] == pytest.approx(expected)
    # By hand: 2 pairs together in both of 10, 4 together in each: (2 - 1.6) / (4 - 1.6).
    assert found["adjusted_rand_index"] == pytest.approx(1 / 6)


def test_agreement_of_equal_partitions_and_of_nothing() -> None:
    same = agreement(np.array([2, 2, 0, 0]), ["x", "x", "y", "y"])
    assert same == {"adjusted_rand_index": 1.0, "adjusted_mutual_information": pytest.approx(1.0), "rows": 4}
    assert agreement(np.array([0, 1]), None) is None
    assert agreement(np.array([0, -1, 1]), [None, "a", "b"]) is None
