"""Means of clusters, and how near rows are to them: for any number of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from metapt_explore.clusters.grouping import Inputs
from metapt_explore.clusters.reduce import normalise
from metapt_explore.clusters.reduce_many import means_of_many, unit_rows
from metapt_explore.config import limits
from metapt_explore.storage.shards import Vectors, parts


def unit_means(embeddings: Vectors, labels: np.ndarray) -> np.ndarray:
    """Mean of each cluster's L2-normalised rows, scaled to length 1, ``[clusters, width]``.

    Args:
        embeddings: ``[rows, width]``, of any length.
        labels: ``[rows]`` cluster ids without gaps, negative for rows that are left out.
    """
    if len(embeddings) > limits.MANY_TEXTS:
        return normalise(means_of_many(embeddings, labels, unit=True))
    unit = normalise(np.asarray(embeddings))
    return normalise(np.stack([unit[labels == cluster].mean(axis=0) for cluster in range(labels.max() + 1)]))


def cosine_to_own(embeddings: Vectors, labels: np.ndarray) -> np.ndarray:
    """Cosine similarity of each row with the mean of its cluster; negative ones, and rows without a cluster, are 0.

    Args:
        embeddings: ``[rows, width]``, of any length.
        labels: ``[rows]`` cluster ids without gaps, negative for rows that are left out.

    Returns:
        ``[rows]`` in 0..1.

    Example:
        >>> cosine_to_own(np.array([[2.0, 0.0], [0.0, 7.0], [1.0, 1.0]]), np.array([0, 0, -1])).round(2).tolist()
        [0.71, 0.71, 0.0]
    """
    means = unit_means(embeddings, labels)
    if len(embeddings) <= limits.MANY_TEXTS:
        cosines = (normalise(np.asarray(embeddings)) * means[labels]).sum(axis=1)
    else:
        narrow, cosines = means.astype(np.float32), np.zeros(len(embeddings))
        for chosen, part in parts(embeddings):
            cosines[chosen] = np.einsum("ij,ij->i", unit_rows(part), narrow[labels[chosen]])
    inside: np.ndarray = np.where(labels >= 0, cosines, 0.0).clip(0.0, 1.0)
    return inside


def most_similar(embeddings: Vectors, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean with the largest cosine similarity to each row, and that similarity.

    Args:
        embeddings: ``[rows, width]``, of any length.
        means: ``[clusters, width]`` of length 1.
    """
    if len(embeddings) <= limits.MANY_TEXTS:
        likeness = normalise(np.asarray(embeddings)) @ means.T
        return likeness.argmax(axis=1), likeness.max(axis=1)
    narrow = means.T.astype(np.float32)
    best, by = np.zeros(len(embeddings), dtype=np.int64), np.zeros(len(embeddings))
    for chosen, part in parts(embeddings):
        likeness = unit_rows(part) @ narrow
        best[chosen], by[chosen] = likeness.argmax(axis=1), likeness.max(axis=1)
    return best, by


def to_nearest_mean(inputs: Inputs[Any], of_sample: np.ndarray) -> np.ndarray:
    """Labels of all rows from those of a sample: a row outside of it goes to the cluster with the nearest mean.

    Distances and means are those of the vectors that are clustered (`Inputs.reduced`).

    Args:
        inputs: What is clustered.
        of_sample: ``[sample]`` cluster ids, not negative, without gaps.
    """
    assert inputs.sample is not None
    reduced = inputs.reduced
    means = means_of_many(reduced[inputs.sample], of_sample, unit=False)
    squares, narrow = np.square(means).sum(axis=1), means.T.astype(reduced.dtype)
    labels = np.empty(len(reduced), dtype=np.int64)
    for chosen, part in parts(reduced):
        labels[chosen] = (squares - 2 * (part @ narrow)).argmin(axis=1)
    labels[inputs.sample] = of_sample
    return labels
