"""HDBSCAN fitted on a sample: where the other texts belong, and how probable each cluster is for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hdbscan import HDBSCAN

#: Rows that are assigned at once.
ROWS_AT_ONCE = 8_192


class ExactNeighbours:
    """Exact nearest neighbours by matrix products, in the place of the tree that the package hdbscan asks.

    In dozens of dimensions a tree looks at nearly every point, one after the other: for 50,000 points of 50 dimensions
    products are some ten times as fast.

    Args:
        points: ``[points, dimensions]``.
    """

    def __init__(self, points: np.ndarray) -> None:
        from sklearn.neighbors import NearestNeighbors

        self._search = NearestNeighbors(algorithm="brute").fit(points)
        self._most = len(points)

    def query(self, points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances to the `k` nearest points of each row, ascending, and which these are."""
        distances, neighbours = self._search.kneighbors(points, n_neighbors=min(k, self._most))
        return distances, neighbours


def assign(
    fitted: HDBSCAN, points: np.ndarray, on_rows: Callable[[int], None] = lambda rows: None
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster and membership of rows that were not fitted: `approximate_predict` of the package hdbscan.

    A row joins the tree of the fitted rows at its nearest one (by mutual reachability); it is an outlier where that
    lies in no cluster, or it joins below the cluster. No cluster changes by it.

    Args:
        fitted: Fitted with ``prediction_data=True``.
        points: ``[rows, dimensions]``.
        on_rows: Called with the number of finished rows; may raise to stop.

    Returns:
        ``[rows]`` labels of the fit, -1 for outliers, and ``[rows]`` membership in 0..1.
    """
    from hdbscan import approximate_predict

    labels, membership = np.empty(len(points), dtype=np.int64), np.empty(len(points))
    for chosen, part in _parts(fitted, points):
        labels[chosen], membership[chosen] = approximate_predict(fitted, part)
        on_rows(chosen.stop)
    return labels, membership


def vectors_of_new(fitted: HDBSCAN, points: np.ndarray) -> np.ndarray:
    """How probable each cluster is for rows that were not fitted, ``[rows, clusters]`` in float32.

    `membership_vector` of the package hdbscan; clusters in the order of the fit.
    """
    from hdbscan import membership_vector

    made = [np.zeros((0, int(fitted.labels_.max()) + 1), dtype=np.float32)]
    with np.errstate(all="ignore"):
        made += [np.asarray(membership_vector(fitted, part), dtype=np.float32) for _, part in _parts(fitted, points)]
    return np.nan_to_num(np.concatenate(made), nan=0.0)


def _parts(fitted: HDBSCAN, points: np.ndarray) -> Any:
    data = fitted.prediction_data_
    if not isinstance(data.tree, ExactNeighbours):
        data.tree = ExactNeighbours(np.asarray(data.raw_data))
    for first in range(0, len(points), ROWS_AT_ONCE):
        chosen = slice(first, min(first + ROWS_AT_ONCE, len(points)))
        yield chosen, np.asarray(points[chosen], dtype=np.float64)
