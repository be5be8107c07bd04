"""Clusterings fitted on a sample: what the others are assigned to, against the libraries and plain arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans

from metapt_explore.clusters import make
from metapt_explore.clusters.algorithms import cluster
from metapt_explore.clusters.fit_words import fit_facts, format_fit
from metapt_explore.clusters.grouping import Inputs, renumber_by_size
from metapt_explore.clusters.memberships import membership_parts
from metapt_explore.clusters.quality import agreement
from metapt_explore.clusters.reduce import reduce_embeddings
from metapt_explore.config import ClusteringConfig, StudyConfig, limits, parse
from metapt_explore.errors import UserError
from metapt_explore.seeds import stream

ROWS, FITTED = 400, 150
COUNTED = ["kmeans", "minibatch_kmeans", "agglomerative"]


def clustering(algorithm: str, **settings: Any) -> ClusteringConfig:
    return ClusteringConfig.model_validate({"name": "mine", "algorithm": algorithm, **settings})


def vectors(rows: int = ROWS, groups: int = 5) -> np.ndarray:
    random = np.random.default_rng(3)
    centres = random.normal(size=(groups, 24))
    points = centres[random.integers(groups, size=rows)] + 0.25 * random.normal(size=(rows, 24))
    points[::10] = 1.5 * random.normal(size=(len(points[::10]), 24))  # in no group
    return points.astype(np.float32)


def inputs_of(config: ClusteringConfig, embeddings: np.ndarray) -> Inputs[Any]:
    return Inputs(embeddings, config, 0)


def memberships(inputs: Inputs[Any], labels: np.ndarray) -> np.ndarray:
    return np.concatenate([part for _, part in membership_parts(inputs, labels)])


@pytest.mark.parametrize("algorithm", COUNTED)
def test_others_go_to_the_nearest_mean_of_the_sample(algorithm: str) -> None:
    points, config = vectors(), clustering(algorithm, n_clusters=5, fit_rows=FITTED, dimensions=10)
    found = cluster(points, config, seed=0)
    sample = inputs_of(config, points).sample
    assert sample is not None and len(sample) == FITTED == len(np.unique(sample))
    reduced = reduce_embeddings(points, 10)
    means = np.stack([reduced[sample][found.labels[sample] == each].mean(axis=0) for each in range(5)])
    others = np.setdiff1d(np.arange(ROWS), sample)
    squared = np.square(reduced[others, None] - means).sum(axis=2)
    np.testing.assert_array_equal(found.labels[others], squared.argmin(axis=1))


def test_hdbscan_assigns_as_its_package_does() -> None:
    from hdbscan import HDBSCAN, approximate_predict

    points, config = vectors(), clustering("hdbscan", min_cluster_size=8, fit_rows=FITTED, dimensions=10)
    found = cluster(points, config, seed=0)
    inputs = inputs_of(config, points)
    assert inputs.sample is not None
    fitted = HDBSCAN(min_cluster_size=8, core_dist_n_jobs=1, prediction_data=True).fit(inputs.fitted)
    others = np.setdiff1d(np.arange(ROWS), inputs.sample)
    labels, membership = np.empty(ROWS, dtype=np.int64), np.empty(ROWS)
    labels[inputs.sample], membership[inputs.sample] = fitted.labels_, fitted.probabilities_
    labels[others], membership[others] = approximate_predict(fitted, inputs.reduced[others])
    np.testing.assert_array_equal(found.labels, renumber_by_size(labels))
    np.testing.assert_allclose(found.membership, np.where(labels >= 0, membership, 0.0), atol=1e-9)
    assert found.labels.max() == 4 and (found.labels < 0).any()


@pytest.mark.parametrize("outliers", ["probability", "nearest_centroid", "own_task"])
def test_outliers_of_a_sampled_hdbscan_move_as_ever(outliers: str) -> None:
    points, plain = vectors(), {"min_cluster_size": 8, "fit_rows": FITTED, "dimensions": 10}
    before = cluster(points, clustering("hdbscan", **plain), seed=0)
    after = cluster(points, clustering("hdbscan", **plain, outliers=outliers), seed=0)
    inside = before.labels >= 0
    np.testing.assert_array_equal(after.labels[inside], before.labels[inside])
    assert (after.labels >= 0).sum() > inside.sum()


def test_memberships_of_a_sampled_hdbscan_cover_all_rows() -> None:
    points, config = vectors(), clustering("hdbscan", min_cluster_size=8, fit_rows=FITTED, dimensions=10)
    found = cluster(points, config, seed=0)
    probabilities = memberships(inputs_of(config, points), found.labels)
    assert probabilities.shape == (ROWS, 5) and np.isfinite(probabilities).all() and probabilities.max() <= 1
    inside = found.labels >= 0
    assert (probabilities.argmax(axis=1) == found.labels)[inside].mean() > 0.95


@pytest.mark.parametrize("algorithm", ["gaussian_mixture", "kmeans"])
def test_all_rows_have_memberships(algorithm: str) -> None:
    points, config = vectors(), clustering(algorithm, n_clusters=5, fit_rows=FITTED, dimensions=10)
    found = cluster(points, config, seed=0)
    probabilities = memberships(inputs_of(config, points), found.labels)
    assert (probabilities.argmax(axis=1) == found.labels).mean() > 0.98


def test_topics_of_a_sample_are_those_of_its_texts() -> None:
    random = np.random.default_rng(0)
    kinds = [["soup", "bread", "salt", "oven"], ["train", "rail", "ticket", "delay"], ["lens", "photo", "zoom", "film"]]
    texts = [" ".join(random.choice(kinds[row % 3], 6)) for row in range(ROWS)]
    texts[7] = "and the"
    config = clustering("lda", n_clusters=3, fit_rows=FITTED)
    found = cluster(vectors(), config, seed=0, texts=texts)
    for kind in range(3):
        rows = [row for row in range(kind, ROWS, 3) if row != 7]
        assert len(set(found.labels[rows].tolist())) == 1
    assert found.labels[7] == -1 and found.labels.max() == 2


def test_a_sample_as_large_as_the_texts_is_no_sample() -> None:
    points = vectors()
    for algorithm in (*COUNTED, "hdbscan", "gaussian_mixture"):
        whole, all_of_them = clustering(algorithm), clustering(algorithm, fit_rows=ROWS)
        np.testing.assert_array_equal(cluster(points, whole, 0).labels, cluster(points, all_of_them, 0).labels)


def test_too_few_rows_are_refused_by_their_number() -> None:
    with pytest.raises(UserError, match="among 20 texts"):
        cluster(vectors(), clustering("hdbscan", min_cluster_size=30, fit_rows=20), seed=0)


@pytest.mark.parametrize("algorithm", COUNTED)
def test_a_sample_smaller_than_the_clusters_is_refused_by_its_setting(algorithm: str) -> None:
    with pytest.raises(UserError, match=r"a sample of 3 texts \(fit_rows\) cannot make 6 clusters.*raise fit_rows"):
        cluster(vectors(), clustering(algorithm, n_clusters=6, fit_rows=3), seed=0)
    cluster(vectors(), clustering(algorithm, n_clusters=6, fit_rows=6), seed=0)


class _WithGaps:
    """Mini-batches that leave clusters 1 and 3 of six empty."""

    def fit(self, rows: np.ndarray) -> Any:
        self.labels_ = np.array([0, 2, 4, 5], dtype=np.int32)[np.arange(len(rows)) % 4]
        return self


@pytest.mark.parametrize("fit_rows", [None, FITTED])
def test_empty_clusters_of_mini_batches_are_left_out_and_said(
    fit_rows: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MiniBatchKMeans, "fit", _WithGaps.fit)
    config = clustering("minibatch_kmeans", n_clusters=6, **({"fit_rows": fit_rows} if fit_rows else {}))
    found = cluster(vectors(), config, seed=0)
    assert np.unique(found.labels).tolist() == [0, 1, 2, 3]
    facts = fit_facts(config, ROWS, 4)
    assert (facts["clusters"], facts["clusters_asked"], facts["by"]) == (4, 6, "sample" if fit_rows else "mini_batches")
    assert format_fit(facts).endswith("4 of the 6 that were asked for hold texts.")
    with pytest.raises(UserError, match=r"too few different embeddings \(2\) for 6 clusters"):
        cluster(np.repeat(np.eye(4)[:2], 10, axis=0), clustering("minibatch_kmeans", n_clusters=6), seed=0)


def test_only_mini_batches_may_leave_clusters_empty() -> None:
    assert fit_facts(clustering("minibatch_kmeans", n_clusters=6), ROWS, 6) == {}
    assert fit_facts(clustering("kmeans", n_clusters=6), ROWS, 4) == {}


def test_agreement_of_many_rows_sees_groups_that_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MANY_TEXTS", 100)
    monkeypatch.setattr(make, "AGREEMENT_ROWS", 50)
    labels = np.arange(1000) % 20  # every 20th row is of one group
    groups: list[str | None] = [f"group {label // 2}" for label in labels]
    found = make._agreement(labels, groups, 0)
    chosen = np.sort(stream(0, "clustering", "agreement").choice(1000, 50, replace=False))
    assert found == agreement(labels[chosen], [groups[row] for row in chosen])
    assert found is not None and found["rows"] == 50 and len(set(labels[chosen].tolist())) > 10
    assert make._agreement(labels[:40], groups[:40], 0) == agreement(labels[:40], groups[:40])


def test_walls_and_what_is_said_of_them() -> None:
    kmeans, dense, tree = (clustering(each) for each in ("kmeans", "hdbscan", "agglomerative"))
    assert not kmeans.in_mini_batches(200_000) and kmeans.in_mini_batches(200_001)
    assert not clustering("kmeans", fit_rows=1000).in_mini_batches(10**6)
    assert [dense.fitted_rows(rows) for rows in (100_000, 100_001)] == [100_000, 50_000]
    assert [tree.fitted_rows(rows) for rows in (30_000, 30_001)] == [30_000, 20_000]
    assert format_fit(fit_facts(dense, 100_000)) == "" and format_fit(None) == ""
    assert "50,000 of 300,000 texts" in format_fit(fit_facts(dense, 300_000))
    assert "fit_rows" not in format_fit(fit_facts(clustering("lda", fit_rows=10), 20))
    assert "mini-batches" in format_fit(fit_facts(kmeans, 300_000))


def test_a_setting_that_is_absent_is_in_no_file() -> None:
    for algorithm in (*COUNTED, "hdbscan", "gaussian_mixture", "lda"):
        assert "fit_rows" not in clustering(algorithm).model_dump()
        assert clustering(algorithm, fit_rows=9).model_dump()["fit_rows"] == 9


def test_controls_are_fitted_on_nothing() -> None:
    import tiny

    entry = {"name": "pool", "algorithm": "one_pool", "fit_rows": 10}
    with pytest.raises(UserError, match="fit_rows"):
        parse(StudyConfig, tiny.study_tree(tiny.Path("/nowhere"), clusterings=[entry]), "test")
