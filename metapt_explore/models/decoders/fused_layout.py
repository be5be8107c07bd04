"""Where the tokens of a hand-written pass lie: segments, their key buffers, rotary positions, query heads."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Given:
    """Keys and values that a segment sees and that are parameters themselves: a deep prompt of each group.

    Attributes:
        keys: `[layers, batch, kv_heads, tokens, head_dim]`.
        values: The same shape.
    """

    keys: Tensor
    values: Tensor
    first_column: int = 0
    _gradients: list[tuple[Tensor, Tensor]] = field(default_factory=list, repr=False)

    @property
    def batch(self) -> int:
        """Groups."""
        return self.keys.shape[1]

    @property
    def tokens(self) -> int:
        """Tokens of each group."""
        return self.keys.shape[3]

    def receive(self, key_gradient: Tensor, value_gradient: Tensor) -> None:
        """Takes one layer's gradients; the last layer's come first."""
        self._gradients.append((key_gradient, value_gradient))

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Gradients of keys and values, which are then forgotten."""
        keys, values = zip(*reversed(self._gradients), strict=True)
        self._gradients.clear()
        return torch.stack(keys), torch.stack(values)


@dataclass
class Segment:
    """Tokens `[batch, tokens]` that attend to the same columns of a key buffer.

    Attributes:
        batch: Rows of the segment.
        tokens: Tokens of each row.
        keys: `[layers, batch, kv_heads, columns, head_dim]`; the pass writes the segment's own keys into
            columns `first_column … first_column + tokens`.
        values: The same shape.
        first_column: First column of the segment's own tokens.
        mask: Added to scores, `[batch, tokens, columns]`.
        cos: Rotary cosines `[batch, tokens, head_dim]`.
        sin: Rotary sines.
        read: Tokens of each row that are read after the last layer, `[batch, reads]`; none where absent.
        source: Segment, or keys and values, that stand in columns `0 … source.tokens`.
        groups: Row of `source` that each row sees, `[batch]`.
    """

    batch: int
    tokens: int
    keys: Tensor
    values: Tensor
    first_column: int
    mask: Tensor
    cos: Tensor
    sin: Tensor
    read: Tensor | None = None
    source: Segment | Given | None = None
    groups: Tensor | None = None
    key_gradient: Tensor | None = field(default=None, repr=False)
    value_gradient: Tensor | None = field(default=None, repr=False)

    def receive(self, key_gradient: Tensor, value_gradient: Tensor) -> None:
        """Takes one layer's gradients from the segment that sees this one."""
        self.key_gradient, self.value_gradient = key_gradient, value_gradient


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


class Rotary:
    """Rotary position embedding of vectors `[…, head_dim]`, and its gradient, which rotates the other way."""

    def __init__(self, cos: Tensor, sin: Tensor) -> None:
        self.cos = cos
        self.sin_first, self.sin_second = sin.chunk(2, dim=-1)

    def apply(self, x: Tensor, out: Tensor) -> None:
        """Writes rotated vectors into `out`."""
        self._into(x, out, first_sign=-1, second_sign=1)

    def apply_back(self, x: Tensor, out: Tensor) -> None:
        """Writes the gradient of `apply` into `out`."""
        self._into(x, out, first_sign=1, second_sign=-1)

    def _into(self, x: Tensor, out: Tensor, *, first_sign: int, second_sign: int) -> None:
        x_first, x_second = x.chunk(2, dim=-1)
        torch.mul(x, self.cos, out=out)
        out_first, out_second = out.chunk(2, dim=-1)
        out_first.addcmul_(x_second, self.sin_first, value=first_sign)
        out_second.addcmul_(x_first, self.sin_second, value=second_sign)


class Views:
    """Views of a segment's buffers that every layer uses, made once: many small ones cost time."""

    def __init__(self, segment: Segment) -> None:
        self.own_columns = slice(segment.first_column, segment.first_column + segment.tokens)
        self.rotary = Rotary(segment.cos[:, :, None], segment.sin[:, :, None])
        # [layers, batch, tokens, kv_heads, head_dim], in the order in which the model computes them
        self.own_keys = segment.keys[:, :, :, self.own_columns].transpose(2, 3).unbind(0)
        self.own_values = segment.values[:, :, :, self.own_columns].transpose(2, 3).unbind(0)
        keys, values = segment.keys.flatten(1, 2), segment.values.flatten(1, 2)
        self.keys, self.values = keys.unbind(0), values.unbind(0)
        self.keys_transposed = keys.transpose(2, 3).unbind(0)
        self.values_transposed = values.transpose(2, 3).unbind(0)


class Queries:
    """The tokens of a segment that ask: all of them, or those that are read."""

    def __init__(self, segment: Segment, shape: Shape, read: Tensor | None) -> None:
        self.tokens = segment.tokens if read is None else read.shape[1]
        cos, sin, mask = segment.cos, segment.sin, segment.mask
        if read is not None:
            rows = torch.arange(segment.batch, device=read.device)[:, None]
            cos, sin, mask = cos[rows, read], sin[rows, read], mask[rows, read]
        self.rotary = Rotary(cos[:, :, None, None], sin[:, :, None, None])
        # Query heads of one key head lie behind one another: [batch * kv_heads, repeats * tokens, columns].
        self._flat_size = (segment.batch * shape.kv_heads, shape.repeats * self.tokens, shape.head_dim)
        self._size = (segment.batch, shape.kv_heads, shape.repeats, self.tokens, shape.head_dim)
        self._head_size = (segment.batch, self.tokens, shape.kv_heads, shape.repeats, shape.head_dim)
        expanded = mask[:, None, None].expand(-1, shape.kv_heads, shape.repeats, -1, -1)
        self.mask = expanded.reshape(*self._flat_size[:2], -1)

    def _stacked(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """A buffer laid out for batched products, and a view of it in the order of the model's heads."""
        buffer = like.new_empty(self._size)
        return buffer.view(self._flat_size), buffer.permute(0, 3, 1, 2, 4)

    def arrange(self, query: Tensor) -> Tensor:
        """Rotates flat queries and lays them out for batched products."""
        flat, view = self._stacked(query)
        self.rotary.apply(query.view(self._head_size), view)
        return flat

    def arrange_back(self, d_stacked: Tensor, out: Tensor) -> None:
        """The gradient of `arrange`."""
        self.rotary.apply_back(d_stacked.view(self._size).permute(0, 3, 1, 2, 4), out.view(self._head_size))

    def arrange_plain(self, heads: Tensor) -> Tensor:
        """Lays flat heads out for batched products, without rotation."""
        flat, view = self._stacked(heads)
        view.copy_(heads.view(self._head_size))
        return flat

    def collect(self, stacked: Tensor, out: Tensor) -> None:
        """Lays attended heads flat again."""
        out.view(self._head_size).copy_(stacked.view(self._size).permute(0, 3, 1, 2, 4))
