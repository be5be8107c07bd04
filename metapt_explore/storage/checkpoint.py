"""What long work keeps on its way, so that it goes on where it was stopped; imports nothing heavy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class CheckpointStore(Protocol):
    """Where checkpoints go: an artifact that is being made (`storage/artifact.py`)."""

    def save_checkpoint(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Replaces the checkpoint."""

    def load_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Returns the checkpoint, or None."""


class RowsCheckpoint:
    """Rows of a long table that are computed one after the other.

    Args:
        record: Where they are kept; None keeps nothing.
        least_seconds: What a killed process may lose.
    """

    def __init__(self, record: CheckpointStore | None, least_seconds: float = 120.0) -> None:
        self._record, self._least_seconds, self._at = record, least_seconds, time.monotonic()

    def restore(self) -> Tensor | None:
        """The rows that were kept, from the first on; None where there are none."""
        found = self._record.load_checkpoint() if self._record is not None else None
        return None if found is None else found[0]["rows"]

    def save(self, rows: Tensor) -> None:
        """Keeps the rows so far."""
        if self._record is not None and len(rows):
            self._record.save_checkpoint({"rows": rows}, {"step": len(rows)})
        self._at = time.monotonic()

    def save_sometimes(self, rows: Callable[[], Tensor]) -> None:
        """As `save`, where the last time is a while ago."""
        if self._record is not None and time.monotonic() - self._at >= self._least_seconds:
            self.save(rows())
