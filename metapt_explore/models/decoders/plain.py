"""Any transformers decoder-only model through its own forward pass, with our attention function.

Every operation is a plain tensor operation where a gradient is taken, so that there is a second
derivative: exact MAML uses this decoder for every model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metapt_explore.models.decoders import attention
from metapt_explore.models.kv_cache.text import TextKV


class PlainDecoder:
    """See `Decoder`.

    Args:
        model: A transformers causal language model, loaded with our attention function.
    """

    def __init__(self, model: Any) -> None:
        self.base = model.base_model

    def encode(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """See `Decoder.encode`."""
        captured = attention.Captured([], [])
        with torch.no_grad():
            self.base(input_ids=token_ids, use_cache=False, captured=captured)
        return captured.stacked()

    def after_text(self, new: Tensor, state: TextKV, blocks: int) -> Tensor:
        """See `Decoder.after_text`."""
        tokens = new.shape[1] // blocks
        offsets = torch.arange(tokens, device=new.device).repeat(blocks)
        context = attention.Context(
            state.keys[..., state.spare :, :],
            state.values[..., state.spare :, :],
            state.text_mask()[:, None, None],
            attention.causal_mask(tokens, blocks, dtype=new.dtype, device=new.device),
        )
        out = self.base(
            inputs_embeds=new, position_ids=state.lengths[:, None] + offsets[None], use_cache=False, context=context
        )
        hidden: Tensor = out.last_hidden_state.to(new.device)  # the last layer of a spread model may lie elsewhere
        return hidden[:, tokens - 1 :: tokens]

    def after_prompt(self, prompts: Tensor, rows: Tensor, lengths: Tensor, *, groups: Tensor) -> Tensor:
        """See `Decoder.after_prompt`."""
        if not prompts.shape[1]:
            return _last(self.base(inputs_embeds=rows, use_cache=False).last_hidden_state, lengths)
        keys, values = self.keys_of(prompts)
        return self.after_keys(keys, values, rows, lengths=lengths, groups=groups)

    def keys_of(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of token vectors `[rows, tokens, width]`, as `encode` gives them for tokens."""
        captured = attention.Captured([], [])
        self.base(inputs_embeds=vectors, use_cache=False, captured=captured)
        return captured.stacked()

    def after_keys(self, keys: Tensor, values: Tensor, rows: Tensor, *, lengths: Tensor, groups: Tensor) -> Tensor:
        """See `Decoder.after_keys`."""
        tokens, prompt_tokens = rows.shape[1], keys.shape[3]
        # Padding stands behind every real token: the causal mask keeps it out of what is read.
        context = attention.Context(
            pick(keys, groups, dim=1),
            pick(values, groups, dim=1),
            rows.new_zeros(1, 1, 1, prompt_tokens),
            attention.causal_mask(tokens, 1, dtype=rows.dtype, device=rows.device),
        )
        positions = torch.arange(prompt_tokens, prompt_tokens + tokens, device=rows.device)
        out = self.base(
            inputs_embeds=rows, position_ids=positions.expand(len(rows), -1), use_cache=False, context=context
        )
        return _last(out.last_hidden_state, lengths)


def _last(hidden: Tensor, lengths: Tensor) -> Tensor:
    """Each row's last real token, `[rows, tokens, width]` to `[rows, width]`."""
    return hidden.to(lengths.device)[torch.arange(len(hidden), device=lengths.device), lengths - 1]


def pick(values: Tensor, groups: Tensor, dim: int = 0) -> Tensor:
    """Takes the entry of each row's group along a dimension.

    Both ways are the same forward; each is the one whose backward adds in a fixed order on its device.
    """
    if values.is_cuda:
        return values[groups] if dim == 0 else values.transpose(0, dim)[groups].transpose(0, dim)
    return values.index_select(dim, groups)
