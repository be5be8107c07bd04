"""How probable each cluster is for each text: soft clusters, beside the one cluster that a text is in.

Where they come from is a fact of the clustering (`ClusteringConfig.probabilities`): HDBSCAN's membership vectors,
the components of a Gaussian mixture, the shares of topics, and for clusters around centroids the distances to these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.clusters.grouping import Inputs
from metapt_explore.clusters.reduce import reduce_embeddings
from metapt_explore.config import ClusteringConfig

#: A text is uncertain whose most probable cluster is less probable than this.
UNCERTAIN = 0.5
#: Bars of the histogram of the largest probability, from 0 to 1.
BINS = 20
MEANING = {
    "by_distance": "softmax of the squared distances to the clusters' centroids",
    "membership_vectors": "HDBSCAN's membership vectors; what is left of 1 is the probability of being an outlier",
    "responsibilities": "responsibilities of the Gaussian mixture's components",
    "topic_shares": "shares of the topics in a text",
}


def memberships(inputs: Inputs[ClusteringConfig], labels: np.ndarray) -> np.ndarray:
    """How probable each cluster is for each row.

    Args:
        inputs: What was clustered.
        labels: ``[rows]`` the clusters that were found, negative for outliers.

    Returns:
        ``[rows, clusters]`` in 0..1; rows sum to 1 at most.

    Raises:
        UserError: Where the clustering has no probabilities, or cannot be repeated.
    """
    source = inputs.config.probabilities
    if not source:
        raise inputs.refusal(
            f"{inputs.config.algorithm} has no membership probabilities: a text is in its group or it is not."
        )
    probable: Callable[[Inputs[Any], np.ndarray], np.ndarray] = inputs.config.load("metapt_explore.clusters", source)
    return probable(inputs, labels)


def meaning(config: ClusteringConfig) -> str:
    """What the probabilities of a clustering are, in words."""
    return MEANING[config.probabilities.partition(":")[2]]


def membership_table(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """The two most probable clusters of each row.

    Args:
        probabilities: ``[rows, clusters]``.
        labels: ``[rows]`` the clusters that the rows are in.

    Returns:
        Columns row, cluster, first, first_probability, second (-1 where there is one cluster), second_probability, and
        entropy (0: certain, 1: every cluster is as probable). A row that is in no cluster at all (taken out by hand,
        no word that is known) has -1 for first and second.

    Example:
        >>> membership_table(np.array([[0.25, 0.75]]), np.array([1])).iloc[0, :6].tolist()
        [0.0, 1.0, 1.0, 0.75, 0.0, 0.25]
    """
    rows, clusters = probabilities.shape
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    several = clusters > 1
    shares = probabilities / np.maximum(probabilities.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    somewhere = probabilities.any(axis=1)
    return pd.DataFrame(
        {
            "row": np.arange(rows),
            "cluster": labels,
            "first": np.where(somewhere, order[:, 0], -1),
            "first_probability": ranked[:, 0],
            "second": np.where(somewhere, order[:, 1], -1) if several else -1,
            "second_probability": ranked[:, 1] if several else 0.0,
            "entropy": -(shares * logs).sum(axis=1) / np.log(clusters) if several else 0.0,
        }
    )


def membership_summary(table: pd.DataFrame) -> dict[str, Any]:
    """Counts of a table of memberships: how many texts are uncertain, and how probable the first clusters are.

    Rows that are in no cluster count in none of them.
    """
    table = table[table["first"] >= 0]
    first = table["first_probability"]
    counts, _ = np.histogram(first, bins=BINS, range=(0.0, 1.0))
    return {
        "rows": len(table),
        "uncertain": int((first < UNCERTAIN).sum()),
        "elsewhere": int(((table["cluster"] >= 0) & (table["cluster"] != table["first"])).sum()),
        "mean": float(first.mean()) if len(table) else 0.0,
        "mean_entropy": float(table["entropy"].mean()) if len(table) else 0.0,
        "histogram": counts.tolist(),
    }


def by_distance(inputs: Inputs[ClusteringConfig], labels: np.ndarray) -> np.ndarray:
    """Soft k-means (MacKay, 2003): a softmax of squared distances, as if clusters were round and equally wide.

    The width is the mean squared distance of rows from their own centroid by dimension: the maximum likelihood of
    Gaussians that share one variance. Centroids and distances are those of the vectors that are clustered. A row that
    an edit left out is in no cluster: all of its probabilities are 0.

    Args:
        inputs: What was clustered.
        labels: ``[rows]`` cluster ids without gaps, negative for rows that are left out.

    Returns:
        ``[rows, clusters]``.

    Example:
        >>> vectors = np.array([[2.0, 0.0], [2.0, 0.1], [0.0, 2.0], [0.1, 2.0]])
        >>> config = ClusteringConfig(name="k", algorithm="kmeans", n_clusters=2)
        >>> by_distance(Inputs(vectors, config, 0), np.array([0, 0, 1, 1])).round(2)[0].tolist()
        [1.0, 0.0]
    """
    reduced = reduce_embeddings(inputs.embeddings, inputs.config.dimensions)
    centroids = np.stack([reduced[labels == cluster].mean(axis=0) for cluster in range(labels.max() + 1)])
    lengths = np.square(reduced).sum(axis=1)[:, None] + np.square(centroids).sum(axis=1)
    squared = (lengths - 2 * reduced @ centroids.T).clip(0.0)
    inside = np.flatnonzero(labels >= 0)
    variance = squared[inside, labels[inside]].mean() / reduced.shape[1]
    exponent = -(squared - squared.min(axis=1, keepdims=True)) / (2 * max(variance, np.finfo(float).tiny))
    weights = np.exp(exponent)
    weights[labels < 0] = 0.0
    probabilities: np.ndarray = weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return probabilities
