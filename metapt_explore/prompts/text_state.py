"""What of a text does not depend on the prompt: its keys and values, computed once and gathered by row.

`TextBank` holds the rows that one computation will ever ask for. They are sorted by length and
encoded in fixed chunks the first time a row of the chunk is asked for, so that the result of a row
depends neither on the order of requests nor on whether the work was interrupted and resumed.
Where all states would not fit the memory budget, each batch is encoded for itself and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Rows encoded together. Fixed, because the last bits of a state depend on it.
CHUNK_ROWS = 32


@dataclass(frozen=True)
class TextState:
    """Keys and values of a batch of texts, padded on the right.

    Attributes:
        keys: `[layers, rows, kv_heads, tokens, head_dim]`.
        values: The same shape.
        lengths: Real tokens of each row, `[rows]`.
    """

    keys: Tensor
    values: Tensor
    lengths: Tensor

    def text_mask(self) -> Tensor:
        """`[rows, 1, 1, tokens]`: 0 on real tokens, the most negative number on padding."""
        tokens = self.keys.shape[3]
        padding = torch.arange(tokens, device=self.lengths.device)[None] >= self.lengths[:, None]
        mask = torch.zeros(padding.shape, dtype=self.keys.dtype, device=self.keys.device)
        return mask.masked_fill(padding, torch.finfo(self.keys.dtype).min)[:, None, None]


Encode = Callable[[Sequence[Sequence[int]]], TextState]


class TextBank:
    """Text states of a fixed list of rows, behind one call: `batch(rows)`.

    Args:
        token_ids: Token ids of each row; every row holds at least one.
        encode: Encodes a list of rows to a `TextState`.
        bytes_per_token: Memory of one token's state.
        budget_bytes: Memory for states; a bank that needs more keeps none.
    """

    def __init__(
        self, token_ids: Sequence[Sequence[int]], encode: Encode, bytes_per_token: int, budget_bytes: float
    ) -> None:
        self.token_ids = token_ids
        self._encode = encode
        self.needed_bytes = bytes_per_token * sum(len(ids) for ids in token_ids)
        self.cached = self.needed_bytes <= budget_bytes
        order = sorted(range(len(token_ids)), key=lambda row: (len(token_ids[row]), row))
        self._chunks = [order[start : start + CHUNK_ROWS] for start in range(0, len(order), CHUNK_ROWS)]
        self._place = {row: (c, i) for c, chunk in enumerate(self._chunks) for i, row in enumerate(chunk)}
        self._states: dict[int, TextState] = {}
        self.encoded_rows = 0

    def __len__(self) -> int:
        return len(self.token_ids)

    def batch(self, rows: Sequence[int]) -> TextState:
        """Returns the states of these rows, in this order; a row may be asked for twice."""
        if not self.cached:
            # One batch, each distinct text once, in a fixed order.
            distinct = sorted(set(rows))
            state = self._encode([self.token_ids[row] for row in distinct])
            self.encoded_rows += len(distinct)
            index = torch.tensor([distinct.index(row) for row in rows], device=state.lengths.device)
            return TextState(state.keys[:, index], state.values[:, index], state.lengths[index])
        places = [self._place[row] for row in rows]
        for chunk in sorted({chunk for chunk, _ in places} - self._states.keys()):
            members = self._chunks[chunk]
            self._states[chunk] = self._encode([self.token_ids[row] for row in members])
            self.encoded_rows += len(members)
        first = self._states[places[0][0]]
        longest = max(len(self.token_ids[row]) for row in rows)
        layers, _, kv_heads, _, head_dim = first.keys.shape
        keys = first.keys.new_zeros(layers, len(rows), kv_heads, longest, head_dim)
        values = torch.zeros_like(keys)
        for target, (row, (chunk, source)) in enumerate(zip(rows, places, strict=True)):
            length, state = len(self.token_ids[row]), self._states[chunk]
            keys[:, target, :, :length] = state.keys[:, source, :, :length]
            values[:, target, :, :length] = state.values[:, source, :, :length]
        lengths = torch.tensor([len(self.token_ids[row]) for row in rows], device=keys.device)
        return TextState(keys, values, lengths)
