"""Checkpoints of long work, from which it resumes; imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class CheckpointStore(Protocol):
    """Stores checkpoints: an artifact that is being made (`storage/artifact.py`), or a fake in tests."""

    def save_checkpoint(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Replaces the checkpoint."""

    def load_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Returns the checkpoint, or None."""


class RowsCheckpoint:
    """Checkpoints of a long table whose rows are computed one after the other.

    Args:
        store: Where they are written; None writes nothing.
        every_seconds: Seconds of work that a killed process may lose.
    """

    def __init__(self, store: CheckpointStore | None, every_seconds: float = 120.0) -> None:
        self._store, self._every_seconds, self._saved_at = store, every_seconds, time.monotonic()

    def restore(self) -> Tensor | None:
        """The rows of the last checkpoint, from the first on; None where there is none."""
        checkpoint = self._store.load_checkpoint() if self._store is not None else None
        return None if checkpoint is None else checkpoint[0]["rows"]

    def save(self, rows: Tensor) -> None:
        """Writes the rows so far."""
        if self._store is not None and len(rows):
            self._store.save_checkpoint({"rows": rows}, {"step": len(rows)})
        self._saved_at = time.monotonic()

    def save_if_due(self, rows: Callable[[], Tensor]) -> None:
        """Calls `save` every so many seconds."""
        if self._store is not None and time.monotonic() - self._saved_at >= self._every_seconds:
            self.save(rows())


def plain_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies of tensors in main memory, as safetensors wants them."""
    import torch

    return {key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for key, tensor in tensors.items()}


def checkpoint_file(folder: Path) -> Path:
    """The checkpoint of the artifact in a folder: tensors and their step in one file, so they cannot disagree."""
    return folder / "checkpoint" / "state.safetensors"


def checkpoint_content(tensors: dict[str, Tensor], meta: dict[str, Any]) -> bytes:
    """A checkpoint as a file holds it: safetensors, with `meta` and a checksum over both in its head."""
    from safetensors.torch import save

    plain, meta_json = plain_tensors(tensors), json.dumps(meta)
    return save(plain, metadata={"meta": meta_json, "checksum": _checkpoint_sum(plain, meta_json)})


def _checkpoint_sum(tensors: dict[str, Tensor], meta_json: str) -> str:
    """SHA-256 over a checkpoint's tensors (names, types, shapes, numbers) and its `meta`."""
    import torch

    total = hashlib.sha256(meta_json.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """A checkpoint's tensors and `meta`; None if it is missing or damaged."""
    from safetensors import safe_open

    if not checkpoint_file(folder).exists():
        return None
    try:
        with safe_open(checkpoint_file(folder), framework="pt") as stored:
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
            head = stored.metadata()
        meta: dict[str, Any] = json.loads(head["meta"])
        whole = head.get("checksum") == _checkpoint_sum(tensors, head["meta"])
        return (tensors, meta) if whole and "step" in meta else None
    except MemoryError:  # says nothing of the file
        raise
    except Exception:  # any error that the library raises on a damaged file
        return None


def checkpoint_meta(folder: Path) -> dict[str, Any]:
    """A checkpoint's `meta`; empty where there is none. Reads the head of the file only."""
    if not checkpoint_file(folder).exists():
        return {}
    from safetensors import safe_open

    try:
        with safe_open(checkpoint_file(folder), framework="pt") as stored:
            meta: dict[str, Any] = json.loads(stored.metadata()["meta"])
            return {**meta, "seconds": seconds_of(meta)}
    except MemoryError:  # says nothing of the file
        raise
    except Exception:  # any error that the library raises on a damaged file
        return {}


def seconds_of(record: Mapping[str, Any]) -> float:
    """Recorded seconds of a stage or checkpoint; 0 if invalid."""
    seconds = record.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < float("inf") else 0.0
