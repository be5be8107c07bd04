"""Logistic regression on given features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metapt_explore.errors import UserError

#: Probability of a class that has no training row.
NEVER = 1e-6


class LinearHead:
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

    def __init__(self, features: Any, labels: Sequence[int], classes: int, c: float, where: str) -> None:
        from sklearn.linear_model import LogisticRegression

        if len(set(labels)) < 2:
            raise UserError(f"{where}: the training rows are all of one class; a linear classifier needs two.")
        self.classes = classes
        self.model = LogisticRegression(C=c, max_iter=2_000).fit(features, list(labels))

    @property
    def parameters(self) -> int:
        """Numbers that were trained."""
        return int(self.model.coef_.size + self.model.intercept_.size)

    def scores(self, features: Any) -> Tensor:
        """Log-probabilities of the classes, fp32 `[rows, classes]`."""
        found = np.full((features.shape[0], self.classes), NEVER)
        found[:, self.model.classes_] = self.model.predict_proba(features)
        return torch.from_numpy(np.log(found.clip(min=NEVER))).float()
