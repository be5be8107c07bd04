"""Logistic regression on given features, its C chosen on dev."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import DevMetrics, dev_metrics, measure
from metapt_explore.fewshot.selection import choose

#: Probability of a class that has no training row.
NEVER = 1e-6


class LogisticRegressionHead:
    """Logistic regression from features to the classes of a task.

    Args:
        features: Of the training rows, `[rows, width]`, dense or sparse.
        labels: Their class indices.
        classes: Number of classes.
        c: Inverse strength of the L2 penalty, as scikit-learn has it.
        where: What to call the rows in messages.

    Raises:
        UserError: Where the rows are all of one class.
    """

    def __init__(self, features: Any, labels: Sequence[int], classes: int, *, c: float, where: str) -> None:
        from sklearn.linear_model import LogisticRegression

        if len(set(labels)) < 2:
            raise UserError(f"{where}: the training rows are all of one class; a linear classifier needs two.")
        self.classes = classes
        self.model = LogisticRegression(C=c, max_iter=2_000).fit(features, list(labels))

    @property
    def parameters(self) -> int:
        """How many numbers were trained."""
        return int(self.model.coef_.size + self.model.intercept_.size)

    def scores(self, features: Any) -> Tensor:
        """Log-probabilities of the classes, fp32 `[rows, classes]`."""
        probabilities = np.full((features.shape[0], self.classes), NEVER)
        probabilities[:, self.model.classes_] = self.model.predict_proba(features)
        return torch.from_numpy(np.log(probabilities.clip(min=NEVER))).float()


class CPoint(DevMetrics):
    """Dev scores of a classifier at one C.

    Attributes:
        c: Inverse strength of the L2 penalty.
        step: Place of C among the tried ones, from the strongest penalty.
    """

    c: float
    step: int


class FittedClassifier(Protocol):
    """A fitted classifier."""

    @property
    def parameters(self) -> int:
        """How many numbers were trained."""

    def scores(self, features: Any, /) -> Tensor:
        """Log-probabilities of the classes, `[rows, classes]`."""


Fitted = TypeVar("Fitted", bound=FittedClassifier)


def fit_on_dev(
    fit: Callable[..., Fitted], dev: Any, dev_labels: list[int], *, c_values: Sequence[float], select_by: str
) -> tuple[Fitted, CPoint]:
    """Fits one classifier for each C and keeps the one that dev chooses; of equals the one with the strongest penalty.

    Args:
        fit: Fits a classifier, given `c`.
        dev: Features of the dev rows.
        dev_labels: Their class indices.
        c_values: The C to try.
        select_by: See `choose`.

    Returns:
        The classifier, and its scores on dev.
    """
    points: list[CPoint] = []
    fitted = {}
    for index, c in enumerate(sorted(c_values)):
        fitted[c] = fit(c=c)
        points.append({"c": c, "step": index, **dev_metrics(measure(fitted[c].scores(dev), dev_labels))})
    chosen = choose(points, select_by)
    return fitted[chosen["c"]], chosen
