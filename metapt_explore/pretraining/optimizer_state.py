"""Where Adam stands with each of its parameters, as tensors that a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def adam_tensors(optimiser: torch.optim.Adam, parameters: Mapping[str, torch.nn.Parameter]) -> dict[str, Tensor]:
    """Parameters by name and, of those that have taken a step, ``.exp_avg``, ``.exp_avg_sq`` and ``.adam_step``."""
    tensors: dict[str, Tensor] = {}
    for name, value in parameters.items():
        tensors[name] = value.detach()
        state = optimiser.state[value]
        if state:
            tensors[f"{name}.exp_avg"], tensors[f"{name}.exp_avg_sq"] = state["exp_avg"], state["exp_avg_sq"]
            tensors[f"{name}.adam_step"] = torch.as_tensor(state["step"]).reshape(1).float()
    return tensors


def restore_adam(
    optimiser: torch.optim.Adam, parameters: Mapping[str, torch.nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    """Puts parameters and optimiser back to where `adam_tensors` took them from."""
    for name, value in parameters.items():
        with torch.no_grad():
            value.copy_(tensors[name])
        if f"{name}.adam_step" in tensors:
            optimiser.state[value] = {
                "step": tensors[f"{name}.adam_step"][0].clone(),
                "exp_avg": tensors[f"{name}.exp_avg"].to(value.device),
                "exp_avg_sq": tensors[f"{name}.exp_avg_sq"].to(value.device),
            }
