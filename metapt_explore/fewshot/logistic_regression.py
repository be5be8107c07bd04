"""Logistic regression on given features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import measure
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


def fit_on_dev(
    train: Any,
    labels: Sequence[int],
    dev: Any,
    dev_labels: list[int],
    classes: int,
    c_values: Sequence[float],
    select_by: str,
    where: str,
) -> tuple[LogisticRegressionHead, dict[str, Any]]:
    """Fits one classifier for each C and keeps the one that dev chooses; of equals the most strongly regularised.

    Returns:
        The classifier, and its ``c``, ``dev_accuracy`` and ``dev_loss``.
    """
    records: list[dict[str, Any]] = []
    heads = {}
    for place, c in enumerate(sorted(c_values)):
        heads[c] = LogisticRegressionHead(train, labels, classes, c, where)
        measured = measure(heads[c].scores(dev), dev_labels)
        records.append({"c": c, "step": place, **{f"dev_{key}": value for key, value in measured.items()}})
    chosen = choose(records, select_by)
    return heads[chosen["c"]], {key: chosen[key] for key in ("c", "dev_accuracy", "dev_loss")}
