"""The weights of a Llama-like model as the fused pass uses them: joined, with norms folded in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metapt_explore.models.decoders.frozen_linear import FrozenLinear
from metapt_explore.models.memory import machine_memory

#: Models whose layer is: RMS norm, rotary attention with shared key heads, RMS norm, SiLU-gated MLP.
FUSED_MODELS = ("llama", "mistral", "qwen2")
#: Packed copies are made where they take less than this share of the machine's memory.
PACK_SHARE = 0.125


@dataclass(frozen=True)
class LayerWeights:
    """One layer; each norm's weight is multiplied into the linear maps that read its output.

    Attributes:
        query: Query heads, already divided by the square root of the head dimension.
        key_value: Key heads, then value heads.
        attention_out: From the attended heads back to the model's width.
        gate: Gate projection of the MLP.
        up: Up projection of the MLP.
        down: Down projection of the MLP.
    """

    query: FrozenLinear
    key_value: FrozenLinear
    attention_out: FrozenLinear
    gate: FrozenLinear
    up: FrozenLinear
    down: FrozenLinear


def supports(model: Any) -> bool:
    """Whether a transformers model is one that the fused pass is written for."""
    config = model.config
    return (
        config.model_type in FUSED_MODELS
        and getattr(config, "hidden_act", "") == "silu"
        and not (getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True))
    )


def fused_layers(model: Any) -> list[LayerWeights]:
    """Joins and folds the weights of every layer of a supported model."""
    config, base = model.config, model.base_model
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    dtype, device = base.norm.weight.dtype, base.norm.weight.device
    size = sum(p.numel() * p.element_size() for p in base.layers.parameters())
    copies = 3 if dtype == torch.float32 else 2
    pack = device.type == "cpu" and copies * size < PACK_SHARE * machine_memory()
    layers = []
    for layer in base.layers:
        attention, mlp = layer.self_attn, layer.mlp
        before, between = layer.input_layernorm.weight.float(), layer.post_attention_layernorm.weight.float()

        def joined(*parts: Any, norm: Tensor, scale: float = 1.0) -> FrozenLinear:
            weight = torch.cat([part.weight.float() for part in parts]) * norm * scale
            biases = [part.bias.float() * scale for part in parts if part.bias is not None]
            return FrozenLinear(weight.to(dtype), torch.cat(biases).to(dtype) if biases else None, pack=pack)

        layers.append(
            LayerWeights(
                query=joined(attention.q_proj, norm=before, scale=head_dim**-0.5),
                key_value=joined(attention.k_proj, attention.v_proj, norm=before),
                attention_out=FrozenLinear(attention.o_proj.weight, attention.o_proj.bias, pack=pack),
                gate=joined(mlp.gate_proj, norm=between),
                up=joined(mlp.up_proj, norm=between),
                down=FrozenLinear(mlp.down_proj.weight, mlp.down_proj.bias, pack=pack),
            )
        )
    return layers
