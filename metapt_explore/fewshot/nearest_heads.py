"""Classifiers on given features that look at distances: nearest neighbours, class means, discriminant analysis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from metapt_explore.fewshot.logistic_regression import NEVER


class NearestNeighbours:
    """The vote of the nearest training rows, with one vote more that is shared by all classes (Fix & Hodges, 1951).

    The shared vote keeps a class that no neighbour has possible, so that a dev loss can be compared. Features of length
    one are compared by their cosine, as Euclidean distance orders them alike.

    Args:
        features: Of the training rows, `[rows, width]`.
        labels: Their class indices.
        classes: Number of classes.
        k: Neighbours that vote; all rows where there are fewer.
        where: What to call the rows in messages.

    Example:
        >>> neighbours = NearestNeighbours(np.array([[0.0], [1.0], [5.0]]), [0, 0, 1], 2, k=2, where="rows")
        >>> neighbours.scores(np.array([[0.4]])).exp()  # two votes, and half of the shared one, of three
        tensor([[0.8333, 0.1667]])
    """

    #: Nothing is trained.
    parameters = 0

    def __init__(self, features: np.ndarray, labels: Sequence[int], classes: int, *, k: int, where: str) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.k, self._classes, self._labels = min(k, len(labels)), classes, np.asarray(labels)
        self._index = NearestNeighbors(n_neighbors=self.k, algorithm="brute").fit(features)

    def scores(self, features: np.ndarray, /) -> Tensor:
        """Log-probabilities of the classes, fp32 `[rows, classes]`."""
        nearest = self._labels[self._index.kneighbors(features, return_distance=False)]
        votes = (nearest[..., None] == np.arange(self._classes)).sum(axis=1)
        return torch.from_numpy(np.log((votes + 1 / self._classes) / (self.k + 1))).float()


class ShrunkenDiscriminant:
    """Linear discriminant analysis whose covariance is shrunken towards one variance in all directions.

    Fisher, 1936; shrunken as in Friedman, 1989 (regularised discriminant analysis). With a shrinkage of 1 and without
    priors it is the nearest class mean. Few rows in many directions have a covariance that cannot be inverted: some
    shrinkage is needed.

    Args:
        features: Of the training rows, `[rows, width]`.
        labels: Their class indices.
        classes: Number of classes.
        shrinkage: Share of the covariance within classes that is replaced, 0 to 1.
        where: What to call the rows in messages.
        priors: Whether a class with more rows is likelier; otherwise all that have rows are alike.

    Example:
        >>> rows = np.array([[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [4.0, 2.0]])
        >>> means = ShrunkenDiscriminant(rows, [0, 0, 1, 1], 2, shrinkage=1.0, where="rows")
        >>> means.scores(np.array([[1.9, 9.0], [2.1, 9.0]])).argmax(1).tolist()
        [0, 1]
    """

    def __init__(
        self,
        features: np.ndarray,
        labels: Sequence[int],
        classes: int,
        *,
        shrinkage: float,
        where: str,
        priors: bool = True,
    ) -> None:
        rows, of_row = np.asarray(features, dtype=np.float64), np.asarray(labels)
        counts = np.bincount(of_row, minlength=classes)
        present = np.flatnonzero(counts)
        means = np.stack([rows[of_row == label].mean(axis=0) for label in present])
        apart = rows - means[np.searchsorted(present, of_row)]
        variance = float((apart**2).mean())
        if variance == 0:  # one row in each class: how far classes are apart is all that is known
            variance = float(((means - means.mean(axis=0)) ** 2).mean()) or 1.0
            shrinkage = 1.0
        if shrinkage == 1:
            weights = means / variance
        else:
            covariance = (1 - shrinkage) * (apart.T @ apart) / len(rows)
            covariance[np.diag_indices_from(covariance)] += shrinkage * variance
            weights = np.linalg.lstsq(covariance, means.T, rcond=None)[0].T
        self._weights = np.zeros((classes, rows.shape[1]))
        self._weights[present] = weights
        self._bias = np.full(classes, np.nan)
        shares = counts[present] / len(rows) if priors else np.full(len(present), 1 / len(present))
        self._bias[present] = np.log(shares) - 0.5 * (means * weights).sum(axis=1)

    @property
    def parameters(self) -> int:
        """How many numbers were fitted."""
        return int(self._weights.size + self._bias.size)

    def scores(self, features: np.ndarray, /) -> Tensor:
        """Log-probabilities of the classes, fp32 `[rows, classes]`; a class without training rows has next to none."""
        logits = torch.from_numpy(np.asarray(features, dtype=np.float64) @ self._weights.T + self._bias)
        scores = logits.masked_fill(logits.isnan(), float("-inf")).log_softmax(dim=1)
        return scores.clamp(min=float(np.log(NEVER))).float()
