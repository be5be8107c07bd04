"""Forward and backward pass of a Llama-like model over token vectors, written out by hand.

Why by hand: the weights take no gradient, so that most of what automatic differentiation keeps and
computes is not needed; norms are folded into the weights, keys are shared between heads without being
repeated, and the last layer runs at the positions that are read. What is left is matrix products and
few element-wise operations. The gradient reaches the token vectors only.

Tokens lie flat, `[tokens, width]`, in **segments** that differ in what they attend to: the new tokens
of `suffix` (each row's cached text, and one another), or with `prefix` the prompts (one another) and
the rows (their group's prompt, and one another). All segments share each matrix product.

There is no second derivative; `plain.py` has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.models.decoders.frozen_linear import gated
from metapt_explore.models.decoders.fused_layout import Queries, Segment, Shape, Views
from metapt_explore.models.decoders.fused_weights import LayerWeights


@dataclass
class SavedActivations:
    """What the backward pass of one layer needs."""

    normed: Tensor
    scale: Tensor
    picked: Tensor | None
    attended: list[tuple[Tensor, Tensor] | None]
    normed_mlp: Tensor
    scale_mlp: Tensor
    gate: Tensor
    up: Tensor
    activated: Tensor


class FusedPass:
    """One pass over segments: `forward`, then `backward` of the same object.

    Args:
        layers: Weights.
        shape: Heads.
        segments: In the order in which their tokens lie; a source comes before the segments that use it.
        keep: Whether a backward pass will follow.
    """

    def __init__(self, layers: list[LayerWeights], shape: Shape, segments: list[Segment], *, keep: bool) -> None:
        self.layers, self.shape, self.segments, self.keep = layers, shape, segments, keep
        self._saved: list[SavedActivations] = []
        self._written: list[int] = []
        starts = [0]
        for segment in segments:
            starts.append(starts[-1] + segment.batch * segment.tokens)
        self._bounds = list(pairwise(starts))
        self._total = starts[-1]
        device = segments[0].keys.device
        reads = []
        for (start, _), segment in zip(self._bounds, segments, strict=True):
            if segment.read is not None:
                offsets = torch.arange(segment.batch, device=device)[:, None] * segment.tokens + start
                reads.append((segment.read + offsets).flatten())
        self._read_rows = torch.cat(reads)
        self._views = [Views(segment) for segment in segments]
        self._all_queries: list[Queries | None] = [Queries(segment, shape, None) for segment in segments]
        self._last_queries: list[Queries | None] = [
            Queries(segment, shape, segment.read) if segment.read is not None else None for segment in segments
        ]

    # ---------------------------------------------------------------------------------- forward

    def forward(self, x: Tensor) -> Tensor:
        """Runs token vectors `[tokens, width]`; returns those read, `[reads, width]`, before the final norm."""
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            normed, scale = norm(x, self.shape.eps)
            picked, normed_read = None, normed
            if index == last:
                picked = self._read_rows
                x, normed_read = x[picked], normed[picked]
            attended, heads = self._attend(index, layer, normed, normed_read=normed_read)
            x = layer.attention_out.plus(heads, x)
            normed_mlp, scale_mlp = norm(x, self.shape.eps)
            if self.keep:
                gate, up = layer.gate(normed_mlp), layer.up(normed_mlp)
                activated = F.silu(gate)
                self._saved.append(
                    SavedActivations(normed, scale, picked, attended, normed_mlp, scale_mlp, gate, up, activated)
                )
                product = activated * up
            else:
                product = gated(layer.gate, layer.up, normed_mlp)
            x = layer.down.plus(product, x)
        self._written = [segment.keys._version for segment in self.segments]
        return x

    def _attend(
        self, index: int, layer: LayerWeights, normed: Tensor, *, normed_read: Tensor
    ) -> tuple[list[tuple[Tensor, Tensor] | None], Tensor]:
        shape = self.shape
        key_value = layer.key_value(normed)
        query = layer.query(normed_read)
        attended: list[tuple[Tensor, Tensor] | None] = []
        heads = torch.empty_like(query)
        first = 0
        for (start, stop), segment, views, asking in zip(
            self._bounds, self.segments, self._views, self._asking(index), strict=True
        ):
            parts = key_value if len(self.segments) == 1 else key_value[start:stop]
            key, value = parts.view(segment.batch, segment.tokens, 2 * shape.kv_heads, shape.head_dim).chunk(2, dim=2)
            views.rotary.apply(key, views.own_keys[index])
            views.own_values[index].copy_(value)
            if segment.source is not None and segment.groups is not None:
                source = segment.source
                theirs = slice(source.first_column, source.first_column + source.tokens)
                segment.keys[index][:, :, : source.tokens] = source.keys[index][segment.groups, :, theirs]
                segment.values[index][:, :, : source.tokens] = source.values[index][segment.groups, :, theirs]
            if asking is None:
                attended.append(None)
                continue
            stop_query = first + segment.batch * asking.tokens
            q = asking.arrange(query[first:stop_query])
            scores = torch.baddbmm(asking.mask, q, views.keys_transposed[index])
            weights = scores.softmax(-1, dtype=torch.float32).to(scores.dtype)
            asking.collect(torch.bmm(weights, views.values[index]), heads[first:stop_query])
            attended.append((q, weights))
            first = stop_query
        return attended, heads

    def _asking(self, index: int) -> list[Queries | None]:
        return self._last_queries if index == len(self.layers) - 1 else self._all_queries

    # --------------------------------------------------------------------------------- backward

    def backward(self, gradient: Tensor) -> Tensor:
        """Carries a gradient of what `forward` returned back to its input, `[tokens, width]`."""
        if self._written != [segment.keys._version for segment in self.segments]:
            raise RuntimeError("another pass has written into these text states; take the gradient before it")
        dx = gradient.clone()
        for index in range(len(self.layers) - 1, -1, -1):
            layer, saved = self.layers[index], self._saved.pop()
            d_product = layer.down.back(dx)
            d_normed = layer.up.back(d_product * saved.activated)
            d_gate = torch.ops.aten.silu_backward(d_product.mul_(saved.up), saved.gate)
            d_normed = layer.gate.back_plus(d_gate, d_normed)
            dx = _norm_back(d_normed, saved.normed_mlp, saved.scale_mlp, dx=dx)
            d_query, d_key_value = self._attend_back(index, layer.attention_out.back(dx), saved)
            if saved.picked is None:
                d_normed = layer.query.back_plus(d_query, layer.key_value.back(d_key_value))
            else:
                d_normed = layer.key_value.back(d_key_value)
                d_normed.index_add_(0, saved.picked, layer.query.back(d_query))
                dx = torch.zeros_like(saved.normed).index_add_(0, saved.picked, dx)
            dx = _norm_back(d_normed, saved.normed, saved.scale, dx=dx)
        return dx

    def _attend_back(self, index: int, d_heads: Tensor, saved: SavedActivations) -> tuple[Tensor, Tensor]:
        shape = self.shape
        d_query = torch.empty_like(d_heads)
        d_key_value = d_heads.new_empty(self._total, 2 * shape.kv_heads * shape.head_dim)
        stop_query = len(d_heads)
        asking_all = self._asking(index)
        for segment_index in range(len(self.segments) - 1, -1, -1):
            segment, views, asking, attended = (
                self.segments[segment_index],
                self._views[segment_index],
                asking_all[segment_index],
                saved.attended[segment_index],
            )
            size = (segment.batch, shape.kv_heads, -1, shape.head_dim)
            d_key, d_value = segment.key_gradient, segment.value_gradient  # from segments that see this one
            segment.key_gradient = segment.value_gradient = None
            if asking is not None and attended is not None:
                q, weights = attended
                first = stop_query - segment.batch * asking.tokens
                d_out = asking.arrange_plain(d_heads[first:stop_query])
                d_weights = torch.bmm(d_out, views.values_transposed[index])
                d_scores = torch.ops.aten._softmax_backward_data(d_weights, weights, -1, weights.dtype)
                asking.arrange_back(torch.bmm(d_scores, views.keys[index]), d_query[first:stop_query])
                own_key = torch.bmm(d_scores[:, :, views.own_columns].transpose(1, 2), q).view(size)
                own_value = torch.bmm(weights[:, :, views.own_columns].transpose(1, 2), d_out).view(size)
                d_key = own_key if d_key is None else d_key.add_(own_key)
                d_value = own_value if d_value is None else d_value.add_(own_value)
                if segment.source is not None and segment.groups is not None:
                    seen = slice(0, segment.source.tokens)
                    shared_key = torch.bmm(d_scores[:, :, seen].transpose(1, 2), q).view(size)
                    shared_value = torch.bmm(weights[:, :, seen].transpose(1, 2), d_out).view(size)
                    number = segment.source.batch
                    segment.source.receive(
                        _sum_groups(shared_key, segment.groups, number),
                        _sum_groups(shared_value, segment.groups, number),
                    )
                stop_query = first
            start, stop = self._bounds[segment_index]
            target = d_key_value if len(self.segments) == 1 else d_key_value[start:stop]
            target = target.view(segment.batch, segment.tokens, 2 * shape.kv_heads, shape.head_dim)
            if d_key is None or d_value is None:
                target.zero_()
                continue
            target_key, target_value = target.chunk(2, dim=2)
            views.rotary.apply_back(d_key.transpose(1, 2), target_key)
            target_value.copy_(d_value.transpose(1, 2))
        return d_query, d_key_value


def norm(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """RMS norm of `[tokens, width]` without its weight, and the factor of each token."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    scale = length.square_().mul_(1 / x.shape[-1]).add_(eps).rsqrt_().to(x.dtype)
    return x * scale, scale


def _norm_back(d_normed: Tensor, normed: Tensor, scale: Tensor, *, dx: Tensor) -> Tensor:
    """Adds the gradient through a norm to `dx`; `normed = x * scale`. Overwrites `d_normed`."""
    along = torch.linalg.vecdot(d_normed, normed)[:, None].mul_(1 / normed.shape[1])
    return dx.addcmul_(d_normed.addcmul_(normed, along, value=-1), scale)


def _sum_groups(rows: Tensor, groups: Tensor, number: int) -> Tensor:
    """Sums rows of the same group; as a product, so that the order of addition is fixed on every device."""
    # Not `one_hot`, which looks at the groups first, and waits for that.
    member = (groups == torch.arange(number, device=groups.device)[:, None]).to(rows.dtype)
    return (member @ rows.flatten(1)).view(number, *rows.shape[1:])


class FusedFunction(torch.autograd.Function):
    """Makes a `FusedPass` differentiable once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, run: FusedPass) -> Tensor:
        """Returns the hidden states that are read."""
        ctx.run = run
        return run.forward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Returns the gradient of the token vectors."""
        _once()
        return ctx.run.backward(gradient), None


class FusedBehindKeys(torch.autograd.Function):
    """Makes a `FusedPass` over one segment behind given keys and values differentiable once, in these."""

    @staticmethod
    def forward(ctx: Any, keys: Tensor, values: Tensor, x: Tensor, run: FusedPass) -> Tensor:
        """Returns the hidden states that are read."""
        ctx.run = run
        return run.forward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Returns the gradients of keys and values."""
        _once()
        ctx.run.backward(gradient)
        return *ctx.run.segments[0].source.gradients(), None, None


def _once() -> None:
    # `once_differentiable` is silent where the gradient's own gradient is one of several paths to the
    # prompt, as in a meta-gradient: the second-order part would just be missing.
    if torch.is_grad_enabled():
        raise RuntimeError("the hand-written pass has no second derivative: ask for it (`second_derivative`)")
