"""Soft clusters: a text that lies between clusters belongs to each of them."""

from __future__ import annotations

import numpy as np

from metapt_explore.clusters.centroids import unit_means
from metapt_explore.clusters.reduce import normalise
from metapt_explore.clusters.reduce_many import unit_rows
from metapt_explore.config import limits
from metapt_explore.storage.shards import Vectors, parts, row_slices


def soft_members(embeddings: Vectors, labels: np.ndarray, softness: float) -> np.ndarray:
    """Says which clusters each row belongs to, besides its own.

    A cluster's centre is the mean of its rows, taken among the L2-normalised embeddings. A row belongs to its own
    cluster, and to every cluster whose centre's cosine similarity to it is at most `softness` below that of the most
    similar centre. Outliers belong to none. (The soft counterpart of the rule in `kmeans` that a row belongs to the
    nearest mean; it draws no random numbers and does not need more than the labels.)

    Args:
        embeddings: ``[rows, width]``, of any length.
        labels: ``[rows]`` cluster ids without gaps, negative for outliers.
        softness: Difference of cosine similarities, from 0.

    Returns:
        ``[rows, clusters]`` of booleans.

    Example:
        >>> vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.75]])
        >>> soft_members(vectors, np.array([0, 1, 0]), softness=0.3).tolist()
        [[True, False], [False, True], [True, True]]
    """
    labels = np.asarray(labels)
    inside = np.flatnonzero(labels >= 0)
    centres = unit_means(embeddings, labels)
    if len(embeddings) <= limits.MANY_TEXTS:
        similarity = normalise(np.asarray(embeddings)) @ centres.T
        members: np.ndarray = similarity >= similarity.max(axis=1, keepdims=True) - softness
    else:
        members = np.zeros((len(embeddings), len(centres)), dtype=bool)
        for chosen, part in parts(embeddings):
            similarity = unit_rows(part) @ centres.T.astype(np.float32)
            members[chosen] = similarity >= similarity.max(axis=1, keepdims=True) - softness
    members[labels < 0] = False
    members[inside, labels[inside]] = True
    return members


def probable_members(probabilities: np.ndarray, labels: np.ndarray, least: float) -> np.ndarray:
    """Says which clusters each row belongs to, by membership probabilities (`clusters/memberships.py`).

    A row belongs to its own cluster, and to every cluster that is at least so probable for it. Outliers belong to none.

    Args:
        probabilities: ``[rows, clusters]``.
        labels: ``[rows]`` cluster ids without gaps, negative for outliers.
        least: Least probability, above 0.

    Returns:
        ``[rows, clusters]`` of booleans.

    Example:
        >>> probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.5, 0.5]])
        >>> probable_members(probabilities, np.array([1, 0, -1]), least=0.4).tolist()
        [[True, True], [True, False], [False, False]]
    """
    labels = np.asarray(labels)
    members = np.zeros(probabilities.shape, dtype=bool)
    for chosen in row_slices(len(labels)):
        part = probabilities[chosen]
        members[chosen] = (part.astype(np.float32) if part.dtype == np.float16 else part) >= least
    members[labels < 0] = False
    inside = np.flatnonzero(labels >= 0)
    members[inside, labels[inside]] = True
    return members


def own_members(labels: np.ndarray) -> np.ndarray:
    """Each row in its own cluster alone, ``[rows, clusters]``: for groups that have no probabilities."""
    return probable_members(np.zeros((len(labels), int(np.max(labels)) + 1), dtype=bool), labels, 1.0)


def shuffled_members(
    members: np.ndarray, labels: np.ndarray, random_labels: np.ndarray, *, generator: np.random.Generator
) -> np.ndarray:
    """Carries soft clusters over to the random groups that copy their sizes.

    The centres of random groups are nearly equal, so every row would be near all of them. Each row of a random group
    therefore takes the memberships of a row drawn from the cluster whose size the group copies: soft groups are as
    large as the soft clusters and overlap as much.

    Args:
        members: ``[rows, clusters]``, see `soft_members`.
        labels: ``[rows]`` of the clustering that was copied.
        random_labels: ``[rows]`` of the random groups.
        generator: Draws the rows.

    Returns:
        ``[rows, clusters]`` of booleans.

    Example:
        >>> members = np.array([[True, True], [True, False], [False, True]])
        >>> generator = np.random.default_rng(0)
        >>> shuffled = shuffled_members(members, np.array([0, 0, 1]), np.array([1, 0, 0]), generator=generator)
        >>> shuffled.sum(axis=0).tolist()
        [2, 2]
    """
    out = np.zeros_like(members)
    for cluster in range(members.shape[1]):
        source, target = np.flatnonzero(labels == cluster), np.flatnonzero(random_labels == cluster)
        out[target] = members[generator.permutation(source)]
    return out
