"""Llama-like models (Llama, SmolLM2, Mistral, Qwen2 …) through the hand-written pass of `fused_pass.py`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.models.decoders import attention
from metapt_explore.models.decoders.frozen_linear import gated
from metapt_explore.models.decoders.fused_layout import Given, Rotary, Segment, Shape
from metapt_explore.models.decoders.fused_pass import FusedBehindKeys, FusedFunction, FusedPass, norm
from metapt_explore.models.decoders.fused_weights import fused_layers
from metapt_explore.models.kv_cache.text import TextKV

#: Tokens up to which attention over whole texts is written as plain products.
SHORT_TEXT = 64


class FusedDecoder:
    """See `Decoder`. First derivatives only.

    Args:
        model: A model that `fused_weights.supports`.
    """

    def __init__(self, model: Any) -> None:
        config, base = model.config, model.base_model
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.shape = Shape(config.num_attention_heads, config.num_key_value_heads, head_dim, config.rms_norm_eps)
        self.layers = fused_layers(model)
        self._embed, self._rotary, self._final_norm = base.embed_tokens, base.rotary_emb, base.norm

    @property
    def later_bytes(self) -> int:
        """Memory that the weights take on top once they are used."""
        return sum(linear.later_bytes for layer in self.layers for linear in vars(layer).values())

    @property
    def refused_packing(self) -> bool:
        """Whether a weight was to be laid out for the processor, which does not take it."""
        return any(linear.refused for layer in self.layers for linear in vars(layer).values())

    @torch.no_grad()
    def encode(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """See `Decoder.encode`: plain causal attention; the last layer stops at its keys and values."""
        shape, (rows, tokens) = self.shape, token_ids.shape
        x = self._embed(token_ids).flatten(0, 1)
        cos, sin = self._rotary(x, torch.arange(tokens, device=x.device)[None])
        rotary = Rotary(cos[:, :, None], sin[:, :, None])
        size = (len(self.layers), rows, shape.kv_heads, tokens, shape.head_dim)
        keys, values = x.new_empty(size), x.new_empty(size)
        query = x.new_empty(rows, shape.heads, tokens, shape.head_dim)
        mask = attention.causal_mask(tokens, 1, dtype=x.dtype, device=x.device).repeat(shape.repeats, 1)
        for index, layer in enumerate(self.layers):
            normed, _ = norm(x, shape.eps)
            key, value = layer.key_value(normed).view(rows, tokens, -1, shape.head_dim).chunk(2, dim=2)
            rotary.apply(key, keys[index].transpose(1, 2))
            values[index].copy_(value.transpose(1, 2))
            if index == len(self.layers) - 1:
                break
            rotary.apply(layer.query(normed).view(rows, tokens, shape.heads, shape.head_dim), query.transpose(1, 2))
            heads = self._causal(query, keys[index], values[index], mask=mask)
            x = layer.attention_out.plus(heads.transpose(1, 2).reshape(rows * tokens, -1), x)
            x = layer.down.plus(gated(layer.gate, layer.up, norm(x, shape.eps)[0]), x)
        return keys, values

    def _causal(self, query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor) -> Tensor:
        """Causal attention; queries are scaled by their weights."""
        rows, heads, tokens, head_dim = query.shape
        if tokens > SHORT_TEXT or query.is_cuda:
            return F.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=1.0, enable_gqa=self.shape.repeats > 1
            )
        # Short texts: three products are faster than the fused kernel, which cannot share key heads.
        flat = (rows * self.shape.kv_heads, self.shape.repeats * tokens, head_dim)
        key, value = key.flatten(0, 1), value.flatten(0, 1)
        scores = torch.baddbmm(mask.expand(len(key), -1, -1), query.view(flat), key.transpose(1, 2))
        weights = scores.softmax(-1, dtype=torch.float32).to(scores.dtype)
        return torch.bmm(weights, value).view(rows, heads, tokens, head_dim)

    def after_text(self, new: Tensor, state: TextKV, blocks: int) -> Tensor:
        """See `Decoder.after_text`."""
        rows, tokens, width = new.shape
        if state.spare < tokens:
            raise ValueError(f"the text states have room for {state.spare} new tokens, but {tokens} were given")
        block = tokens // blocks
        offsets = torch.arange(block, device=new.device).repeat(blocks)
        cos, sin = self._rotary(new, state.lengths[:, None] + offsets[None])
        among = attention.causal_mask(block, blocks, dtype=new.dtype, device=new.device).expand(rows, -1, -1)
        text = state.text_mask()[:, None].expand(-1, tokens, -1)
        # They fill the room next to the text.
        first = state.spare - tokens
        segment = Segment(
            rows,
            tokens,
            state.keys[..., first:, :],
            state.values[..., first:, :],
            first_column=0,
            mask=torch.cat([among, text], dim=2),
            cos=cos,
            sin=sin,
            read=torch.arange(block - 1, tokens, block, device=new.device).expand(rows, -1),
        )
        return self._run(new.reshape(rows * tokens, width), [segment]).view(rows, blocks, width)

    def after_prompt(self, prompts: Tensor, rows: Tensor, lengths: Tensor, *, groups: Tensor) -> Tensor:
        """See `Decoder.after_prompt`."""
        number, prompt_tokens, _ = prompts.shape
        cos, sin = self._rotary(rows, torch.arange(prompt_tokens, device=rows.device)[None])
        prompt = Segment(
            number,
            prompt_tokens,
            self._room(number, prompt_tokens, like=rows),
            self._room(number, prompt_tokens, like=rows),
            first_column=0,
            mask=attention.causal_mask(prompt_tokens, 1, dtype=rows.dtype, device=rows.device).expand(number, -1, -1),
            cos=cos.expand(number, -1, -1),
            sin=sin.expand(number, -1, -1),
        )
        flat = torch.cat([prompts.reshape(-1, rows.shape[2]), rows.reshape(-1, rows.shape[2])])
        return self._run(flat, [prompt, self._behind(prompt, rows, lengths, groups=groups)])

    def after_keys(self, keys: Tensor, values: Tensor, rows: Tensor, *, lengths: Tensor, groups: Tensor) -> Tensor:
        """See `Decoder.after_keys`."""
        given = Given(keys.detach(), values.detach())
        keep = torch.is_grad_enabled() and keys.requires_grad
        behind = self._behind(given, rows, lengths, groups=groups)
        run = FusedPass(self.layers, self.shape, [behind], keep=keep)
        flat = rows.reshape(-1, rows.shape[2])
        hidden: Tensor
        if keep:
            apply: Any = FusedBehindKeys.apply
            hidden = self._final_norm(apply(keys, values, flat, run))
            return hidden
        with torch.no_grad():
            hidden = self._final_norm(run.forward(flat))
            return hidden

    def _room(self, batch: int, columns: int, *, like: Tensor) -> Tensor:
        return like.new_empty(len(self.layers), batch, self.shape.kv_heads, columns, self.shape.head_dim)

    def _behind(self, source: Segment | Given, rows: Tensor, lengths: Tensor, *, groups: Tensor) -> Segment:
        """Rows `[rows, tokens, width]` that stand behind the prompt of their group."""
        (count, tokens, _), before = rows.shape, source.tokens
        cos, sin = self._rotary(rows, torch.arange(before, before + tokens, device=rows.device)[None])
        among = attention.causal_mask(tokens, 1, dtype=rows.dtype, device=rows.device)
        return Segment(
            count,
            tokens,
            self._room(count, before + tokens, like=rows),
            self._room(count, before + tokens, like=rows),
            first_column=before,
            mask=torch.cat([among.new_zeros(tokens, before), among], dim=1).expand(count, -1, -1),
            cos=cos.expand(count, -1, -1),
            sin=sin.expand(count, -1, -1),
            read=(lengths - 1)[:, None],
            source=source,
            groups=groups,
        )

    def _run(self, x: Tensor, segments: list[Segment]) -> Tensor:
        keep = torch.is_grad_enabled() and x.requires_grad
        run = FusedPass(self.layers, self.shape, segments, keep=keep)
        hidden: Tensor
        if keep:
            apply: Any = FusedFunction.apply
            hidden = self._final_norm(apply(x, run))
            return hidden
        with torch.no_grad():
            hidden = self._final_norm(run.forward(x))
            return hidden
