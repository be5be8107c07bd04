"""A linear probe: logistic regressions on hidden states of a text, kept as tensors that are saved with the prompt."""

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
    """Classes of a text from its hidden states (`models/hidden_states.py`), all fp32 on the CPU.

    Attributes:
        mean: Mean of the training rows' features, `[layers, width]`.
        scale: Their standard deviation, `[layers, width]`.
        coefficients: `[layers, classes, width]`.
        intercepts: `[layers, classes]`.
    """

    mean: Tensor
    scale: Tensor
    coefficients: Tensor
    intercepts: Tensor

    @classmethod
    def fit(cls, hidden_states: Tensor, labels: Sequence[int], classes: int, *, c: float, where: str) -> LinearProbe:
        """Fits a logistic regression to each layer's states, standardised by these rows.

        Args:
            hidden_states: Of the training rows, `[layers, rows, width]`.
            labels: Their class indices.
            classes: Number of classes.
            c: Inverse strength of the L2 penalty, as scikit-learn has it.
            where: What to call the rows in messages.

        Raises:
            UserError: Where the rows are all of one class.
        """
        from sklearn.preprocessing import StandardScaler

        # In fp64, so that the solver stops at the same place on every machine.
        features = [layer.double().numpy() for layer in hidden_states]
        scalers = [StandardScaler().fit(rows) for rows in features]
        heads = [
            LogisticRegressionHead(scaler.transform(rows), labels, classes, c=c, where=where)
            for scaler, rows in zip(scalers, features, strict=True)
        ]
        coefficients = torch.zeros(len(hidden_states), classes, hidden_states.shape[-1])
        intercepts = torch.full((len(hidden_states), classes), _NO_ROW)
        for layer, head in enumerate(heads):
            known, weights, bias = list(head.model.classes_), head.model.coef_, head.model.intercept_
            if len(known) == 2:  # One of two classes has all the coefficients.
                weights, bias = np.concatenate([0 * weights, weights]), np.concatenate([0 * bias, bias])
            coefficients[layer, known] = torch.from_numpy(weights).float()
            intercepts[layer, known] = torch.from_numpy(bias).float()
        mean, scale = (
            torch.from_numpy(np.stack([getattr(scaler, name) for scaler in scalers])).float()
            for name in ("mean_", "scale_")
        )
        return cls(mean, scale, coefficients, intercepts)

    def scores(self, hidden_states: Tensor, /) -> Tensor:
        """Log-probabilities of the classes, the mean over layers: `[layers, rows, width]` to `[rows, classes]`."""
        scaled = (hidden_states - self.mean[:, None]) / self.scale[:, None]
        logits = torch.einsum("vrw,vcw->vrc", scaled, self.coefficients) + self.intercepts[:, None]
        return logits.log_softmax(-1).clamp(min=log(NEVER)).mean(0)

    @property
    def parameters(self) -> int:
        """How many numbers were trained: of two classes one has coefficients."""
        layers, classes, width = self.coefficients.shape
        return layers * (width + 1) * (1 if classes == 2 else classes)

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Its tensors by name, for safetensors."""
        return {f"{prefix}{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], prefix: str = "") -> LinearProbe:
        """The probe that `tensors` gave."""
        return cls(**{field.name: tensors[f"{prefix}{field.name}"] for field in fields(cls)})
