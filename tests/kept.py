"""A checkpoint in memory, and what stops work at a given pass."""

from __future__ import annotations

import json
from typing import Any

from torch import Tensor

from metapt_explore.errors import Cancelled


class KeptInMemory:
    """Keeps the last checkpoint as an artifact would: tensors by value, the rest as JSON."""

    def __init__(self) -> None:
        self.kept: tuple[dict[str, Tensor], str] | None = None

    def save_checkpoint(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        self.kept = {name: value.clone() for name, value in tensors.items()}, json.dumps(meta)

    def load_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        if self.kept is None:
            return None
        tensors, meta = self.kept
        # Files list their tensors in an order of their own.
        return {name: tensors[name].clone() for name in sorted(tensors)}, json.loads(meta)


class StopAt:
    """Raises `Cancelled` the `n`-th time that it is called, and never where `n` is None; counts calls."""

    def __init__(self, n: int | None) -> None:
        self.n, self.calls = n, 0

    def __call__(self, *_: Any) -> None:
        self.calls += 1
        if self.calls == self.n:
            raise Cancelled
