"""Outliers that are given to clusters afterwards, by three likenesses. The model is BERTopic's `reduce_outliers`.

In each an outlier goes to the cluster that it is most like, where that likeness reaches a threshold; all others stay
outliers. Texts that are in a cluster stay in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metapt_explore.clusters.centroids import most_similar, unit_means
from metapt_explore.storage.shards import Vectors, row_slices

#: What a cluster of outliers is called.
OUTLIERS = "outliers"
WORDS = {
    "drop": "left out",
    "own_task": "put into a cluster of their own",
    "nearest_centroid": "given to the cluster with the nearest centroid",
    "probability": "given to their most probable cluster",
    "c_tf_idf": "given to the cluster with the most similar words",
}


@dataclass(frozen=True, eq=False)
class Move:
    """Where outliers go.

    Attributes:
        to: ``[rows]`` id of the cluster that a row is moved into; -1 for all that are not moved.
        by: ``[rows]`` the likeness, 0..1.
    """

    to: np.ndarray
    by: np.ndarray


def move_to_centroids(embeddings: Vectors, labels: np.ndarray, threshold: float) -> Move:
    """Moves outliers to the cluster whose centroid has the largest cosine similarity with them.

    A centroid is the mean of a cluster's L2-normalised embeddings.

    Args:
        embeddings: ``[rows, width]``, of any length.
        labels: ``[rows]`` cluster ids without gaps, negative for outliers.
        threshold: Least similarity; it must also be above 0.

    Example:
        >>> vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, -1.0]])
        >>> move_to_centroids(vectors, np.array([0, 1, -1, -1]), threshold=0.0).to.tolist()
        [-1, -1, 1, -1]
    """
    return _best_of(*most_similar(embeddings, unit_means(embeddings, labels)), labels, threshold)


def move_to_most_probable(probabilities: np.ndarray, labels: np.ndarray, threshold: float) -> Move:
    """Moves outliers to their most probable cluster.

    Args:
        probabilities: ``[rows, clusters]``.
        labels: ``[rows]`` cluster ids, negative for outliers.
        threshold: Least probability; it must also be above 0.

    Example:
        >>> move_to_most_probable(np.array([[0.9, 0.1], [0.1, 0.2]]), np.array([0, -1]), threshold=0.2).to.tolist()
        [-1, 1]
    """
    return _best_of(probabilities.argmax(axis=1), probabilities.max(axis=1), labels, threshold)


def move_by_words(texts: Sequence[str], labels: np.ndarray, threshold: float) -> Move:
    """Moves outliers to the cluster whose words are most like theirs, by class-based TF-IDF (Grootendorst, 2022).

    A word's weight is its share of the words of a cluster, or of an outlier, times log(1 + mean words per cluster / its
    count in all clusters); alike are two with a large cosine. Words are those of topic models (`topics.bag_of_words`).
    Outliers are compared a part at a time, and nothing but the best cluster of each is kept.

    Args:
        texts: One text a row.
        labels: ``[rows]`` cluster ids without gaps, negative for outliers.
        threshold: Least cosine; it must also be above 0.

    Example:
        >>> texts = ["cold soup", "warm soup", "late train", "slow train", "my soup"]
        >>> move_by_words(texts, np.array([0, 0, 1, 1, -1]), threshold=0.1).to.tolist()
        [-1, -1, -1, -1, 0]
    """
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import normalize

    from metapt_explore.clusters.topics import bag_of_words

    counts, _ = bag_of_words(texts)
    best, by = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts))
    if counts is None:
        return _best_of(best, by, labels, threshold)
    inside, outside = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    members = csr_matrix((np.ones(len(inside)), (labels[inside], inside)), shape=(labels.max() + 1, len(texts)))
    of_clusters = (members @ counts).toarray()
    weights = np.log1p(of_clusters.sum() / len(of_clusters) / np.maximum(of_clusters.sum(axis=0), 1))
    # The share of a text's words is its count up to a factor, which a cosine does not see.
    clusters = normalize(of_clusters * weights)
    for chosen in row_slices(len(outside)):
        rows = outside[chosen]
        likeness = normalize(counts[rows].multiply(weights).tocsr()) @ clusters.T
        best[rows], by[rows] = likeness.argmax(axis=1), likeness.max(axis=1)
    return _best_of(best, by, labels, threshold)


def _best_of(best: np.ndarray, by: np.ndarray, labels: np.ndarray, threshold: float) -> Move:
    moves = (labels < 0) & (by >= threshold) & (by > 0)
    return Move(np.where(moves, best, -1), np.where(moves, by, 0.0).clip(0.0, 1.0))


def count_moved(settings: Mapping[str, Any], labels: np.ndarray, moved: np.ndarray | None) -> dict[str, Any]:
    """What became of outliers, for a summary; empty where they are left out, as ever.

    Args:
        settings: `outliers` and `outlier_threshold` of the clustering.
        labels: ``[rows]`` cluster ids in the end.
        moved: ``[rows]`` which rows were outliers and are in a cluster now.

    Example:
        >>> moved = np.array([False, True, False, False])
        >>> count_moved({"outliers": "c_tf_idf"}, np.array([0, 0, 1, -1]), moved)["outliers"]
        2
    """
    if moved is None:
        return {}
    into = labels[moved]
    return {
        "by": settings.get("outliers", "drop"),
        "threshold": float(settings.get("outlier_threshold", 0.0)),
        "outliers": int(moved.sum() + (labels < 0).sum()),
        "moved": int(moved.sum()),
        "rows": len(labels),
        "into": {str(cluster): int((into == cluster).sum()) for cluster in np.unique(into).tolist()},
    }


def format_moved(counts: Mapping[str, Any]) -> str:
    """The same as a sentence; empty where outliers are left out.

    Example:
        >>> format_moved({"by": "probability", "threshold": 0.1, "outliers": 40, "moved": 30, "rows": 100})
        '30 of 40 outliers (of 100 texts) were given to their most probable cluster (0.1 or more); 10 stay out.'
    """
    if not counts:
        return ""
    threshold = f" ({counts['threshold']:g} or more)" if counts["threshold"] else ""
    left = counts["outliers"] - counts["moved"]
    stay = "" if counts["by"] == "own_task" else f"; {left:,} stay{'s' * (left == 1)} out"
    were = "was" if counts["moved"] == 1 else "were"
    return (
        f"{counts['moved']:,} of {counts['outliers']:,} outliers (of {counts['rows']:,} texts) {were} "
        f"{WORDS[counts['by']]}{threshold}{stay}."
    )
