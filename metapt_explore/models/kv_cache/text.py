"""What of a text does not depend on the prompt, gathered by row: keys and values, or token ids.

`KVBank` holds the rows that one computation will ever ask for. They are sorted by length and
encoded in fixed chunks the first time a row of the chunk is asked for, so that the result of a row
depends neither on the order of requests nor on whether the work was interrupted and resumed.
Where all states would not fit the cache, the rows of each episode are encoded together and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metapt_explore.models.kv_cache.tiers import CacheCounts, KVCache, KVTensors
from metapt_explore.verbalizers.on_device import constant, send

#: Rows encoded together. Fixed, because the last bits of a state depend on it.
CHUNK_ROWS = 32
#: On a card texts are padded to a multiple of so many tokens (of the second figure from `LONG_TEXT` on), so that steps
#: have few shapes. On a CPU they are padded to the longest, as each token costs there.
PADDED_TO, LONG_PADDED_TO, LONG_TEXT = 16, 64, 128
#: Batches that are remembered as they were gathered: support and query rows of a step.
RECENT_BATCHES = 2


@dataclass(frozen=True)
class TextKV:
    """Keys and values of a batch of texts, padded on the right, with room for new tokens in front.

    Attributes:
        keys: `[layers, rows, kv_heads, spare + tokens, head_dim]`.
        values: The same shape.
        lengths: Real tokens of each row, `[rows]`.
        spare: Columns in front of the text that a pass may write new tokens' keys and values into.
    """

    keys: Tensor
    values: Tensor
    lengths: Tensor
    spare: int = 0

    def text_mask(self) -> Tensor:
        """`[rows, tokens]`: 0 on real tokens, the most negative number on padding."""
        tokens = self.keys.shape[3] - self.spare
        padding = torch.arange(tokens, device=self.lengths.device)[None] >= self.lengths[:, None]
        mask = torch.zeros(padding.shape, dtype=self.keys.dtype, device=self.keys.device)
        return mask.masked_fill(padding, torch.finfo(self.keys.dtype).min)

    def copy(self) -> TextKV:
        """The same states in memory of their own: a pass writes in front of them what its gradient needs."""
        return TextKV(self.keys.clone(), self.values.clone(), self.lengths, self.spare)


@dataclass(frozen=True)
class TokenRows:
    """Token ids padded on the right: all that can be prepared where the prompt is read before the text.

    Attributes:
        token_ids: `[rows, tokens]`.
        lengths: Real tokens of each row, `[rows]`.
        positions: Where the answer of each row is read, `[rows]`.
    """

    token_ids: Tensor
    lengths: Tensor
    positions: Tensor

    def mask(self) -> Tensor:
        """`[rows, tokens]`: 1 on real tokens, 0 on padding."""
        places = torch.arange(self.token_ids.shape[1], device=self.lengths.device)
        return (places[None] < self.lengths[:, None]).long()

    def with_inserted(self, tokens: Sequence[int]) -> TokenRows:
        """The rows with more tokens behind the place of the answer."""
        if not tokens:
            return self
        rows, old = self.token_ids.shape
        places = torch.arange(old + len(tokens), device=self.token_ids.device).expand(rows, -1)
        first = self.positions[:, None] + 1
        behind = places >= first + len(tokens)
        source = torch.where(behind, places - len(tokens), places).clamp(max=old - 1)
        ids = self.token_ids.gather(1, source)
        new = constant(tokens, ids.device)
        inside = (places >= first) & ~behind
        ids = torch.where(inside, new[(places - first).clamp(0, len(tokens) - 1)], ids)
        return TokenRows(ids, self.lengths + len(tokens), self.positions)


Encode = Callable[[Sequence[Sequence[int]]], KVTensors]


class KVBank:
    """Text states of a fixed list of rows, behind one call: `batch(rows)`.

    Args:
        token_ids: Token ids of each row; every row holds at least one.
        encode: Encodes a list of rows to `keys` and `values`.
        bytes_per_token: Memory of one token's state.
        cache: Where states are kept; a bank that all its tiers could not hold keeps none.
        number: What the bank is called in the cache; no other bank has it.
    """

    def __init__(
        self, token_ids: Sequence[Sequence[int]], encode: Encode, *, bytes_per_token: int, cache: KVCache, number: int
    ) -> None:
        self.token_ids, self.number = token_ids, number
        self.counts = CacheCounts()
        self._longest = max(map(len, token_ids), default=0)
        self._encode, self._cache = encode, cache
        self.needed_bytes = bytes_per_token * sum(len(ids) for ids in token_ids)
        self.cached = self.needed_bytes <= cache.room_bytes
        self._chunks = self._in_chunks(range(len(token_ids)))
        self._place = {row: (c, i) for c, chunk in enumerate(self._chunks) for i, row in enumerate(chunk)}
        self._episode: dict[int, tuple[KVTensors, int]] = {}

    def __len__(self) -> int:
        return len(self.token_ids)

    def _in_chunks(self, rows: Sequence[int]) -> list[list[int]]:
        order = sorted(rows, key=lambda row: (len(self.token_ids[row]), row))
        return [order[start : start + CHUNK_ROWS] for start in range(0, len(order), CHUNK_ROWS)]

    def prepare(self, rows: Sequence[int]) -> None:
        """Says which rows the next batches will ask for; without a cache they are encoded together, once."""
        if self.cached or set(rows) <= self._episode.keys():
            return
        self._episode = {}
        for chunk in self._in_chunks(sorted(set(rows))):
            states = self._encode([self.token_ids[row] for row in chunk])
            self.counts.encoded += len(chunk)
            self.counts.missed += len(chunk)
            self._episode |= {row: (states, position) for position, row in enumerate(chunk)}

    def batch(self, rows: Sequence[int], spare: int = 0) -> TextKV:
        """Returns the states of these rows, in this order; a row may be asked for twice.

        The latest batches are remembered: several inner steps, or tuning on all examples, ask for the same
        rows again. Whoever writes into the room in front of the texts must be done with it by then.

        Args:
            rows: Row indices.
            spare: Columns to leave in front of each text for new tokens.
        """
        key = (self.number, tuple(rows), spare)
        recent = self._cache.recent
        batch: TextKV
        if key in recent:
            recent.move_to_end(key)
            self.counts.memory += len(rows)
            batch = recent[key]
        else:
            while len(recent) >= RECENT_BATCHES:
                recent.popitem(last=False)
            batch = recent[key] = self._gather(rows, spare)
        return batch

    def _gather(self, rows: Sequence[int], spare: int) -> TextKV:
        chunks = self._chunks_of(rows)
        lengths = [len(self.token_ids[row]) for row in rows]
        layers, _, kv_heads, _, head_dim = chunks[0][0]["keys"].shape
        longest = padded_length(max(lengths), self._longest, chunks[0][0]["keys"].device)
        size = (layers, len(rows), kv_heads, spare + longest, head_dim)
        keys = chunks[0][0]["keys"].new_empty(size)
        values = torch.empty_like(keys)
        for target, ((chunk, source), length) in enumerate(zip(chunks, lengths, strict=True)):
            for to, name in ((keys, "keys"), (values, "values")):
                to[:, target, :, spare : spare + length] = chunk[name][:, source, :, :length]
                to[:, target, :, spare + length :] = 0
        return TextKV(keys, values, send(torch.tensor(lengths), keys.device), spare)

    def _chunks_of(self, rows: Sequence[int]) -> list[tuple[KVTensors, int]]:
        """The chunk of each row, and the row's index in it."""
        if not self.cached:
            before = self.counts.missed
            self.prepare(rows)
            self.counts.memory += max(0, len(rows) - (self.counts.missed - before))
            return [self._episode[row] for row in rows]
        chunks = {}
        for chunk in sorted({self._place[row][0] for row in rows}):
            chunks[chunk] = self._chunk(chunk, sum(self._place[row][0] == chunk for row in rows))
        return [(chunks[self._place[row][0]], self._place[row][1]) for row in rows]

    def _chunk(self, chunk: int, asked: int) -> KVTensors:
        key = (self.number, chunk)
        cached = self._cache.get(key)
        if cached is not None:
            states, in_memory = cached
            if in_memory:
                self.counts.memory += asked
            else:
                self.counts.second += asked
            return states
        states = self._encode([self.token_ids[row] for row in self._chunks[chunk]])
        self.counts.encoded += len(self._chunks[chunk])
        self.counts.missed += asked
        self._cache.put(key, states)
        return states


class TokenBank:
    """Rows that are run anew with each prompt: token ids, padded when they are asked for.

    Args:
        token_ids: Token ids of each row.
        device: Where batches are put.
        positions: Where the answer of each row is read; its last token when absent.
    """

    def __init__(
        self, token_ids: Sequence[Sequence[int]], device: torch.device, positions: Sequence[int] | None = None
    ) -> None:
        self.token_ids = token_ids
        self.counts = CacheCounts()
        self.needed_bytes, self.cached = 0, False
        self._device = device
        self._positions = positions
        self._longest = max(map(len, token_ids), default=0)

    def __len__(self) -> int:
        return len(self.token_ids)

    def prepare(self, rows: Sequence[int]) -> None:
        """Nothing can be computed before the prompt is known."""

    def batch(self, rows: Sequence[int], spare: int = 0) -> TokenRows:
        """Returns the token ids of these rows."""
        positions = None if self._positions is None else [self._positions[row] for row in rows]
        chosen = [self.token_ids[row] for row in rows]
        columns = padded_length(max(map(len, chosen)), self._longest, self._device)
        return pad_rows(chosen, self._device, positions, columns=columns)


def padded_length(longest: int, most: int, device: torch.device) -> int:
    """Columns of a batch of texts.

    Args:
        longest: Tokens of its longest text.
        most: Tokens of the longest text of the bank: a model may have no positions behind it.
        device: Where the model runs.

    Example:
        >>> [padded_length(21, 300, torch.device(name)) for name in ("cpu", "cuda")]
        [21, 32]
    """
    if device.type == "cpu":
        return longest
    step = PADDED_TO if longest <= LONG_TEXT else LONG_PADDED_TO
    return min(-(-longest // step) * step, max(most, longest))


def pad_rows(
    rows: Sequence[Sequence[int]],
    device: torch.device,
    positions: Sequence[int] | None = None,
    *,
    columns: int | None = None,
) -> TokenRows:
    """Pads token ids on the right with 0.

    Args:
        rows: Token ids of each row.
        device: Where they are put.
        positions: Where the answer of each row is read; its last token when absent.
        columns: Tokens of a padded row; those of the longest row when absent.
    """
    token_ids = torch.zeros(len(rows), columns or max(len(ids) for ids in rows), dtype=torch.long)
    for row, ids in enumerate(rows):
        token_ids[row, : len(ids)] = torch.tensor(ids)
    lengths = send(torch.tensor([len(ids) for ids in rows]), device)
    read = lengths - 1 if positions is None else send(torch.tensor(list(positions)), device)
    return TokenRows(send(token_ids, device), lengths, read)
