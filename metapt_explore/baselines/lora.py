"""LoRA: small matrices added to some layers of the frozen model (Hu et al., ICLR 2022, arXiv 2106.09685), by PEFT."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome
from metapt_explore.baselines.model_tuning import tune_model
from metapt_explore.config.baselines import PEFT
from metapt_explore.errors import UserError
from metapt_explore.seeds import torch_stream


def lora(inputs: BaselineInputs) -> BaselineOutcome:
    """Trains the added matrices; the initialisation seed draws them and orders the examples."""
    return tune_model(inputs, add_matrices)


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
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise UserError(f"The baseline `lora` needs PEFT: pip install '{PEFT}' (or metapt-explore[lora]).") from None
    options = inputs.options
    config = LoraConfig(
        r=options["rank"], lora_alpha=options["alpha"], target_modules=options["targets"], lora_dropout=0.0
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # layers of GPT-2 are stored the other way round
            inject_adapter_in_model(config, model)
    except ValueError as error:
        raise UserError(
            f"The baseline `lora`: {str(error).splitlines()[0]} Name the layers in its `targets`, such as "
            f"[{', '.join(_linear_names(model)[:4])}]."
        ) from None
    # These are read beside the model, by what they were before anything was added.
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        if any("lora_" in name for name, _ in getattr(layer, "named_parameters", list)()):
            raise UserError(
                "The baseline `lora`: embeddings and output layer cannot be among its `targets`; name layers between "
                f"them, such as [{', '.join(_linear_names(model)[:4])}]."
            )
    generator = torch_stream(inputs.seeds[0], "lora", inputs.seeds[1])
    added = []
    for name, parameter in sorted(model.named_parameters()):
        if "lora_" not in name:
            continue
        parameter.data = parameter.data.float()
        if "lora_A" in name:
            # Uniform, as linear layers of torch are: the paper's code draws A so.
            bound = 1 / math.sqrt(parameter.shape[1])
            drawn = (2 * torch.rand(parameter.shape, generator=generator) - 1) * bound
            parameter.data.copy_(drawn)
        else:
            parameter.data.zero_()
        parameter.requires_grad_(True)
        added.append(parameter)
    return added


def _linear_names(model: Any) -> list[str]:
    names = {name.rsplit(".", 1)[-1] for name, layer in model.named_modules() if type(layer).__name__ == "Linear"}
    return sorted(names - {"lm_head"})
