"""Models that one card does not hold: layers on several devices, weights of 8 or 4 bits. Decoder-only models.

Both run through the model's own forward pass, with hooks of accelerate or layers of bitsandbytes; the hand-written pass
reads weights itself and steps aside. What comes out is compared with the model's own full forward at load.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from metapt_explore.config import ModelConfig
from metapt_explore.config.families import FamilyFacts
from metapt_explore.errors import UserError
from metapt_explore.models.memory import GPU_PASS_SHARE

#: Share of a card's memory that `device_map: auto` fills with weights; passes and cached texts take the rest.
WEIGHTS_SHARE = 0.9 - GPU_PASS_SHARE


def check_placing(config: ModelConfig, facts: FamilyFacts, dtype: torch.dtype) -> None:
    """Refuses settings of large models for families that are not run so.

    Args:
        config: The model's settings.
        facts: Of its family.
        dtype: Its number format.

    Raises:
        UserError: Naming the setting; also where bitsandbytes is asked for and missing.
    """
    if not facts.large:
        if dtype == torch.float16:
            raise UserError(
                f"'{config.name}' is {facts.title}: model.dtype float16 goes with decoder-only models (T5, for one, "
                "overflows in it). Use float32, or bfloat16 where the machine has it."
            )
        for key in ("device_map", "quantised"):
            if getattr(config, key) is not None:
                raise UserError(f"'{config.name}' is {facts.title}: model.{key} goes with decoder-only models.")
    if config.quantised is not None and find_spec("bitsandbytes") is None:
        raise UserError(
            "model.quantised needs bitsandbytes, which is not installed: pip install 'metapt-explore[quantised]'"
        )


def placing_options(config: ModelConfig, device: str, dtype: torch.dtype) -> dict[str, Any]:
    """Options of `from_pretrained` that put weights where they run; none where the caller moves the model.

    Args:
        config: The model's settings.
        device: Where it runs without a `device_map`.
        dtype: What products are computed in.
    """
    options: dict[str, Any] = {}
    if config.device_map is not None:
        options["device_map"] = config.device_map
        if config.device_map == "auto" and torch.cuda.is_available():
            options["max_memory"] = _most_memory()
    if config.quantised is not None:
        from transformers import BitsAndBytesConfig

        four: dict[str, Any] = {
            "load_in_4bit": True,
            "bnb_4bit_compute_dtype": dtype,
            "bnb_4bit_quant_type": "nf4",
        }
        eight: dict[str, Any] = {"load_in_8bit": True}
        options["quantization_config"] = BitsAndBytesConfig(**(four if config.quantised == "4bit" else eight))
        options.setdefault("device_map", {"": device})
    return options


def keep_gradients(model: Any) -> None:
    """Keeps bitsandbytes from a fast product of the processor that has no gradient, without saying so.

    Its 4-bit layers turn to it for good at the first input without a gradient, such as the texts that are encoded.
    """
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def _most_memory() -> dict[int | str, int]:
    """Bytes of weights that each card, and then the host, may hold."""
    from metapt_explore.models.memory import machine_memory

    cards: dict[int | str, int] = {
        card: int(WEIGHTS_SHARE * torch.cuda.get_device_properties(card).total_memory)
        for card in range(torch.cuda.device_count())
    }
    return {**cards, "cpu": machine_memory() // 2}


def is_placed(config: ModelConfig) -> bool:
    """Whether weights are spread or quantised, so that only the model's own layers know how to use them."""
    return config.device_map is not None or config.quantised is not None


def whole_tensor(module: nn.Module, name: str = "weight") -> Tensor | None:
    """A parameter of a layer where the layer runs; accelerate keeps those of the disk and of the host elsewhere.

    Args:
        module: The layer.
        name: Its parameter.

    Returns:
        The parameter itself where it lies with the layer; None where the layer has none.
    """
    value: Tensor | None = getattr(module, name, None)
    hook: Any = getattr(module, "_hf_hook", None)
    if value is None or not value.is_meta or hook is None:
        return value
    stored: Tensor = hook.weights_map[name]
    return stored.to(hook.execution_device).to(value.dtype)


def whole_weight(module: nn.Module) -> Tensor:
    """The weight of a layer that has one, see `whole_tensor`."""
    weight = whole_tensor(module)
    assert weight is not None
    return weight
