"""HDBSCAN: dense regions, outliers between them, and how probable each region is for a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from metapt_explore.clusters.density_many import assign, vectors_of_new
from metapt_explore.clusters.grouping import Grouping, Inputs, ids_by_size, renumber_by_size
from metapt_explore.clusters.outliers import OUTLIERS, Move, move_by_words, move_to_centroids, move_to_most_probable
from metapt_explore.config import HdbscanClustering
from metapt_explore.storage.shards import row_slices

if TYPE_CHECKING:
    from hdbscan import HDBSCAN


def hdbscan(inputs: Inputs[HdbscanClustering]) -> Grouping:
    """HDBSCAN (Campello, Moulavi and Sander, 2013; McInnes, Healy and Astels, 2017).

    Membership is a probability: 1 at the core of a cluster, 0 for outliers. Where outliers are moved into clusters
    afterwards (`HdbscanClustering.outliers`), ids stay those of the clusters without them, and the membership of a
    moved row is the similarity or probability that it was moved by. Beyond 100,000 rows a sample is fitted, and the
    others are assigned to its clusters (`density_many.assign`).
    """
    fitted = _fit(inputs, probable=inputs.config.outliers == "probability")
    of_fit, probability = _all_rows(inputs, fitted)
    labels = renumber_by_size(of_fit)
    membership = np.where(labels >= 0, probability, 0.0)
    if inputs.config.outliers == "drop":
        return Grouping(labels, membership)
    outside = labels < 0
    if inputs.config.outliers == "own_task":
        number = int(labels.max()) + 1
        names = {number: OUTLIERS} if outside.any() else None
        return Grouping(np.where(outside, number, labels), np.where(outside, 1.0, membership), names, outside)
    moved = _moved(inputs, labels, fitted, of_fit=of_fit)
    return Grouping(
        np.where(moved.to >= 0, moved.to, labels), np.where(moved.to >= 0, moved.by, membership), moved=moved.to >= 0
    )


def _fit(inputs: Inputs[HdbscanClustering], *, probable: bool) -> HDBSCAN:
    config, rows = inputs.config, len(inputs.embeddings)
    rows = rows if inputs.sample is None else len(inputs.sample)
    fitted = None
    if rows >= config.min_cluster_size:
        from hdbscan import HDBSCAN

        # One worker: for this many rows the distances take less time than starting processes.
        fitted = HDBSCAN(
            min_cluster_size=config.min_cluster_size,
            min_samples=config.min_samples,
            core_dist_n_jobs=1,
            prediction_data=probable or inputs.sample is not None,
        ).fit(inputs.fitted)
    if fitted is None or not (fitted.labels_ >= 0).any():
        raise inputs.refusal(
            f"hdbscan found no cluster among {rows} texts. Lower min_cluster_size "
            f"(now {config.min_cluster_size}) or min_samples, or use kmeans."
        )
    return fitted


def _all_rows(inputs: Inputs[HdbscanClustering], fitted: HDBSCAN) -> tuple[np.ndarray, np.ndarray]:
    """Cluster, as the fit numbers them, and membership of every row."""
    if inputs.sample is None:
        return fitted.labels_, fitted.probabilities_
    others = np.setdiff1d(np.arange(len(inputs.embeddings)), inputs.sample, assume_unique=True)
    labels, probability = np.empty(len(inputs.embeddings), dtype=np.int64), np.empty(len(inputs.embeddings))
    labels[inputs.sample], probability[inputs.sample] = fitted.labels_, fitted.probabilities_
    labels[others], probability[others] = assign(fitted, inputs.reduced[others])
    return labels, probability


def _moved(inputs: Inputs[HdbscanClustering], labels: np.ndarray, fitted: HDBSCAN, *, of_fit: np.ndarray) -> Move:
    config = inputs.config
    if config.outliers == "probability":
        return _moved_to_most_probable(inputs, labels, _vectors(inputs, fitted, of_fit))
    if config.outliers == "nearest_centroid":
        return move_to_centroids(inputs.embeddings, labels, config.outlier_threshold)
    if inputs.texts is None:
        raise ValueError("`texts` must hold the texts of the rows")
    return move_by_words(inputs.texts, labels, config.outlier_threshold)


def _moved_to_most_probable(
    inputs: Inputs[HdbscanClustering], labels: np.ndarray, vectors: Callable[[np.ndarray], np.ndarray]
) -> Move:
    """Moves outliers, of which a part is looked at at a time."""
    to, by = np.full(len(labels), -1, dtype=np.int64), np.zeros(len(labels))
    outside = np.flatnonzero(labels < 0)
    for chosen in row_slices(len(outside)):
        rows = outside[chosen]
        part = move_to_most_probable(vectors(rows), labels[rows], inputs.config.outlier_threshold)
        to[rows], by[rows] = part.to, part.by
    return Move(to, by)


def membership_vectors(inputs: Inputs[HdbscanClustering], labels: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """How probable each cluster is for each row, by HDBSCAN's soft clustering; what is left of 1 is "in no cluster".

    Distances to the clusters' densest rows and the height at which a row would join each cluster, multiplied
    (McInnes, Healy and Astels, 2017; `all_points_membership_vectors` of the package hdbscan). It only approximates the
    clustering: for rows at an edge another cluster than their own can be the most probable one.

    Args:
        inputs: What was clustered; it is clustered again.
        labels: ``[rows]`` ids that were found then. With `outliers: own_task` the last one is that of the outliers; its
            probability is what is left of 1.

    Yields:
        Which rows, and their ``[rows, clusters]``; rows sum to 1 at most.

    Raises:
        UserError: Where clustering again finds other clusters.
    """
    fitted = _fit(inputs, probable=True)
    of_fit, _ = _all_rows(inputs, fitted)
    again = renumber_by_size(of_fit)
    vectors = _vectors(inputs, fitted, of_fit)
    own_task = inputs.config.outliers == "own_task" and bool((again < 0).any())
    if own_task:
        again = np.where(again < 0, int(again.max()) + 1, again)
    inputs.check_same(again, np.where(again < 0, again, labels))
    for chosen in row_slices(len(labels)):
        part = vectors(np.arange(chosen.start, chosen.stop))
        left = [(1.0 - part.sum(axis=1, keepdims=True)).clip(0.0, 1.0)] if own_task else []
        yield chosen, np.hstack([part, *left])


def _vectors(
    inputs: Inputs[HdbscanClustering], fitted: HDBSCAN, of_fit: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """What gives membership vectors of rows, ``[some rows, clusters]``: clusters by size, ids of all rows as fitted."""
    from hdbscan import all_points_membership_vectors

    order = ids_by_size(of_fit)
    with np.errstate(all="ignore"):
        vectors = np.asarray(all_points_membership_vectors(fitted)).reshape(len(fitted.labels_), -1)[:, order]
    # Equal rows have no distance to divide by: their own cluster is certain, or none of them is known.
    unknown = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    labels = renumber_by_size(of_fit)
    labels = labels if inputs.sample is None else labels[inputs.sample]
    vectors[unknown] = 0.0
    inside = unknown[labels[unknown] >= 0]
    vectors[inside, labels[inside]] = fitted.probabilities_[inside]
    np.clip(vectors, 0.0, 1.0, out=vectors)
    sample = inputs.sample
    if sample is None:
        return vectors.__getitem__
    place = np.full(len(of_fit), -1, dtype=np.int64)  # in the sample
    place[sample] = np.arange(len(sample))

    def of_rows(rows: np.ndarray) -> np.ndarray:
        others = place[rows] < 0
        part = np.empty((len(rows), len(order)), dtype=np.float32)
        part[~others] = vectors[place[rows[~others]]]
        part[others] = vectors_of_new(fitted, inputs.reduced[rows[others]])[:, order].clip(0.0, 1.0)
        return part

    return of_rows
