"""Attention over cached keys and values, for every transformers model with the attention interface.

The model's own forward pass runs with our attention function, in two ways:

* **capture**: plain causal attention over right-padded texts, or over prompts, whose keys and values
  are kept. Padding stands behind every real token, so a causal mask alone is exact.
* **continue**: the new tokens of a row attend to what was captured (with `suffix` the row's text, with
  `prefix` its prompt) and, causally, to one another. Captured keys and values are neither repeated over
  query heads nor concatenated with the new ones.

Where a gradient is taken, scores and softmax are plain tensor operations, so that a second derivative
exists (fused attention kernels have none).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAME = "metapt_text_state"


@dataclass
class Captured:
    """Receives each layer's keys and values, `[rows, kv_heads, tokens, head_dim]`."""

    keys: list[Tensor]
    values: list[Tensor]

    def stacked(self) -> tuple[Tensor, Tensor]:
        """Keys and values of all layers, `[layers, rows, kv_heads, tokens, head_dim]` each.

        Raises:
            KeyError: Where the model ran another attention function than ours.
        """
        if not self.keys:
            raise KeyError(NAME)
        device = self.keys[0].device  # layers of a spread model lie on several
        keys, values = ([part.to(device) for part in parts] for parts in (self.keys, self.values))
        return torch.stack(keys), torch.stack(values)


@dataclass
class Context:
    """What the new tokens of one forward pass attend to besides themselves: texts, or prompts.

    Attributes:
        keys: `[layers, rows, kv_heads, seen_tokens, head_dim]`.
        values: The same shape.
        mask: Added to scores over what is seen: 0 or the most negative number, `[rows, 1, 1, seen_tokens]`.
        self_mask: Added to scores among the new tokens, `[new_tokens, new_tokens]`.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor
    self_mask: Tensor


class AttentionOptions(TypedDict, total=False):
    """What a model's forward pass hands on to the attention function; whatever else it hands on is not used.

    Attributes:
        scaling: Factor of the scores; `head_dim ** -0.5` when absent.
        softcap: Limit of the scores, which a hyperbolic tangent bends (Gemma 2).
        captured: Given while texts are encoded.
        context: Given while prompts are scored.
    """

    scaling: float | None
    softcap: float | None
    captured: Captured | None
    context: Context | None


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Unpack[AttentionOptions],
) -> tuple[Tensor, None]:
    """The attention function that is registered with transformers, which fixes the order of its arguments.

    Args:
        module: The attention layer; its `layer_idx` picks the text's keys and values.
        query: `[rows, heads, new_tokens, head_dim]`.
        key: `[rows, kv_heads, new_tokens, head_dim]`.
        value: The same shape as `key`.
        attention_mask: Unused: transformers builds none for this function.
        **options: See `AttentionOptions`; dropout is not used, because the model is frozen and in evaluation mode.

    Returns:
        The attended values `[rows, new_tokens, heads, head_dim]`, and None for the weights.
    """
    rows, heads, tokens, head_dim = query.shape
    kv_heads = key.shape[1]
    scaling, softcap, context = options.get("scaling"), options.get("softcap"), options.get("context")
    if context is None:
        captured = options.get("captured")
        if captured is not None:
            captured.keys.append(key)
            captured.values.append(value)
        if softcap is None and not (torch.is_grad_enabled() and query.requires_grad):
            out = F.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=scaling, enable_gqa=kv_heads != heads
            )
            return out.transpose(1, 2).contiguous(), None

    repeats = heads // kv_heads
    # Query heads that share a key head are laid behind one another on the token axis.
    query = query.reshape(rows, kv_heads, repeats * tokens, head_dim) * (scaling or head_dim**-0.5)
    own_mask = (
        context.self_mask if context is not None else causal_mask(tokens, 1, dtype=query.dtype, device=query.device)
    )
    scores = _capped(query @ key.transpose(-1, -2), softcap) + own_mask.to(query.device).repeat(repeats, 1)
    seen_tokens = 0
    if context is not None:
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        seen_keys, seen_values = context.keys[layer].to(query.device), context.values[layer].to(query.device)
        seen_tokens = seen_keys.shape[2]
        over_seen = _capped(query @ seen_keys.transpose(-1, -2), softcap) + context.mask.to(query.device)
        scores = torch.cat([over_seen, scores], dim=-1)
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype)
    out = weights[..., seen_tokens:] @ value
    if context is not None:
        out = weights[..., :seen_tokens] @ seen_values + out
    return out.reshape(rows, heads, tokens, head_dim).transpose(1, 2), None


def _capped(scores: Tensor, softcap: float | None) -> Tensor:
    return scores if softcap is None else softcap * torch.tanh(scores / softcap)


def register() -> str:
    """Makes the attention function known to transformers and returns its name."""
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(NAME, attention)
    return NAME


def causal_mask(tokens: int, blocks: int, *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Mask among new tokens: causal inside each of `blocks` equal blocks, nothing between blocks.

    Several prompts can thus be scored over one text in one row: each block is a prompt with its tail.

    Returns:
        `[blocks * tokens, blocks * tokens]`, 0 where attention is allowed, else the most negative number.
    """
    allowed = torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()
    if blocks > 1:
        block_diag: Any = torch.block_diag
        allowed = block_diag(*[allowed] * blocks).bool()
    mask = torch.zeros(allowed.shape, dtype=dtype, device=device)
    return mask.masked_fill(~allowed, torch.finfo(dtype).min)
