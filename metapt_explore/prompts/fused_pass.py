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

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.prompts.fused_weights import LayerWeights


@dataclass
class Segment:
    """Tokens `[batch, tokens]` that attend to the same columns of a key buffer.

    Attributes:
        batch: Rows of the segment.
        tokens: Tokens of each row.
        keys: `[layers, batch, kv_heads, columns, head_dim]`; the pass writes the segment's own keys into
            columns `own … own + tokens`.
        values: The same shape.
        own: First column of the segment's own tokens.
        mask: Added to scores, `[batch, tokens, columns]`.
        cos: Rotary cosines `[batch, tokens, head_dim]`.
        sin: Rotary sines.
        read: Tokens of each row that are read after the last layer, `[batch, reads]`; none where absent.
        source: Segment whose keys and values stand in columns `0 … source.tokens`.
        groups: Row of `source` that each row sees, `[batch]`.
    """

    batch: int
    tokens: int
    keys: Tensor
    values: Tensor
    own: int
    mask: Tensor
    cos: Tensor
    sin: Tensor
    read: Tensor | None = None
    source: Segment | None = None
    groups: Tensor | None = None
    key_gradient: Tensor | None = field(default=None, repr=False)
    value_gradient: Tensor | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Shape:
    """Heads of a model and what its norms need."""

    heads: int
    kv_heads: int
    head_dim: int
    eps: float

    @property
    def repeats(self) -> int:
        """Query heads that share a key head."""
        return self.heads // self.kv_heads


@dataclass
class Kept:
    """What the backward pass of one layer needs."""

    normed: Tensor
    scale: Tensor
    picked: Tensor | None
    attended: list[tuple[Tensor, Tensor] | None]
    normed_mlp: Tensor
    scale_mlp: Tensor
    gate_up: Tensor
    activated: Tensor


class FusedPass:
    """One pass over segments: `forward`, then `backward` of the same object.

    Args:
        layers: Weights.
        shape: Heads.
        segments: In the order in which their tokens lie; a source comes before the segments that use it.
        keep: Whether a backward pass will follow.
    """

    def __init__(self, layers: list[LayerWeights], shape: Shape, segments: list[Segment], keep: bool) -> None:
        self.layers, self.shape, self.segments, self.keep = layers, shape, segments, keep
        self._kept: list[Kept] = []
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
        self._all_queries: list[_Queries | None] = [_Queries(segment, shape, None) for segment in segments]
        self._last_queries: list[_Queries | None] = [
            _Queries(segment, shape, segment.read) if segment.read is not None else None for segment in segments
        ]

    # ---------------------------------------------------------------------------------- forward

    def forward(self, x: Tensor) -> Tensor:
        """Runs token vectors `[tokens, width]`; returns those read, `[reads, width]`, before the final norm."""
        for index, layer in enumerate(self.layers):
            last = index == len(self.layers) - 1
            normed, scale = self._norm(x)
            picked = self._read_rows if last else None
            queries = self._last_queries if last else self._all_queries
            x_read = x if picked is None else x[picked]
            attended = self._attend(index, layer, normed, normed if picked is None else normed[picked], queries)
            heads = attended[1]
            x_middle = layer.attention_out.plus(heads, x_read)
            normed_mlp, scale_mlp = self._norm(x_middle)
            gate_up = layer.gate_up(normed_mlp)
            half = gate_up.shape[1] // 2
            activated = F.silu(gate_up[:, :half])
            x = layer.down.plus(activated * gate_up[:, half:], x_middle)
            if self.keep:
                self._kept.append(Kept(normed, scale, picked, attended[0], normed_mlp, scale_mlp, gate_up, activated))
        self._written = [segment.keys._version for segment in self.segments]
        return x

    def _norm(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """RMS norm without its weight, and the factor of each token."""
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = norm.square_().mul_(1 / x.shape[-1]).add_(self.shape.eps).rsqrt_().to(x.dtype)
        return x * scale, scale

    def _attend(
        self, index: int, layer: LayerWeights, normed: Tensor, normed_read: Tensor, queries: list[_Queries | None]
    ) -> tuple[list[tuple[Tensor, Tensor] | None], Tensor]:
        shape = self.shape
        key_value = layer.key_value(normed)
        query = layer.query(normed_read)
        kept: list[tuple[Tensor, Tensor] | None] = []
        heads = torch.empty(len(normed_read), shape.heads * shape.head_dim, dtype=normed.dtype, device=normed.device)
        first = 0
        for (start, stop), segment, asking in zip(self._bounds, self.segments, queries, strict=True):
            keys, values = segment.keys[index], segment.values[index]
            own = slice(segment.own, segment.own + segment.tokens)
            parts = key_value[start:stop].view(segment.batch, segment.tokens, 2 * shape.kv_heads, shape.head_dim)
            cos, sin = segment.cos[:, :, None], segment.sin[:, :, None]
            _rotate(parts[:, :, : shape.kv_heads], cos, sin, keys[:, :, own].transpose(1, 2))
            values[:, :, own].copy_(parts[:, :, shape.kv_heads :].transpose(1, 2))
            if segment.source is not None and segment.groups is not None:
                source = segment.source
                theirs = slice(source.own, source.own + source.tokens)
                keys[:, :, : source.tokens] = source.keys[index][segment.groups, :, theirs]
                values[:, :, : source.tokens] = source.values[index][segment.groups, :, theirs]
            if asking is None:
                kept.append(None)
                continue
            stop_query = first + segment.batch * asking.tokens
            q = asking.arrange(query[first:stop_query])
            flat_keys, flat_values = keys.flatten(0, 1), values.flatten(0, 1)
            scores = torch.baddbmm(asking.mask, q, flat_keys.transpose(1, 2))
            weights = scores.softmax(-1, dtype=torch.float32).to(scores.dtype)
            asking.collect(torch.bmm(weights, flat_values), heads[first:stop_query])
            kept.append((q, weights))
            first = stop_query
        return kept, heads

    # --------------------------------------------------------------------------------- backward

    def backward(self, gradient: Tensor) -> Tensor:
        """Carries a gradient of what `forward` returned back to its input, `[tokens, width]`."""
        if self._written != [segment.keys._version for segment in self.segments]:
            raise RuntimeError("another pass has written into these text states; take the gradient before it")
        dx = gradient
        for index in range(len(self.layers) - 1, -1, -1):
            layer, kept = self.layers[index], self._kept.pop()
            half = kept.activated.shape[1]
            up, gate = kept.gate_up[:, half:], kept.gate_up[:, :half]
            d_product = layer.down.back(dx)
            d_gate_up = torch.empty_like(kept.gate_up)
            torch.mul(d_product, kept.activated, out=d_gate_up[:, half:])
            d_activated = d_product.mul_(up)
            torch.ops.aten.silu_backward.grad_input(d_activated, gate, grad_input=d_gate_up[:, :half])
            dx = _norm_back(layer.gate_up.back(d_gate_up), kept.normed_mlp, kept.scale_mlp, dx.clone())
            d_query, d_key_value = self._attend_back(index, layer.attention_out.back(dx), kept)
            if kept.picked is None:
                d_normed = layer.query.back_plus(d_query, layer.key_value.back(d_key_value))
            else:
                d_normed = layer.key_value.back(d_key_value)
                d_normed.index_add_(0, kept.picked, layer.query.back(d_query))
                dx = torch.zeros_like(kept.normed).index_add_(0, kept.picked, dx)
            dx = _norm_back(d_normed, kept.normed, kept.scale, dx)
        return dx

    def _attend_back(self, index: int, d_heads: Tensor, kept: Kept) -> tuple[Tensor, Tensor]:
        shape = self.shape
        queries = self._all_queries if kept.picked is None else self._last_queries
        d_query = torch.empty_like(d_heads)
        d_key_value = torch.empty(
            self._total, 2 * shape.kv_heads * shape.head_dim, dtype=d_heads.dtype, device=d_heads.device
        )
        stop_query = len(d_heads)
        for place in range(len(self.segments) - 1, -1, -1):
            segment, asking, attended = self.segments[place], queries[place], kept.attended[place]
            own = slice(segment.own, segment.own + segment.tokens)
            size = (segment.batch, shape.kv_heads, -1, shape.head_dim)
            d_key, d_value = segment.key_gradient, segment.value_gradient  # from segments that see this one
            segment.key_gradient = segment.value_gradient = None
            if asking is not None and attended is not None:
                q, weights = attended
                first = stop_query - segment.batch * asking.tokens
                d_out = asking.arrange_plain(d_heads[first:stop_query])
                flat_keys, flat_values = segment.keys[index].flatten(0, 1), segment.values[index].flatten(0, 1)
                d_weights = torch.bmm(d_out, flat_values.transpose(1, 2))
                d_scores = torch.ops.aten._softmax_backward_data(d_weights, weights, -1, weights.dtype)
                asking.arrange_back(torch.bmm(d_scores, flat_keys), d_query[first:stop_query])
                own_key = torch.bmm(d_scores[:, :, own].transpose(1, 2), q).view(size)
                own_value = torch.bmm(weights[:, :, own].transpose(1, 2), d_out).view(size)
                d_key = own_key if d_key is None else d_key.add_(own_key)
                d_value = own_value if d_value is None else d_value.add_(own_value)
                if segment.source is not None and segment.groups is not None:
                    seen = slice(0, segment.source.tokens)
                    shared_key = torch.bmm(d_scores[:, :, seen].transpose(1, 2), q).view(size)
                    shared_value = torch.bmm(weights[:, :, seen].transpose(1, 2), d_out).view(size)
                    segment.source.key_gradient = _sum_groups(shared_key, segment.groups, segment.source.batch)
                    segment.source.value_gradient = _sum_groups(shared_value, segment.groups, segment.source.batch)
                stop_query = first
            start, stop = self._bounds[place]
            target = d_key_value[start:stop].view(segment.batch, segment.tokens, 2 * shape.kv_heads, shape.head_dim)
            if d_key is None or d_value is None:
                target.zero_()
                continue
            cos, sin = segment.cos[:, :, None], segment.sin[:, :, None]
            _rotate(d_key.transpose(1, 2), cos, sin, target[:, :, : shape.kv_heads], back=True)
            target[:, :, shape.kv_heads :].copy_(d_value.transpose(1, 2))
        return d_query, d_key_value


class _Queries:
    """The tokens of a segment that ask: all of them, or those that are read."""

    def __init__(self, segment: Segment, shape: Shape, read: Tensor | None) -> None:
        self.shape, self.batch = shape, segment.batch
        self.tokens = segment.tokens if read is None else read.shape[1]
        cos, sin, mask = segment.cos, segment.sin, segment.mask
        if read is not None:
            rows = torch.arange(segment.batch, device=read.device)[:, None]
            cos, sin, mask = cos[rows, read], sin[rows, read], mask[rows, read]
        self.cos, self.sin = cos[:, :, None, None], sin[:, :, None, None]
        # Query heads of one key head lie behind one another: [batch * kv_heads, repeats * tokens, columns].
        expanded = mask[:, None, None].expand(-1, shape.kv_heads, shape.repeats, -1, -1)
        self.mask = expanded.reshape(segment.batch * shape.kv_heads, shape.repeats * self.tokens, -1)

    def _by_head(self, flat: Tensor) -> Tensor:
        shape = self.shape
        return flat.view(self.batch, self.tokens, shape.kv_heads, shape.repeats, shape.head_dim)

    def _stacked(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """A buffer laid out for batched products, and a view of it in the order of `_by_head`."""
        shape = self.shape
        size = (self.batch, shape.kv_heads, shape.repeats, self.tokens, shape.head_dim)
        buffer = torch.empty(size, dtype=like.dtype, device=like.device)
        flat = buffer.view(self.batch * shape.kv_heads, shape.repeats * self.tokens, shape.head_dim)
        return flat, buffer.permute(0, 3, 1, 2, 4)

    def _unstacked(self, stacked: Tensor) -> Tensor:
        shape = self.shape
        size = (self.batch, shape.kv_heads, shape.repeats, self.tokens, shape.head_dim)
        return stacked.view(size).permute(0, 3, 1, 2, 4)

    def arrange(self, query: Tensor) -> Tensor:
        """Rotates flat queries and lays them out for batched products."""
        flat, view = self._stacked(query)
        _rotate(self._by_head(query), self.cos, self.sin, view)
        return flat

    def arrange_back(self, d_stacked: Tensor, out: Tensor) -> None:
        """The gradient of `arrange`."""
        _rotate(self._unstacked(d_stacked), self.cos, self.sin, self._by_head(out), back=True)

    def arrange_plain(self, heads: Tensor) -> Tensor:
        """Lays flat heads out for batched products, without rotation."""
        flat, view = self._stacked(heads)
        view.copy_(self._by_head(heads))
        return flat

    def collect(self, stacked: Tensor, out: Tensor) -> None:
        """Lays attended heads flat again."""
        self._by_head(out).copy_(self._unstacked(stacked))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor, back: bool = False) -> None:
    """Rotary position embedding into `out`; `back` rotates the other way, which is its gradient."""
    half = x.shape[-1] // 2
    sign = -1 if back else 1
    torch.mul(x, cos, out=out)
    out[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-sign)
    out[..., half:].addcmul_(x[..., :half], sin[..., half:], value=sign)


def _norm_back(d_normed: Tensor, normed: Tensor, scale: Tensor, dx: Tensor) -> Tensor:
    """Adds the gradient through a norm to `dx`; `normed = x * scale`. Overwrites `d_normed`."""
    along = torch.linalg.vecdot(d_normed, normed)[:, None].mul_(1 / normed.shape[1])
    return dx.addcmul_(d_normed.addcmul_(normed, along, value=-1), scale)


def _sum_groups(rows: Tensor, groups: Tensor, number: int) -> Tensor:
    """Sums rows of the same group; as a product, so that the order of addition is fixed on every device."""
    member = F.one_hot(groups, number).T.to(rows.dtype)
    return (member @ rows.flatten(1)).view(number, *rows.shape[1:])


class FusedFunction(torch.autograd.Function):
    """Makes a `FusedPass` differentiable once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, run: FusedPass) -> Tensor:
        """Returns the hidden states that are read."""
        ctx.run = run
        return run.forward(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Returns the gradient of the token vectors."""
        return ctx.run.backward(gradient.contiguous()), None
