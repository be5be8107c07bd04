"""Vectors of many texts: half-precision shards on disk that are mapped when they are read, never all in memory.

``embeddings-00000.safetensors``, ``embeddings-00001.safetensors`` … of 16,384 rows each, written one after the other: a
shard that is there is a checkpoint. A shard whose numbers float16 cannot hold well is float32.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from metapt_explore.storage.files import in_place_of

#: Rows of a shard.
SHARD = 16_384
#: Lengths of a row between which float16 keeps its direction: below, small numbers lose digits; above, they overflow.
HALF_LENGTHS = (2.0**-6, 2.0**14)
DTYPES = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}


def shard_name(name: str, number: int) -> str:
    """File of a shard.

    Example:
        >>> shard_name("embeddings", 3)
        'embeddings-00003.safetensors'
    """
    return f"{name}-{number:05d}.safetensors"


def shard_rows(rows: int) -> list[range]:
    """Rows of each shard, in order.

    Example:
        >>> shard_rows(20_000)
        [range(0, 16384), range(16384, 20000)]
    """
    return [range(first, min(first + SHARD, rows)) for first in range(0, rows, SHARD)]


def halved(vectors: np.ndarray) -> np.ndarray:
    """Vectors in float16; in float32 where a row is so short or long that float16 would lose more than its last digits.

    Args:
        vectors: ``[rows, width]``.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    lengths = lengths[lengths > 0]
    fits = not len(lengths) or (lengths.min() >= HALF_LENGTHS[0] and lengths.max() <= HALF_LENGTHS[1])
    return vectors.astype(np.float16) if fits else vectors


def write_shard(file: Path, vectors: np.ndarray, *, exact: bool = False) -> None:
    """Writes a shard atomically, with a checksum in its head.

    Args:
        file: The file.
        vectors: ``[rows, width]``; see `halved`.
        exact: Whether they stay in float32.
    """
    from safetensors.numpy import save_file

    stored = np.ascontiguousarray(vectors, dtype=np.float32) if exact else halved(vectors)
    with in_place_of(file) as temporary:
        save_file({"vectors": stored}, temporary, metadata={"sha256": _digest(stored)})


def whole_shard(file: Path, rows: int) -> bool:
    """Whether a file is a shard of so many rows, as it was written."""
    try:
        shard = Shard(file)
        stored = shard.mapped()
        return len(stored) == rows and shard.checksum == _digest(stored)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _digest(stored: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(stored).view(np.uint8).data).hexdigest()


@dataclass(frozen=True)
class Shard:
    """A file of vectors, mapped into memory for as long as somebody reads it."""

    file: Path

    @cached_property
    def _head(self) -> tuple[int, dict[str, Any]]:
        with self.file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if not 0 < length < 100_000:
                raise ValueError(f"{self.file} is no shard")
            return 8 + length, json.loads(opened.read(length))

    @property
    def checksum(self) -> str:
        """Of its numbers, as its head says."""
        return str(self._head[1]["__metadata__"]["sha256"])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and width."""
        rows, width = self._head[1]["vectors"]["shape"]
        return int(rows), int(width)

    def mapped(self) -> np.ndarray:
        """Its numbers as they are stored, ``[rows, width]``."""
        start, head = self._head
        facts = head["vectors"]
        offset = start + int(facts["data_offsets"][0])
        kind: Any = DTYPES[facts["dtype"]]
        stored: np.ndarray = np.memmap(self.file, dtype=kind, mode="r", offset=offset, shape=self.shape)
        return stored


class StoredVectors:
    """Vectors in shards, read as if they were one array: a part at a time, in float32.

    ``vectors[1000:2000]`` and ``vectors[rows]`` read those rows; ``np.asarray(vectors)`` all of them: 2 GB of memory
    for a million of 512 numbers.

    Args:
        files: The shards, in order.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._shards = [Shard(Path(file)) for file in files]
        shapes = [shard.shape for shard in self._shards]
        self._starts = np.cumsum([0, *(rows for rows, _ in shapes)])
        self.shape = int(self._starts[-1]), shapes[0][1] if shapes else 0

    @property
    def files(self) -> list[Path]:
        """The shards, in order."""
        return [shard.file for shard in self._shards]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray:
        rows = np.arange(len(self))[chosen] if isinstance(chosen, slice) else np.asarray(chosen)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        rows = np.where(rows < 0, rows + len(self), rows)
        out = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        of_shard = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(of_shard).tolist():
            inside = of_shard == number
            out[inside] = self._shards[number].mapped()[rows[inside] - self._starts[number]]
        return out

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> np.ndarray:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __iter__(self) -> Iterator[np.ndarray]:
        raise TypeError("read parts of the vectors, not one row after the other")


#: Vectors of texts, ``[rows, width]``: in memory, or in shards on disk.
Vectors = np.ndarray | StoredVectors


def row_slices(rows: int, size: int = SHARD) -> Iterator[slice]:
    """Parts of so many rows, one after the other.

    Example:
        >>> list(row_slices(20_000))
        [slice(0, 16384, None), slice(16384, 20000, None)]
    """
    for first in range(0, rows, size):
        yield slice(first, min(first + size, rows))


def parts(vectors: Vectors, size: int = SHARD) -> Iterator[tuple[slice, np.ndarray]]:
    """Vectors part by part, in float32.

    Args:
        vectors: ``[rows, width]``.
        size: Rows of a part.

    Yields:
        Which rows, and their vectors.
    """
    for chosen in row_slices(len(vectors), size):
        yield chosen, np.asarray(vectors[chosen], dtype=np.float32)
