"""How probable each cluster is: against the packages that say so, and by what must hold for every clustering."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny

from metapt_explore.clusters.algorithms import cluster
from metapt_explore.clusters.grouping import Inputs
from metapt_explore.clusters.memberships import membership_parts, membership_summary, membership_table
from metapt_explore.clusters.reduce import reduce_embeddings
from metapt_explore.config import ClusteringConfig, StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.study.study import Study

SOFT = {
    "kmeans": {"n_clusters": 3},
    "minibatch_kmeans": {"n_clusters": 3},
    "agglomerative": {"n_clusters": 3, "linkage": "average"},
    "gaussian_mixture": {"n_clusters": 3, "covariance": "spherical"},
    "hdbscan": {"min_cluster_size": 8, "min_samples": 3},
    "lda": {"n_clusters": 3},
}
WORDS = [["camera", "lens", "zoom", "photo"], ["oven", "knife", "kettle", "recipe"], ["song", "album", "guitar"]]


def world(noise: float = 0.3) -> tuple[np.ndarray, list[str], np.ndarray]:
    random = np.random.default_rng(4)
    subject = random.permutation(np.repeat([0, 1, 2], [50, 40, 30]))
    texts = [" ".join(random.choice(WORDS[s], 5)) for s in subject]
    return np.eye(6)[subject] + noise * random.normal(size=(120, 6)), texts, subject


def memberships(inputs: Inputs[Any], labels: np.ndarray) -> np.ndarray:
    return np.concatenate([part for _, part in membership_parts(inputs, labels)])


def soft(algorithm: str, noise: float = 0.3, **more: Any) -> tuple[np.ndarray, np.ndarray]:
    rows, texts, _ = world(noise)
    config = ClusteringConfig.model_validate({"name": "c", "algorithm": algorithm, **SOFT[algorithm], **more})
    labels = cluster(rows, config, 0, texts=texts).labels
    return memberships(Inputs(rows, config, 0, texts=texts), labels), labels


@pytest.mark.parametrize("algorithm", SOFT)
def test_they_are_probabilities_of_the_clusters(algorithm: str) -> None:
    probabilities, labels = soft(algorithm, noise=0.2)
    assert probabilities.shape == (len(labels), labels.max() + 1)
    assert (probabilities >= 0).all() and (probabilities.sum(axis=1) <= 1 + 1e-9).all()
    inside = labels >= 0
    assert (probabilities.argmax(axis=1)[inside] == labels[inside]).mean() > 0.95
    if algorithm != "hdbscan":
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_of_a_mixture_they_say_the_clusters_themselves() -> None:
    from sklearn.mixture import GaussianMixture

    from metapt_explore.seeds import derived_seed

    probabilities, labels = soft("gaussian_mixture")
    np.testing.assert_array_equal(probabilities.argmax(axis=1), labels)
    state = derived_seed(0, "clustering", "gaussian_mixture") % 2**32
    reduced = reduce_embeddings(world()[0], 50)
    theirs = GaussianMixture(3, covariance_type="spherical", n_init=4, random_state=state).fit(reduced)
    np.testing.assert_allclose(np.sort(probabilities), np.sort(theirs.predict_proba(reduced)))


def test_by_distance_is_a_mixture_of_equal_round_gaussians() -> None:
    """Responsibilities of scikit-learn's mixture, given these centroids and this variance."""
    from sklearn.mixture import GaussianMixture

    rows, _, labels = world()
    config = ClusteringConfig(name="c", algorithm="kmeans", n_clusters=3)
    reduced = reduce_embeddings(rows, 50)
    centroids = np.stack([reduced[labels == c].mean(axis=0) for c in range(3)])
    variance = np.square(reduced - centroids[labels]).mean()
    mixture = GaussianMixture(3, covariance_type="spherical")
    mixture.weights_, mixture.means_ = np.full(3, 1 / 3), centroids
    mixture.covariances_, mixture.precisions_cholesky_ = np.full(3, variance), np.full(3, variance**-0.5)
    found = memberships(Inputs(rows, config, 0), labels)
    np.testing.assert_allclose(found, mixture.predict_proba(reduced), atol=1e-9)


def test_of_hdbscan_they_are_the_packages_vectors_by_size() -> None:
    from hdbscan import HDBSCAN, all_points_membership_vectors

    probabilities, labels = soft("hdbscan")
    fitted = HDBSCAN(min_cluster_size=8, min_samples=3, prediction_data=True).fit(reduce_embeddings(world()[0], 50))
    vectors = all_points_membership_vectors(fitted)
    for theirs in range(vectors.shape[1]):
        (ours,) = set(labels[fitted.labels_ == theirs].tolist())
        np.testing.assert_allclose(probabilities[:, ours], vectors[:, theirs])
    assert (labels < 0).any()


def test_outliers_of_their_own_have_what_is_left_of_one() -> None:
    plain, _ = soft("hdbscan")
    own, _ = soft("hdbscan", outliers="own_task")
    np.testing.assert_array_equal(own[:, :-1], plain)
    np.testing.assert_allclose(own[:, -1], 1 - plain.sum(axis=1), atol=1e-9)
    moved, _ = soft("hdbscan", outliers="nearest_centroid")
    np.testing.assert_array_equal(moved, plain)


def test_equal_rows_are_certain_rather_than_not_a_number() -> None:
    rows = np.repeat(np.eye(4), 10, axis=0) + np.repeat([0.0, 1e-3], 20)[:, None]
    config = ClusteringConfig(name="c", algorithm="hdbscan", min_cluster_size=5, min_samples=2)
    labels = cluster(rows, config, 0).labels
    assert np.isfinite(memberships(Inputs(rows, config, 0), labels)).all()


def test_rows_that_an_edit_left_out_belong_nowhere() -> None:
    rows, _, subject = world()
    config = ClusteringConfig.model_validate(
        {"name": "e", "algorithm": "edited", "like": "k", "edits": [{"exclude": [1]}]}
    )
    labels = np.where(subject == 1, -1, np.where(subject == 2, 1, 0))
    probabilities = memberships(Inputs(rows, config, 0), labels)
    assert (probabilities[labels < 0] == 0).all()
    np.testing.assert_allclose(probabilities[labels >= 0].sum(axis=1), 1.0)


def test_other_clusters_than_before_are_refused() -> None:
    rows, texts, _ = world()
    config = ClusteringConfig(name="c", algorithm="gaussian_mixture", n_clusters=3)
    labels = cluster(rows, config, 0).labels
    labels[:2] = (labels[:2] + 1) % 3
    with pytest.raises(UserError, match="Clustering 'c': clustered again, 2 of 120 texts are in another cluster"):
        memberships(Inputs(rows, config, 0, texts=texts), labels)


def test_the_table_counts_what_is_uncertain() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.0, 0.25, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    table = membership_table(probabilities, np.array([0, 1, 0, -1]))
    # The last row is in no cluster: no cluster is its most probable one, and it counts nowhere.
    assert table["first"].tolist() == [0, 1, 2, -1] and table["second"].tolist() == [1, 0, 0, -1]
    entropy = -(0.5 * np.log(0.5) + 0.5 * np.log(0.25)) / np.log(3)
    np.testing.assert_allclose(table["entropy"], [entropy, 0, 0, 0])
    summary = membership_summary(table)
    assert (summary["uncertain"], summary["elsewhere"], sum(summary["histogram"])) == (1, 1, 3)
    alone = membership_table(np.ones((2, 1)), np.array([0, 0]))
    assert alone["second"].tolist() == [-1, -1] and alone["entropy"].tolist() == [0.0, 0.0]


def test_in_a_study_they_are_made_on_request_and_kept(world: Path, tmp_path: Path) -> None:
    clusterings = [
        {"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8},
        {"name": "random", "algorithm": "random_groups", "like": "kmeans"},
    ]
    tree = tiny.study_tree(world, clusterings=clusterings)
    study = Study(parse(StudyConfig, tree, "test"), tmp_path)
    found = study.memberships("kmeans")
    assert found.shape == (160, 4) and (found.dtypes == np.float16).all()
    np.testing.assert_allclose(found.sum(axis=1).astype(float), 1.0, atol=2e-3)
    artifact = study.request("memberships", name="kmeans")
    table = artifact.table("memberships")
    assert artifact.summary["is"].startswith("softmax") and artifact.summary["clusters"] == 4
    best = found.astype(float).max(axis=1).to_numpy()
    np.testing.assert_allclose(table["first_probability"], best, atol=1e-3)
    assert isinstance(table, pd.DataFrame) and study.run(until="memberships") is not None
    with pytest.raises(UserError, match=r"random_groups has no membership probabilities.*ask for those of 'kmeans'"):
        study.memberships("random")
