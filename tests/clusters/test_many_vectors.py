"""Many vectors, a part at a time: equal to what small numbers of them get, up to float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metapt_explore.clusters.algorithms import cluster
from metapt_explore.clusters.centroids import cosine_to_own, most_similar, unit_means
from metapt_explore.clusters.names import keywords
from metapt_explore.clusters.reduce import project, reduce_embeddings
from metapt_explore.config import ClusteringConfig, limits
from metapt_explore.errors import UserError
from metapt_explore.storage import shards
from metapt_explore.storage.shards import StoredVectors, halved, shard_name, whole_shard, write_shard

ROWS = 300


def vectors() -> np.ndarray:
    random = np.random.default_rng(1)
    centres = 3 + random.normal(size=(4, 16))
    return (centres[np.arange(ROWS) % 4] + 0.3 * random.normal(size=(ROWS, 16))).astype(np.float32)


def stored(folder: Path, rows: np.ndarray, size: int = 70) -> StoredVectors:
    files = []
    for number, first in enumerate(range(0, len(rows), size)):
        files.append(folder / shard_name("embeddings", number))
        write_shard(files[-1], rows[first : first + size])
    return StoredVectors(files)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MANY_TEXTS", 50)
    monkeypatch.setattr(shards, "SHARD", 64)


def test_shards_read_as_one_array_in_half_precision(tmp_path: Path) -> None:
    rows = vectors()
    read = stored(tmp_path, rows)
    half = rows.astype(np.float16).astype(np.float32)
    assert read.shape == rows.shape and len(read) == ROWS
    chosen = np.array([299, 0, 70, 69, -1, 3])
    for some in (slice(None), slice(60, 150), slice(5, 5), chosen, half[:, 0] > 3):
        part = read[some]
        assert part.dtype == np.float32
        np.testing.assert_array_equal(part, half[some])
    np.testing.assert_array_equal(np.asarray(read), half)


def test_numbers_that_half_precision_cannot_hold_stay_as_they_are() -> None:
    rows = vectors()
    assert halved(rows).dtype == np.float16 and halved(np.zeros((2, 3))).dtype == np.float16
    for factor in (1e-6, 1e5):
        np.testing.assert_array_equal(halved(rows * np.float32(factor)), rows * np.float32(factor))


def test_a_damaged_shard_is_found(tmp_path: Path) -> None:
    file = tmp_path / shard_name("embeddings", 0)
    write_shard(file, vectors())
    content = file.read_bytes()
    assert whole_shard(file, ROWS) and not whole_shard(file, ROWS - 1) and not whole_shard(tmp_path / "none", ROWS)
    for spoiled in (content[:-5], content[:-1] + bytes([content[-1] ^ 1]), b"", b"\xff" * 40):
        file.write_bytes(spoiled)
        assert not whole_shard(file, ROWS)


def test_components_and_map_of_many_are_those_of_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = vectors() * np.random.default_rng(0).uniform(0.5, 20, size=(ROWS, 1)).astype(np.float32)
    few, few_map = reduce_embeddings(rows, 5), project(rows)
    monkeypatch.setattr(limits, "MANY_TEXTS", 50)
    monkeypatch.setattr(shards, "SHARD", 64)
    reduced, position = reduce_embeddings(rows, 5), project(rows)
    assert reduced.dtype == position.dtype == np.float32
    np.testing.assert_allclose(reduced, few, atol=1e-5)
    np.testing.assert_allclose(position, few_map, atol=1e-3)
    np.testing.assert_allclose(reduce_embeddings(stored(tmp_path, rows), 5), few, atol=2e-3)


def test_means_and_cosines_of_many_are_those_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels = vectors(), np.arange(ROWS) % 4
    labels[:9] = -1
    few = unit_means(rows, labels), cosine_to_own(rows, labels), most_similar(rows, unit_means(rows, labels))
    monkeypatch.setattr(limits, "MANY_TEXTS", 50)
    np.testing.assert_allclose(unit_means(rows, labels), few[0], atol=1e-6)
    np.testing.assert_allclose(cosine_to_own(rows, labels), few[1], atol=1e-6)
    np.testing.assert_array_equal(most_similar(rows, few[0])[0], few[2][0])


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("algorithm", ["kmeans", "hdbscan", "gaussian_mixture", "agglomerative"])
def test_shards_are_clustered_like_arrays(algorithm: str, tmp_path: Path) -> None:
    settings = {"n_clusters": 4} if algorithm != "hdbscan" else {"min_cluster_size": 10}
    config = ClusteringConfig.model_validate({"name": "k", "algorithm": algorithm, "dimensions": 5, **settings})
    whole, parts = cluster(vectors(), config, seed=0), cluster(stored(tmp_path, vectors()), config, seed=0)
    np.testing.assert_array_equal(whole.labels, parts.labels)
    np.testing.assert_allclose(whole.membership, parts.membership, atol=0.02)
    inside = whole.labels >= 0
    assert inside.mean() > 0.8
    assert len({(label, row % 4) for row, label in enumerate(whole.labels.tolist()) if label >= 0}) == 4


@pytest.mark.usefixtures("many")
def test_many_vectors_that_are_not_finite_are_counted() -> None:
    rows = vectors()
    rows[[3, 200], 5] = np.nan
    with pytest.raises(UserError, match="2 of 300 embeddings"):
        reduce_embeddings(rows, 5)


def test_words_of_many_texts_come_from_some_of_each_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MANY_TEXTS", 50)
    monkeypatch.setattr("metapt_explore.clusters.names.WORD_TEXTS", 40)
    monkeypatch.setattr("metapt_explore.clusters.names.LEAST_OF_CLUSTER", 5)
    labels = np.array([0] * 80 + [1] * 15 + [-1] * 5)
    texts = ["soup"] * 80 + ["train"] * 15 + ["lens"] * 5
    assert keywords(texts, labels) == {0: ["soup"], 1: ["train"]}
