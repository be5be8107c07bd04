"""What few-shot tuning has reached: a prompt for each cell, snapshots of them, and finished test scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from metapt_explore.pretraining.state import TrainingState


class TuningState(TrainingState):
    """A training state with one prompt for each cell (a data seed with a learning rate).

    Dev scores are no part of it: they are computed again after a restart.

    Args:
        initial_prompt: Where all prompts begin, fp32 `[prompt_tokens, width]`; or where each does, stacked by cell.
        rates: Learning rate of each cell.
        scale: What each number's step is multiplied by, `[prompt_tokens, width]` or what expands to it, with a third
            dimension in front of each of the first steps (the last holds from then on); 1 when absent. What it keeps
            still, by 0, is no part of the gradient's norm either.

    Attributes:
        snapshots: Prompts of all cells after each scored step, `[cells, prompt_tokens, width]`.
        tested: Scores of rows that nothing is chosen on, by name.
        tested_rows: Rows sent forward for them.
    """

    def __init__(self, initial_prompt: Tensor, rates: Sequence[float], scale: Tensor | None = None) -> None:
        self._names = [f"prompt.{cell}" for cell in range(len(rates))]
        self._initial = initial_prompt.expand(len(rates), *initial_prompt.shape[-2:])
        super().__init__(dict(zip(self._names, self._initial, strict=True)), dict(zip(self._names, rates, strict=True)))
        self._scale = scale
        self.snapshots: dict[int, Tensor] = {0: self.prompts(range(len(rates)))}
        self.tested: dict[str, Tensor] = {}
        self.tested_rows = 0

    def prompts(self, cells: Sequence[int]) -> Tensor:
        """A copy of the prompts of some cells, `[cells, prompt_tokens, width]`."""
        return torch.stack([self.parameters[self._names[cell]].detach() for cell in cells])

    def apply_to(self, cells: Sequence[int], gradients: Tensor) -> None:
        """Takes a step of some cells; the others stay as they are."""
        scale, before = self._scale, self.prompts(cells)
        if scale is not None:
            scale = scale[min(self.steps, len(scale) - 1)] if scale.ndim == 3 else scale
            gradients = gradients * (scale != 0)
        self.apply({self._names[cell]: gradient for cell, gradient in zip(cells, gradients, strict=True)})
        if scale is not None:
            for cell, prompt in zip(cells, before, strict=True):
                parameter = self.parameters[self._names[cell]].data
                parameter.copy_(prompt + scale * (parameter - prompt))

    def pull(self, cell: int, share: float) -> None:
        """Moves the prompt of a cell by a share of the way towards its initial prompt."""
        self.parameters[self._names[cell]].data.lerp_(self._initial[cell], share)

    def take_snapshot(self, step: int) -> None:
        """Remembers all prompts as the ones after a step."""
        self.snapshots[step] = self.prompts(range(len(self._names)))

    # ------------------------------------------------------------------------------- checkpoints

    @property
    def reached(self) -> tuple[int, ...]:
        """Finished steps, and the number of test scores."""
        return self.steps, len(self.tested)

    def save(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `TrainingState.save`; metrics of tuning count steps from 1."""
        tensors, counts = super().save()
        tensors |= {f"snapshot.{step}": prompts for step, prompts in self.snapshots.items()}
        tensors |= {f"tested.{name}": scores for name, scores in self.tested.items()}
        return tensors, {**counts, "step": self.steps + 1, "tested_rows": self.tested_rows}

    def restore(self, tensors: Mapping[str, Tensor], counts: Mapping[str, Any]) -> None:
        """See `TrainingState.restore`."""
        super().restore(tensors, counts)
        device = self._initial.device
        # Files list their tensors in an order of their own.
        snapshots = {int(step): prompts.to(device) for step, prompts in _under("snapshot.", tensors).items()}
        self.snapshots = {step: snapshots[step] for step in sorted(snapshots)}
        self.tested, self.tested_rows = _under("tested.", tensors), int(counts["tested_rows"])


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
