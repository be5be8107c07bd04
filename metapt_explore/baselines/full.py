"""Full fine-tuning: every weight of the language model is trained, read at the label words."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome
from metapt_explore.baselines.model_tuning import tune_model, weights_of


def full(inputs: BaselineInputs) -> BaselineOutcome:
    """Trains all weights; the initialisation seed only orders the examples."""
    return tune_model(inputs, weights_of(all_weights))


def all_weights(model: Any, inputs: BaselineInputs) -> list[Tensor]:
    """Every weight of a model, shared ones once."""
    model.requires_grad_(True)
    return list(model.parameters())
