"""Where few-shot tuning stands, so that what was stopped goes on instead of beginning again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from metapt_explore.pretraining.optimizer_state import adam_tensors, restore_adam
from metapt_explore.storage.checkpoint import CheckpointStore

#: Seconds of work that a killed process may lose. Whoever is asked to stop loses the pass that it is at.
LEAST_SECONDS = 30.0


@dataclass
class TuningProgress:
    """What is finished, beside prompts and optimiser. What dev says of snapshots is asked again.

    Attributes:
        steps: Finished steps.
        row_passes: Rows sent forward and backward in them.
        snapshots: Prompts after each scored step.
        tested: Scores of rows that nothing is chosen on, by name.
        tested_rows: Rows sent forward for them.
    """

    steps: int = 0
    row_passes: float = 0.0
    snapshots: dict[int, Tensor] = field(default_factory=dict)
    tested: dict[str, Tensor] = field(default_factory=dict)
    tested_rows: int = 0


class TuningCheckpoint:
    """Keeps prompts, optimiser and progress.

    Args:
        record: Where; None keeps nothing.
        prompts: The prompt of each cell.
        optimiser: Adam over them.
    """

    def __init__(
        self, record: CheckpointStore | None, prompts: Sequence[torch.nn.Parameter], optimiser: torch.optim.Adam
    ) -> None:
        self._record, self._optimiser = record, optimiser
        self._prompts = {f"prompt.{cell}": prompt for cell, prompt in enumerate(prompts)}
        self._kept, self._at = (0, 0), time.monotonic()

    def restore(self, begin: Tensor) -> TuningProgress:
        """Puts prompts and optimiser back, and says how far they had come.

        Args:
            begin: The snapshot before the first step, where nothing was kept.
        """
        found = self._record.load_checkpoint() if self._record is not None else None
        if found is None:
            return TuningProgress(snapshots={0: begin})
        tensors, meta = found
        restore_adam(self._optimiser, self._prompts, tensors)
        # Files list their tensors in an order of their own.
        snapshots = {int(name): value.to(begin.device) for name, value in _under("snapshot.", tensors).items()}
        ordered = {step: snapshots[step] for step in sorted(snapshots)}
        tested, steps = _under("tested.", tensors), int(meta["step"]) - 1
        self._kept = steps, len(tested)
        return TuningProgress(steps, float(meta["row_passes"]), ordered, tested, int(meta["tested_rows"]))

    def save(self, progress: TuningProgress) -> None:
        """Keeps everything as it is; nothing where that much is kept, or where a prompt is no number any more."""
        reached = progress.steps, len(progress.tested)
        if self._record is None or reached <= self._kept:
            return
        tensors = adam_tensors(self._optimiser, self._prompts)
        # Whoever goes on from a broken prompt ends where this one did.
        if not all(bool(torch.isfinite(prompt).all()) for prompt in self._prompts.values()):
            return
        tensors |= {f"snapshot.{step}": value for step, value in progress.snapshots.items()}
        tensors |= {f"tested.{name}": value for name, value in progress.tested.items()}
        kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        # Steps count from 1: the metrics of all that are before the next one stand.
        counts = {"row_passes": progress.row_passes, "tested_rows": progress.tested_rows}
        self._record.save_checkpoint(kept, {"step": progress.steps + 1, **counts})
        self._kept, self._at = reached, time.monotonic()

    def save_sometimes(self, progress: TuningProgress) -> None:
        """As `save`, where the last one is a while ago."""
        if time.monotonic() - self._at >= LEAST_SECONDS:
            self.save(progress)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
