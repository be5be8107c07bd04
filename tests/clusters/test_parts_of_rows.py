"""What goes through rows a part at a time gives what the plain computation of all rows gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import normalize

from metapt_explore.auxiliary_tasks import soft
from metapt_explore.clusters import density, memberships, mixture, outliers, topics
from metapt_explore.clusters.algorithms import cluster
from metapt_explore.clusters.grouping import Inputs
from metapt_explore.clusters.memberships import membership_parts, membership_table, soft_clusters
from metapt_explore.clusters.outliers import move_by_words
from metapt_explore.config import ClusteringConfig
from metapt_explore.errors import UserError

CLUSTERINGS: list[dict[str, Any]] = [
    {"algorithm": "kmeans", "n_clusters": 3},
    {"algorithm": "gaussian_mixture", "n_clusters": 3},
    {"algorithm": "gaussian_mixture", "n_clusters": 3, "fit_rows": 60},
    {"algorithm": "hdbscan", "min_cluster_size": 8, "min_samples": 3},
    {"algorithm": "hdbscan", "min_cluster_size": 8, "min_samples": 3, "outliers": "own_task"},
    {"algorithm": "hdbscan", "min_cluster_size": 6, "min_samples": 3, "fit_rows": 90},
    {"algorithm": "lda", "n_clusters": 3},
    {"algorithm": "lda", "n_clusters": 8},  # some topics make no cluster
    {"algorithm": "lda", "n_clusters": 3, "fit_rows": 60},
]
WORDS = [["camera", "lens", "zoom", "photo"], ["oven", "knife", "kettle", "recipe"], ["song", "album", "guitar"]]
ROWS = 120


def slices(size: int) -> Any:
    def some(rows: int, asked: int = 0) -> Iterator[slice]:
        for first in range(0, rows, size):
            yield slice(first, min(first + size, rows))

    return some


def in_parts(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for module in (density, memberships, mixture, outliers, soft, topics):
        monkeypatch.setattr(module, "row_slices", slices(size))


def world() -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(4)
    subject = random.permutation(np.repeat([0, 1, 2], [50, 40, 30]))
    texts = [" ".join(random.choice(WORDS[s], 5)) for s in subject]
    texts[11] = texts[70] = "and the"  # no word that counts
    return np.eye(6)[subject] + 0.3 * random.normal(size=(ROWS, 6)), texts


def config_of(entry: dict[str, Any]) -> ClusteringConfig:
    return ClusteringConfig.model_validate({"name": "c", **entry})


@pytest.mark.parametrize("entry", CLUSTERINGS, ids=lambda entry: "-".join(map(str, entry.values())))
def test_memberships_in_parts(entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, texts = world()
    config = config_of(entry)
    whole = cluster(rows, config, 0, texts=texts)
    ((chosen, expected),) = membership_parts(Inputs(rows, config, 0, texts=texts), whole.labels)
    assert chosen == slice(0, ROWS)
    in_parts(monkeypatch, 7)
    found = cluster(rows, config, 0, texts=texts)
    np.testing.assert_array_equal(found.labels, whole.labels)
    np.testing.assert_allclose(found.membership, whole.membership, rtol=1e-6)
    told: list[int] = []
    soft_ones = soft_clusters(Inputs(rows, config, 0, texts=texts), whole.labels, told.append)
    assert told == [*range(7, ROWS, 7), ROWS]
    np.testing.assert_allclose(soft_ones.matrix, expected.astype(np.float16), atol=1e-3)
    pd.testing.assert_frame_equal(soft_ones.table, membership_table(expected, whole.labels), atol=1e-6)


@pytest.mark.parametrize("algorithm", ["lda", "gaussian_mixture", "hdbscan"])
def test_other_clusters_are_refused_in_parts_too(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, texts = world()
    config = config_of(next(entry for entry in CLUSTERINGS if entry["algorithm"] == algorithm))
    labels = cluster(rows, config, 0, texts=texts).labels
    inside = np.flatnonzero(labels >= 0)[-3:]
    labels[inside] = (labels[inside] + 1) % 3
    in_parts(monkeypatch, 7)
    with pytest.raises(UserError, match="clustered again, 3 of 120 texts are in another cluster"):
        soft_clusters(Inputs(rows, config, 0, texts=texts), labels)


def test_a_table_is_that_of_sorted_probabilities() -> None:
    """The plain way: sort each row; equal ones keep their order."""
    random = np.random.default_rng(1)
    probabilities = random.integers(0, 4, size=(300, 6)) / 24  # many are equal, some rows are 0
    labels = random.integers(-1, 6, size=300)
    table = membership_table(probabilities, labels, first_row=50)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    somewhere = probabilities.any(axis=1)
    for place, name in enumerate(("first", "second")):
        assert table[name].tolist() == np.where(somewhere, order[:, place], -1).tolist()
        assert table[f"{name}_probability"].tolist() == probabilities[np.arange(300), order[:, place]].tolist()
    assert table["row"].tolist() == list(range(50, 350))


def test_outliers_move_by_words_in_parts_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    _, texts = world()
    labels = np.array([0, 1, 2, *random.integers(-1, 3, ROWS - 3)])
    counts, _ = topics.bag_of_words(texts)
    assert counts is not None
    dense = counts.toarray()
    of_clusters = np.stack([dense[labels == each].sum(axis=0) for each in range(3)])
    weights = np.log1p(of_clusters.sum() / 3 / np.maximum(of_clusters.sum(axis=0), 1))
    likeness = normalize(dense * weights) @ normalize(of_clusters * weights).T
    moves = (labels < 0) & (likeness.max(axis=1) > 0)
    for size in (5, ROWS):
        in_parts(monkeypatch, size)
        found = move_by_words(texts, labels, 0.0)
        np.testing.assert_array_equal(found.to, np.where(moves, likeness.argmax(axis=1), -1))
        np.testing.assert_allclose(found.by, np.where(moves, likeness.max(axis=1), 0.0))


def test_outliers_move_by_probability_in_parts_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, texts = world()
    for more in ({}, {"fit_rows": 90}):
        entry = {"algorithm": "hdbscan", "min_cluster_size": 6, "min_samples": 3, "outliers": "probability", **more}
        whole = cluster(rows, config_of(entry), 0, texts=texts)
        with monkeypatch.context() as patch:
            in_parts(patch, 5)
            found = cluster(rows, config_of(entry), 0, texts=texts)
        assert whole.moved is not None and whole.moved.any()
        np.testing.assert_array_equal(found.labels, whole.labels)
        np.testing.assert_allclose(found.membership, whole.membership, rtol=1e-6)


def test_soft_tasks_read_half_precision_as_single(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    half = random.dirichlet(np.ones(5), size=ROWS).astype(np.float16)
    labels = random.integers(-1, 5, size=ROWS)
    least = float(np.nextafter(np.float32(half[4, 2]), np.float32(1)))  # in half precision it would be equal
    expected = soft.probable_members(half.astype(np.float32), labels, least)
    in_parts(monkeypatch, 7)
    np.testing.assert_array_equal(soft.probable_members(half, labels, least), expected)
