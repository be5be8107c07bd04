"""Groupings of texts: clusterings of embeddings, topics of words (`topics.py`), edits (`edit.py`), three controls."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from metapt_explore.clusters.centroids import cosine_to_own, to_nearest_mean
from metapt_explore.clusters.grouping import Grouping, Inputs, renumber_by_size
from metapt_explore.config import ClusteringConfig, OnePool, RandomGroups
from metapt_explore.config.clustering import (
    AgglomerativeClustering,
    KMeansClustering,
    KnownGroups,
    MiniBatchKMeansClustering,
)
from metapt_explore.seeds import derived_seed, stream
from metapt_explore.storage.shards import StoredVectors, Vectors

if TYPE_CHECKING:
    from sklearn.cluster import AgglomerativeClustering as Tree
    from sklearn.cluster import KMeans, MiniBatchKMeans


def cluster(
    embeddings: Vectors,
    config: ClusteringConfig,
    seed: int,
    *,
    groups: list[str | None] | None = None,
    like: np.ndarray | None = None,
    texts: list[str] | None = None,
    like_names: Mapping[int, str] | None = None,
) -> Grouping:
    """Groups texts as a clustering of the study says.

    Equal arguments give equal labels. Cluster 0 is the largest (ties: the cluster whose first row
    comes first; known groups: by name); `random_groups` keeps the ids of `like`.

    Args:
        embeddings: ``[rows, width]`` sentence embeddings, of any length.
        config: The clustering.
        seed: The study seed; `config.seed` takes its place where it is set.
        groups: The known group of each row, None where there is none (known_groups).
        like: ``[rows]`` labels of the clustering whose sizes are copied (random_groups), or that is edited.
        texts: One text a row, pairs joined (lda).
        like_names: Names that clusters of `like` were given (edited).

    Raises:
        UserError: Where the rows cannot be grouped as asked; the message names the setting.
        ValueError: Where `groups`, `like` or `texts` do not have one entry per row, or what the algorithm needs of
            them is missing.

    Example:
        >>> config = ClusteringConfig(name="topics", algorithm="kmeans", n_clusters=2)
        >>> vectors = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]])
        >>> cluster(vectors, config, seed=0).labels.tolist()
        [0, 1, 0]
    """
    if not isinstance(embeddings, StoredVectors):
        embeddings = np.asarray(embeddings)
    seed = seed if config.own_seed is None else config.own_seed
    return group_rows(Inputs(embeddings, config, seed, groups, like, like_names, texts))


def group_rows(inputs: Inputs[Any]) -> Grouping:
    """Groups texts; see `cluster`, which makes the inputs."""
    rows = len(inputs.embeddings)
    for name, entries in (("groups", inputs.groups), ("like", inputs.like), ("texts", inputs.texts)):
        if entries is not None and len(entries) != rows:
            raise ValueError(f"{name} has {len(entries)} entries for {rows} rows")
    group: Callable[[Inputs[Any]], Grouping] = inputs.config.load("metapt_explore.clusters")
    return group(inputs)


def kmeans(inputs: Inputs[KMeansClustering]) -> Grouping:
    """Lloyd's k-means with k-means++ starts (Arthur and Vassilvitskii, 2007); in mini-batches beyond 200,000 texts.

    Membership is the cosine similarity between a row and the mean of its cluster, both taken among
    the L2-normalised embeddings; negative values become 0.
    """
    if inputs.config.in_mini_batches(len(inputs.embeddings)):
        return minibatch_kmeans(inputs)
    from sklearn.cluster import KMeans

    return _means(inputs, KMeans(n_clusters=inputs.config.n_clusters, n_init=4, random_state=_state(inputs)))


def minibatch_kmeans(inputs: Inputs[MiniBatchKMeansClustering] | Inputs[KMeansClustering]) -> Grouping:
    """K-means on small random batches of rows, for corpora that Lloyd's is too slow for (Sculley, 2010).

    Batches of 1024 rows, the best of four starts. With fewer rows it is k-means with another update rule. Clusters
    that end up without a row are left out, so there may be fewer than `n_clusters`. Membership as in `kmeans`.
    """
    from sklearn.cluster import MiniBatchKMeans

    settings = {"n_init": 4, "batch_size": 1024, "random_state": _state(inputs)}
    return _means(inputs, MiniBatchKMeans(n_clusters=inputs.config.n_clusters, **settings))


def _state(inputs: Inputs[Any]) -> int:
    return derived_seed(inputs.seed, "clustering", inputs.config.algorithm) % 2**32


def _means(inputs: Inputs[Any], algorithm: KMeans | MiniBatchKMeans | Tree) -> Grouping:
    """Clusters of an algorithm that is told how many there are; rows outside of the sample go to the nearest mean."""
    rows, n_clusters = len(inputs.embeddings), inputs.config.n_clusters
    if rows < n_clusters:
        raise inputs.refusal(f"{rows} texts cannot make {n_clusters} clusters. Lower n_clusters or use more texts.")
    if inputs.sample is not None and len(inputs.sample) < n_clusters:
        raise inputs.refusal(
            f"a sample of {len(inputs.sample)} texts (fit_rows) cannot make {n_clusters} clusters. "
            "Lower n_clusters or raise fit_rows."
        )
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():  # too few different rows: reported below
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = algorithm.fit(inputs.fitted)
    labels = np.unique(fitted.labels_, return_inverse=True)[1]  # mini-batches may leave clusters empty: no gaps in ids
    labels = renumber_by_size(labels if inputs.sample is None else to_nearest_mean(inputs, labels))
    if (found := labels.max() + 1) < n_clusters:
        different = len(np.unique(inputs.fitted, axis=0)) if isinstance(algorithm, MiniBatchKMeans) else found
        if different < n_clusters:
            raise inputs.refusal(
                f"too few different embeddings ({different}) for {n_clusters} clusters. "
                "Lower n_clusters or use more varied texts."
            )
    return Grouping(labels, cosine_to_own(inputs.embeddings, labels))


def agglomerative(inputs: Inputs[AgglomerativeClustering]) -> Grouping:
    """Hierarchical clustering from single rows upwards (Ward, 1963; Murtagh and Legendre, 2014).

    Membership as in `kmeans`. It looks at all pairs of rows: 20,000 rows take about 3 GB. Beyond 30,000 rows a sample
    of 20,000 makes the clusters, and the other rows go to the cluster with the nearest mean.
    """
    from sklearn.cluster import AgglomerativeClustering as Tree

    return _means(inputs, Tree(n_clusters=inputs.config.n_clusters, linkage=inputs.config.linkage))


def one_pool(inputs: Inputs[OnePool]) -> Grouping:
    """Control: every row in one cluster, which is the pool of PPT (Gu et al., 2022)."""
    return _control(np.zeros(len(inputs.embeddings), dtype=np.int64))


def random_groups(inputs: Inputs[RandomGroups]) -> Grouping:
    """Control: the sizes of another clustering, without its content.

    The labels of `like` are permuted among the rows that have a cluster; its outliers stay out.
    """
    if inputs.like is None:
        raise ValueError(f"`like` must hold the labels of clustering '{inputs.config.like}'")
    labels = np.where(np.asarray(inputs.like) >= 0, inputs.like, -1).astype(np.int64)
    inside = np.flatnonzero(labels >= 0)
    # The name is part of the stream, so that a study may hold several different random controls.
    shuffled = stream(inputs.seed, "clustering", "random_groups", inputs.config.name).permutation(inside)
    labels[inside] = labels[shuffled]
    return _control(labels)


def known_groups(inputs: Inputs[KnownGroups]) -> Grouping:
    """Control: one cluster for each group named in the data; rows without a group are left out."""
    groups = inputs.groups or []
    sizes = Counter(group for group in groups if group is not None)
    if not sizes:
        raise inputs.refusal(
            "known_groups needs the group of each text, and none is known. "
            "`texts.columns.group` must name a column that holds it."
        )
    names = sorted(sizes, key=lambda name: (-sizes[name], name))
    ids = {name: cluster_id for cluster_id, name in enumerate(names)}
    labels = np.array([-1 if group is None else ids[group] for group in groups], dtype=np.int64)
    return _control(labels, dict(enumerate(names)))


def _control(labels: np.ndarray, names: dict[int, str] | None = None) -> Grouping:
    return Grouping(labels, np.where(labels >= 0, 1.0, 0.0), names)
