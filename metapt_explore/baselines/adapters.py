"""What PEFT puts inside a frozen model: LoRA's matrices, IA³'s factors.

LoRA: Hu et al., ICLR 2022 (arXiv 2106.09685). IA³: Liu et al., NeurIPS 2022 (arXiv 2205.05638).
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome
from metapt_explore.baselines.model_tuning import tune_model, weights_of
from metapt_explore.config.baselines import PEFT
from metapt_explore.errors import UserError
from metapt_explore.seeds import torch_stream


def lora(inputs: BaselineInputs) -> BaselineOutcome:
    """Trains the added matrices; the initialisation seed draws them and orders the examples."""
    return tune_model(inputs, weights_of(add_matrices))


def ia3(inputs: BaselineInputs) -> BaselineOutcome:
    """Trains factors of activations, which begin at 1; the initialisation seed only orders the examples."""
    return tune_model(inputs, weights_of(add_factors))


def add_matrices(model: Any, inputs: BaselineInputs) -> list[Tensor]:
    """Adds LoRA's matrices to a model, in fp32: A drawn as in the paper's code, B zero.

    Args:
        model: A transformers model; it is changed.
        inputs: `rank`, `alpha` and `targets`, and the seeds.

    Returns:
        The matrices.

    Raises:
        UserError: Where PEFT is missing, or the model has no layers of the given names.
    """
    options = inputs.options
    settings = {"r": options["rank"], "lora_alpha": options["alpha"], "target_modules": options["targets"]}
    added = _inject(model, "lora", key="targets", config="LoraConfig", settings={**settings, "lora_dropout": 0.0})
    generator = torch_stream(inputs.seeds[0], "lora", inputs.seeds[1])
    for name, parameter in added.items():
        if "lora_A" in name:
            # Uniform, as linear layers of torch are: the paper's code draws A so.
            bound = 1 / math.sqrt(parameter.shape[1])
            drawn = (2 * torch.rand(parameter.shape, generator=generator) - 1) * bound
            parameter.data.copy_(drawn)
        else:
            parameter.data.zero_()
    return list(added.values())


def add_factors(model: Any, inputs: BaselineInputs) -> list[Tensor]:
    """Adds IA³'s factors to a model, in fp32, each 1: nothing is changed before the first step.

    Args:
        model: A transformers model; it is changed.
        inputs: `scaled_layers` and `feedforward_layers`.

    Returns:
        The factors.

    Raises:
        UserError: Where PEFT is missing, or the model has no layers of the given names.
    """
    layers, feedforward = inputs.options["scaled_layers"], inputs.options["feedforward_layers"]
    if feedforward is not None and not set(feedforward) <= set(layers or ()):
        raise UserError("The baseline `ia3`: its `feedforward_layers` must stand among its `scaled_layers` as well.")
    if layers is not None:
        feedforward = feedforward or []
    settings = {"target_modules": layers, "feedforward_modules": feedforward}
    return list(_inject(model, "ia3", key="scaled_layers", config="IA3Config", settings=settings).values())


def _inject(model: Any, kind: str, *, key: str, config: str, settings: dict[str, Any]) -> dict[str, Tensor]:
    """Puts a PEFT adapter into a model.

    Args:
        model: A transformers model; it is changed.
        kind: ``lora`` or ``ia3``, with which names of what is added begin.
        key: Setting of the baseline that names layers, for messages.
        config: Class of PEFT.
        settings: Its settings.

    Returns:
        What was added, by name, fp32.
    """
    try:
        import peft
    except ImportError:
        raise UserError(f"The baseline `{kind}` needs PEFT: pip install '{PEFT}' (or metapt-explore[lora]).") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # layers of GPT-2 are stored the other way round
            peft.inject_adapter_in_model(getattr(peft, config)(**settings), model)
    except ValueError as error:
        raise UserError(
            f"The baseline `{kind}`: {str(error).splitlines()[0]} Name the layers in its `{key}`, such as "
            f"[{', '.join(_linear_names(model)[:4])}]."
        ) from None
    # These are read beside the model, by what they were before anything was added.
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        if any(f"{kind}_" in name for name, _ in getattr(layer, "named_parameters", list)()):
            raise UserError(
                f"The baseline `{kind}`: embeddings and output layer cannot be among its `{key}`; name layers between "
                f"them, such as [{', '.join(_linear_names(model)[:4])}]."
            )
    added = {name: parameter for name, parameter in sorted(model.named_parameters()) if f"{kind}_" in name}
    for parameter in added.values():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
    return added


def _linear_names(model: Any) -> list[str]:
    names = {name.rsplit(".", 1)[-1] for name, layer in model.named_modules() if type(layer).__name__ == "Linear"}
    return sorted(names - {"lm_head"})
