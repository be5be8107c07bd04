"""Where few-shot tuning stands, so that what was stopped goes on instead of beginning again."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from metapt_explore.checkpoints import Record
from metapt_explore.pretraining.adam_state import adam_tensors, restore_adam

#: Seconds of tuning that a killed process may lose. Whoever is asked to stop loses the step that it is at.
LEAST_SECONDS = 30.0


class TuningCheckpoint:
    """Prompts, optimiser and snapshots after a step. What dev says of snapshots is asked again.

    Args:
        record: Where it is kept; None keeps nothing.
        prompts: The prompt of each cell.
        optimiser: Adam over them.
    """

    def __init__(
        self, record: Record | None, prompts: Sequence[torch.nn.Parameter], optimiser: torch.optim.Adam
    ) -> None:
        self._record, self._optimiser = record, optimiser
        self._prompts = {f"prompt.{cell}": prompt for cell, prompt in enumerate(prompts)}
        self._kept, self._at = 0, time.monotonic()

    def restore(self, snapshots: dict[int, Tensor]) -> tuple[int, float]:
        """Puts everything back.

        Args:
            snapshots: Receives the snapshots.

        Returns:
            Finished steps, and the row passes that they took; 0 where nothing was kept.
        """
        found = self._record.load_checkpoint() if self._record is not None else None
        if found is None:
            return 0, 0.0
        tensors, meta = found
        device = next(iter(self._prompts.values())).device
        restore_adam(self._optimiser, self._prompts, tensors)
        steps = [int(name.removeprefix("snapshot.")) for name in tensors if name.startswith("snapshot.")]
        snapshots |= {step: tensors[f"snapshot.{step}"].to(device) for step in sorted(steps)}
        self._kept = int(meta["step"]) - 1
        return self._kept, float(meta["row_passes"])

    def save(self, finished: int, snapshots: dict[int, Tensor], row_passes: float) -> None:
        """Keeps everything as it is after so many steps; nothing where that much is kept."""
        if self._record is None or finished <= self._kept:
            return
        tensors = adam_tensors(self._optimiser, self._prompts)
        tensors |= {f"snapshot.{step}": value for step, value in snapshots.items()}
        kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        # Steps count from 1: the metrics of all that are before the next one stand.
        self._record.save_checkpoint(kept, {"step": finished + 1, "row_passes": row_passes})
        self._kept, self._at = finished, time.monotonic()

    def save_sometimes(self, finished: int, snapshots: dict[int, Tensor], row_passes: float) -> None:
        """As `save`, where the last one is a while ago."""
        if time.monotonic() - self._at >= LEAST_SECONDS:
            self.save(finished, snapshots, row_passes)
