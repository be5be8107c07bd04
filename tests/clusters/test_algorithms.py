from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import adjusted_rand_score

from metapt_explore.clusters.algorithms import cluster, renumber_by_size
from metapt_explore.clusters.reduce import normalise
from metapt_explore.config import PACKAGE_FOLDER, ClusteringConfig
from metapt_explore.errors import UserError

WORDS = ["lens", "zoom", "photo", "page", "author", "chapter", "oven", "knife"]
LABELS = hnp.arrays(np.int64, st.integers(0, 60), elements=st.integers(-1, 5))


def config(algorithm: str, **settings: Any) -> ClusteringConfig:
    if algorithm == "random_groups":
        settings.setdefault("like", "topics")
    if algorithm == "edited":
        settings |= {"like": "topics", "edits": [{"split": 0}]}
    fields = ClusteringConfig.kinds[algorithm].model_fields
    own = {key: value for key, value in settings.items() if key in fields}
    return ClusteringConfig.model_validate({"name": "mine", "algorithm": algorithm, **own})


def blobs(noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Rows around orthogonal directions, of very different lengths, shuffled; and their blob."""
    random = np.random.default_rng(5)
    blob = random.permutation(np.repeat([0, 1, 2], [60, 40, 20]))
    rows = np.eye(16)[blob] + noise * random.normal(size=(len(blob), 16))
    return rows * random.uniform(0.1, 50, size=(len(blob), 1)), blob


def test_every_algorithm_of_the_config_has_its_function() -> None:
    for algorithm in ClusteringConfig.kinds:
        assert config(algorithm).load("metapt_explore.clusters").__name__ == algorithm


@pytest.mark.parametrize("algorithm", ["kmeans", "minibatch_kmeans", "hdbscan", "gaussian_mixture", "agglomerative"])
def test_finds_blobs_whatever_the_length_of_the_vectors(algorithm: str) -> None:
    rows, blob = blobs()
    found = cluster(rows, config(algorithm, n_clusters=3, min_cluster_size=10, min_samples=2), seed=0)
    inside = found.labels >= 0
    assert inside.mean() > 0.9
    # The blobs are numbered by size already.
    assert adjusted_rand_score(blob[inside], found.labels[inside]) == 1.0
    np.testing.assert_array_equal(found.labels[inside], blob[inside])
    assert (found.membership[inside] > 0).all() and (found.membership <= 1).all()
    assert (found.membership[~inside] == 0).all()


@pytest.mark.parametrize("algorithm", sorted(ClusteringConfig.kinds))
def test_same_input_same_labels(algorithm: str) -> None:
    rows, blob = blobs(noise=0.5)
    settings = config(algorithm, n_clusters=5, min_cluster_size=5, min_samples=1)
    arguments: dict[str, Any] = {"groups": [f"g{b}" for b in blob], "like": blob}
    arguments["texts"] = [" ".join(np.random.default_rng(b).choice(WORDS, 6)) for b in range(len(blob))]
    first, second = (cluster(rows, settings, seed=3, **arguments) for _ in range(2))
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.membership, second.membership)
    assert first.labels.shape == first.membership.shape == (len(rows),)
    assert first.labels.dtype == np.int64


def test_kmeans_strength_is_the_cosine_to_the_centroid() -> None:
    # Two clusters: directions 0° and 90° (centroid 45°), and one row alone.
    rows = np.array([[2.0, 0.0], [0.0, 7.0], [-1.0, -1.0]])
    found = cluster(rows, config("kmeans", n_clusters=2), seed=0)
    assert found.labels.tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.membership, [np.sqrt(0.5), np.sqrt(0.5), 1.0])


def test_kmeans_matches_scikit_learn_without_reduction() -> None:
    from sklearn.cluster import KMeans

    rows, _ = blobs()
    expected = KMeans(3, n_init=4, random_state=0).fit(normalise(rows)).labels_
    assert adjusted_rand_score(expected, cluster(rows, config("kmeans", n_clusters=3), seed=9).labels) == 1.0


def test_kmeans_bad_input() -> None:
    with pytest.raises(UserError, match=r"'mine': 3 texts cannot make 6 clusters. Lower n_clusters"):
        cluster(np.eye(3), config("kmeans"), seed=0)
    with pytest.raises(UserError, match=r"too few different embeddings \(2\) for 6 clusters"):
        cluster(np.repeat(np.eye(4)[:2], 10, axis=0), config("kmeans"), seed=0)
    with pytest.raises(UserError, match="1 of 3 embeddings hold values that are not finite"):
        cluster(np.array([[1, 0], [np.nan, 1], [0, 1]]), config("kmeans", n_clusters=2), seed=0)


@pytest.mark.parametrize("rows", [0, 1, 3, 40])
def test_hdbscan_without_a_cluster(rows: int) -> None:
    spread = np.random.default_rng(0).normal(size=(rows, 30))
    with pytest.raises(UserError, match=rf"no cluster among {rows} texts. Lower min_cluster_size \(now 15\)"):
        cluster(spread, config("hdbscan"), seed=0)


def test_hdbscan_of_repeated_rows_has_a_finite_strength() -> None:
    found = cluster(np.repeat(np.eye(4)[:3], 10, axis=0), config("hdbscan", min_cluster_size=5), seed=0)
    assert found.labels.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert np.isfinite(found.membership).all()


def test_one_pool() -> None:
    found = cluster(np.zeros((3, 2)), config("one_pool"), seed=0)
    assert found.labels.tolist() == [0, 0, 0] and found.membership.tolist() == [1.0, 1.0, 1.0]
    assert found.names is None


@given(LABELS, st.integers(0, 100))
def test_random_groups_keep_sizes_and_outliers(like: np.ndarray, seed: int) -> None:
    before = like.copy()
    found = cluster(np.zeros((len(like), 2)), config("random_groups"), seed, like=like)
    assert Counter(found.labels.tolist()) == Counter(like.tolist())
    np.testing.assert_array_equal(found.labels == -1, like == -1)
    np.testing.assert_array_equal(found.membership, np.where(like >= 0, 1.0, 0.0))
    np.testing.assert_array_equal(like, before)  # the caller's array is left alone


def test_random_groups_are_random_and_differ_by_seed_and_name() -> None:
    like = np.repeat(np.arange(4), 100)
    rows = np.zeros((400, 2))
    first = cluster(rows, config("random_groups"), seed=0, like=like).labels
    other_seed = cluster(rows, config("random_groups"), seed=1, like=like).labels
    other_name = cluster(rows, config("random_groups", name="second"), seed=0, like=like).labels
    for left, right in ((first, like), (first, other_seed), (first, other_name)):
        assert abs(adjusted_rand_score(left, right)) < 0.05


def test_known_groups_are_numbered_by_size_then_name() -> None:
    groups = ["small", None, "beta", "alpha", "beta", "alpha"]
    found = cluster(np.zeros((6, 2)), config("known_groups"), seed=0, groups=groups)
    assert found.names == {0: "alpha", 1: "beta", 2: "small"}
    assert found.labels.tolist() == [2, -1, 1, 0, 1, 0]
    assert found.membership.tolist() == [1.0, 0.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("groups", [None, [None, None]])
def test_known_groups_without_groups(groups: list[str | None] | None) -> None:
    with pytest.raises(UserError, match=r"`texts.columns.group` must name a column"):
        cluster(np.zeros((2, 2)), config("known_groups"), seed=0, groups=groups)


def test_one_entry_per_row() -> None:
    with pytest.raises(ValueError, match="groups has 1 entries for 2 rows"):
        cluster(np.zeros((2, 2)), config("known_groups"), seed=0, groups=["a"])
    with pytest.raises(ValueError, match="like has 3 entries for 2 rows"):
        cluster(np.zeros((2, 2)), config("random_groups"), seed=0, like=np.zeros(3))
    with pytest.raises(ValueError, match="texts has 1 entries for 2 rows"):
        cluster(np.zeros((2, 2)), config("lda"), seed=0, texts=["a"])
    with pytest.raises(ValueError, match="`texts` must hold the texts"):
        cluster(np.zeros((2, 2)), config("lda"), seed=0)
    with pytest.raises(ValueError, match="`like` must hold the labels of clustering 'topics'"):
        cluster(np.zeros((2, 2)), config("random_groups"), seed=0)


def test_renumber_ties_go_to_the_first_row() -> None:
    assert renumber_by_size(np.array([4, 2, 2, 4, 9, -1, 7, 7, 7])).tolist() == [1, 2, 2, 1, 3, -1, 0, 0, 0]
    assert renumber_by_size(np.array([], dtype=int)).tolist() == []


@given(LABELS)
def test_renumbering_sorts_by_size_and_keeps_the_partition(labels: np.ndarray) -> None:
    found = renumber_by_size(labels)
    sizes = np.bincount(found[found >= 0])
    assert (np.diff(sizes) <= 0).all() and (sizes > 0).all()
    np.testing.assert_array_equal(found == -1, labels == -1)
    assert len(set(zip(found.tolist(), labels.tolist(), strict=True))) == len(set(labels.tolist()))
    np.testing.assert_array_equal(renumber_by_size(found), found)


def test_a_seed_of_its_own_takes_the_place_of_the_studys() -> None:
    rows, _ = blobs(noise=1.0)
    like = np.repeat(np.arange(4), 30)
    for algorithm in ("kmeans", "minibatch_kmeans", "random_groups"):
        own, studys, other = (
            cluster(rows, config(algorithm, n_clusters=6, **settings), seed=seed, like=like).labels
            for settings, seed in (({"seed": 3}, 0), ({}, 3), ({"seed": 4}, 0))
        )
        np.testing.assert_array_equal(own, studys)
        assert adjusted_rand_score(own, other) < 1.0


@pytest.mark.parametrize("algorithm", ["hdbscan", "one_pool", "known_groups"])
def test_a_seed_where_nothing_is_drawn_is_refused(algorithm: str) -> None:
    with pytest.raises(ValueError, match=f"`seed` belongs to .*, not to {algorithm}: it draws no random numbers"):
        ClusteringConfig.model_validate({"name": "mine", "algorithm": algorithm, "seed": 1})


def test_importing_the_modules_stays_light() -> None:
    names = ("algorithms", "topics", "quality", "names", "reduce")
    modules = ", ".join(
        [*(f"metapt_explore.clusters.{name}" for name in names), "metapt_explore.auxiliary_tasks.labels"]
    )
    heavy = "{'sklearn', 'hdbscan', 'scipy', 'torch', 'transformers'} & set(sys.modules)"
    command = [sys.executable, "-c", f"import sys, {modules}; print({heavy})"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE_FOLDER.parent, encoding="utf-8")
    assert done.stdout.strip() == "set()", done.stderr
