"""How probable each cluster is for each text: soft clusters, beside the one cluster that a text is in.

Probabilities come a part of the texts at a time: those of a million texts in 512 clusters are 4 GB. Where they come
from is a fact of the clustering (`ClusteringConfig.probabilities`): HDBSCAN's membership vectors, the components of a
Gaussian mixture, the shares of topics, and for clusters around centroids the distances to these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.clusters.grouping import Inputs
from metapt_explore.config import ClusteringConfig
from metapt_explore.storage.shards import row_slices

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


def membership_parts(inputs: Inputs[ClusteringConfig], labels: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """How probable each cluster is for each row, a part of the rows at a time.

    Args:
        inputs: What was clustered.
        labels: ``[rows]`` the clusters that were found, negative for outliers.

    Yields:
        Which rows, in order, and their ``[rows, clusters]`` in 0..1; rows sum to 1 at most.

    Raises:
        UserError: Where the clustering has no probabilities, or cannot be repeated: that may be known after the last
            part.
    """
    source = inputs.config.probabilities
    if not source:
        raise inputs.refusal(
            f"{inputs.config.algorithm} has no membership probabilities: a text is in its group or it is not."
        )
    probable: Callable[[Inputs[Any], np.ndarray], Iterator[tuple[slice, np.ndarray]]]
    probable = inputs.config.load("metapt_explore.clusters", source)
    return probable(inputs, labels)


@dataclass(frozen=True, eq=False)
class SoftClusters:
    """Probabilities of all rows as they are kept.

    Attributes:
        matrix: ``[rows, clusters]`` in float16.
        table: See `membership_table`.
    """

    matrix: np.ndarray
    table: pd.DataFrame


def soft_clusters(
    inputs: Inputs[ClusteringConfig], labels: np.ndarray, on_rows: Callable[[int], None] = lambda rows: None
) -> SoftClusters:
    """All parts of `membership_parts`, in half precision, and the table of their numbers before they were halved.

    Args:
        inputs: What was clustered.
        labels: ``[rows]`` the clusters that were found, negative for outliers.
        on_rows: Called with the number of rows that are finished; may raise to stop.
    """
    matrix = np.zeros((len(labels), 0), dtype=np.float16)
    tables: list[pd.DataFrame] = []
    for chosen, part in membership_parts(inputs, labels):
        if not tables:
            matrix = np.empty((len(labels), part.shape[1]), dtype=np.float16)
        matrix[chosen] = part
        tables.append(membership_table(part, labels[chosen], first_row=chosen.start))
        on_rows(chosen.stop)
    return SoftClusters(matrix, pd.concat(tables, ignore_index=True))


def meaning(config: ClusteringConfig) -> str:
    """What the probabilities of a clustering are, in words."""
    return MEANING[config.probabilities.partition(":")[2]]


def membership_table(probabilities: np.ndarray, labels: np.ndarray, *, first_row: int = 0) -> pd.DataFrame:
    """The two most probable clusters of each row; of equal ones the first.

    Args:
        probabilities: ``[rows, clusters]``.
        labels: ``[rows]`` the clusters that the rows are in.
        first_row: Number of the first row, where these are a part of all.

    Returns:
        Columns row, cluster, first, first_probability, second (-1 where there is one cluster), second_probability, and
        entropy (0: certain, 1: every cluster is as probable). A row that is in no cluster at all (taken out by hand,
        no word that is known) has -1 for first and second.

    Example:
        >>> membership_table(np.array([[0.25, 0.75]]), np.array([1])).iloc[0, :6].tolist()
        [0.0, 1.0, 1.0, 0.75, 0.0, 0.25]
    """
    rows, clusters = probabilities.shape
    several, each = clusters > 1, np.arange(rows)
    first = probabilities.argmax(axis=1)
    second = first
    if several:
        others = probabilities.copy()
        others[each, first] = -1.0
        second = others.argmax(axis=1)
    shares = probabilities / np.maximum(probabilities.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    somewhere = probabilities.any(axis=1)
    return pd.DataFrame(
        {
            "row": first_row + each,
            "cluster": labels,
            "first": np.where(somewhere, first, -1),
            "first_probability": probabilities[each, first],
            "second": np.where(somewhere, second, -1) if several else -1,
            "second_probability": probabilities[each, second] if several else 0.0,
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


def by_distance(inputs: Inputs[ClusteringConfig], labels: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Soft k-means (MacKay, 2003): a softmax of squared distances, as if clusters were round and equally wide.

    The width is the mean squared distance of rows from their own centroid by dimension: the maximum likelihood of
    Gaussians that share one variance. Centroids and distances are those of the vectors that are clustered. A row that
    an edit left out is in no cluster: all of its probabilities are 0.

    Args:
        inputs: What was clustered.
        labels: ``[rows]`` cluster ids without gaps, negative for rows that are left out.

    Yields:
        Which rows, and their ``[rows, clusters]``.

    Example:
        >>> vectors = np.array([[2.0, 0.0], [2.0, 0.1], [0.0, 2.0], [0.1, 2.0]])
        >>> config = ClusteringConfig(name="k", algorithm="kmeans", n_clusters=2)
        >>> ((rows, found),) = by_distance(Inputs(vectors, config, 0), np.array([0, 0, 1, 1]))
        >>> rows, found.round(2)[0].tolist()
        (slice(0, 4, None), [1.0, 0.0])
    """
    reduced = inputs.reduced
    clusters = range(int(labels.max()) + 1)
    centroids = np.stack([reduced[labels == cluster].mean(axis=0, dtype=np.float64) for cluster in clusters])
    total = 0.0
    for chosen in row_slices(len(labels)):
        own = labels[chosen]
        apart = reduced[chosen][own >= 0] - centroids[own[own >= 0]]
        total += float(np.square(apart).sum())
    variance = total / max(int((labels >= 0).sum()), 1) / reduced.shape[1]
    for chosen in row_slices(len(labels)):
        part = reduced[chosen].astype(np.float64, copy=False)
        lengths = np.square(part).sum(axis=1)[:, None] + np.square(centroids).sum(axis=1)
        squared = (lengths - 2 * part @ centroids.T).clip(0.0)
        exponent = -(squared - squared.min(axis=1, keepdims=True)) / (2 * max(variance, np.finfo(float).tiny))
        weights = np.exp(exponent)
        weights[labels[chosen] < 0] = 0.0
        yield chosen, weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
