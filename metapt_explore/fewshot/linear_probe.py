"""A probe: logistic regressions on views of a text, kept as plain tensors that go wherever the prompt goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import log

import numpy as np
import torch
from torch import Tensor

from metapt_explore.fewshot.logistic_regression import NEVER, LogisticRegressionHead

#: Logit of a class that has no training row.
_NO_ROW = -1e4


@dataclass(frozen=True)
class LinearProbe:
    """Classes of a text from its views (`models/hidden_states.py`), all fp32 on the CPU.

    Attributes:
        mean: Mean of the training rows' features, `[views, width]`.
        scale: Their standard deviation, `[views, width]`.
        coefficients: `[views, classes, width]`.
        intercepts: `[views, classes]`.
    """

    mean: Tensor
    scale: Tensor
    coefficients: Tensor
    intercepts: Tensor

    @classmethod
    def fit(cls, views: Tensor, labels: Sequence[int], classes: int, c: float, where: str) -> LinearProbe:
        """Fits a logistic regression to each view, on features standardised by these rows.

        Args:
            views: Of the training rows, `[views, rows, width]`.
            labels: Their class indices.
            classes: Number of classes.
            c: Inverse strength of the L2 penalty, as scikit-learn has it.
            where: What to call the rows in messages.

        Raises:
            UserError: Where the rows are all of one class.
        """
        from sklearn.preprocessing import StandardScaler

        # In fp64, so that the solver stops at the same place on every machine.
        features = [view.double().numpy() for view in views]
        scalers = [StandardScaler().fit(own) for own in features]
        heads = [
            LogisticRegressionHead(scaler.transform(own), labels, classes, c, where)
            for scaler, own in zip(scalers, features, strict=True)
        ]
        coefficients = torch.zeros(len(views), classes, views.shape[-1])
        intercepts = torch.full((len(views), classes), _NO_ROW)
        for view, head in enumerate(heads):
            own, rows, shift = list(head.model.classes_), head.model.coef_, head.model.intercept_
            if len(own) == 2:  # One of two classes has all the coefficients.
                rows, shift = np.concatenate([0 * rows, rows]), np.concatenate([0 * shift, shift])
            coefficients[view, own] = torch.from_numpy(rows).float()
            intercepts[view, own] = torch.from_numpy(shift).float()
        mean, scale = (
            torch.from_numpy(np.stack([getattr(scaler, name) for scaler in scalers])).float()
            for name in ("mean_", "scale_")
        )
        return cls(mean, scale, coefficients, intercepts)

    def scores(self, views: Tensor) -> Tensor:
        """Log-probabilities of the classes, the mean over views: `[views, rows, width]` to `[rows, classes]`."""
        scaled = (views - self.mean[:, None]) / self.scale[:, None]
        logits = torch.einsum("vrw,vcw->vrc", scaled, self.coefficients) + self.intercepts[:, None]
        return logits.log_softmax(-1).clamp(min=log(NEVER)).mean(0)

    @property
    def parameters(self) -> int:
        """Numbers that were trained: of two classes one has coefficients."""
        views, classes, width = self.coefficients.shape
        return views * (width + 1) * (1 if classes == 2 else classes)

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Its tensors by name, as safetensors keeps them."""
        return {f"{prefix}{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], prefix: str = "") -> LinearProbe:
        """The probe whose `tensors` these are."""
        return cls(**{field.name: tensors[f"{prefix}{field.name}"] for field in fields(cls)})
