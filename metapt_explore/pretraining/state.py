"""What gradient training has reached, and its checkpoints; shared by pre-training and few-shot tuning."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metapt_explore.storage.checkpoint import CheckpointStore

#: Gradients of a few rows through a frozen model are heavy-tailed; PPT clips at the same norm.
CLIP_NORM = 1.0


@dataclass(frozen=True)
class TrainingCallbacks:
    """Callbacks of a training.

    Attributes:
        metric: Called with each line of metrics.
        on_step: Called with the number of finished steps after each step; may raise to stop.
        on_pass: Called with the same number after each pass through the model; may raise to stop.
        checkpoints: Where checkpoints are written, and read to resume; None for neither.
    """

    metric: Callable[[dict[str, Any]], None] = lambda record: None
    on_step: Callable[[int], None] = lambda steps: None
    on_pass: Callable[[int], None] = lambda steps: None
    checkpoints: CheckpointStore | None = None


#: Callbacks that do nothing.
NO_CALLBACKS = TrainingCallbacks()


def is_fused_on(device: torch.device) -> bool:
    """Whether Adam takes its steps in one operation there; on a CPU that would change the last bits of prompts."""
    return device.type == "cuda"


class TrainingState:
    """Parameters, their Adam optimiser, the sum of their late values, and counts.

    `apply` changes the parameters and `finish_step` counts the step. Between the two the state is not `complete`: a
    checkpoint of it would be half a step.

    Args:
        initial: Initial value of each parameter by name.
        rates: Learning rate of all parameters, or of each by name.
        averaged_from: First step, counted from 0, whose result is part of `average`; None averages nothing.

    Attributes:
        parameters: By name.
        steps: Finished steps.
        row_passes: Rows sent forward and backward in them.
        diagnostic_rows: Rows sent forward only.
        complete: Whether no step is half done.
    """

    def __init__(
        self, initial: Mapping[str, Tensor], rates: float | Mapping[str, float], *, averaged_from: int | None = None
    ) -> None:
        self.parameters = {name: torch.nn.Parameter(value.clone()) for name, value in initial.items()}
        of_each = rates if isinstance(rates, Mapping) else dict.fromkeys(initial, rates)
        # Parameters of one rate are one group: a card takes all their steps in a few operations.
        self._rates = list(dict.fromkeys(of_each.values()))
        groups: list[dict[str, Any]] = [{"params": [], "lr": rate} for rate in self._rates]
        for name, value in self.parameters.items():
            groups[self._rates.index(of_each[name])]["params"].append(value)
        self._fused = all(is_fused_on(value.device) for value in self.parameters.values())
        self._optimiser = torch.optim.Adam(groups, fused=self._fused or None)
        self._averaged_from = averaged_from
        self._tail: dict[str, Tensor] = {}
        self.steps, self.row_passes, self.diagnostic_rows = 0, 0.0, 0
        self.complete = True

    def values(self) -> dict[str, Tensor]:
        """The parameters without a graph, by name; later steps change them in place."""
        return {name: value.detach() for name, value in self.parameters.items()}

    def apply(self, gradients: Mapping[str, Tensor], rate_factor: float = 1.0) -> dict[str, Tensor]:
        """Takes one Adam step with each gradient clipped to `CLIP_NORM`.

        Args:
            gradients: By name; a parameter without one stays as it is.
            rate_factor: What all learning rates are multiplied by in this step.

        Returns:
            The norm of each gradient before clipping.
        """
        self.complete = False
        self._optimiser.zero_grad()
        norms = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients.values()])
        shares = (CLIP_NORM / (norms + 1e-6)).clamp(max=1.0)  # as `torch.nn.utils.clip_grad_norm_` has it
        for (name, gradient), share in zip(gradients.items(), shares.unbind(), strict=True):
            self.parameters[name].grad = gradient * share
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * rate_factor
        self._optimiser.step()
        return dict(zip(gradients, norms.unbind(), strict=True))

    def finish_step(self, row_passes: float, diagnostic_rows: int = 0) -> None:
        """Counts the step that `apply` took.

        Args:
            row_passes: Row passes of all steps so far.
            diagnostic_rows: Diagnostic rows of all steps so far.
        """
        if self._averaged_from is not None and self.steps >= self._averaged_from:
            for name, value in self.values().items():
                self._tail[name] = self._tail[name] + value if name in self._tail else value.clone()
        self.steps += 1
        self.row_passes, self.diagnostic_rows = row_passes, diagnostic_rows
        self.complete = True

    def average(self) -> dict[str, Tensor]:
        """Mean of the parameters over the averaged steps; their last values where no step is averaged."""
        if not self._tail or self._averaged_from is None:
            return self.values()
        return {name: total / (self.steps - self._averaged_from) for name, total in self._tail.items()}

    # ------------------------------------------------------------------------------- checkpoints

    @property
    def reached(self) -> tuple[int, ...]:
        """Grows with the work done; a checkpoint with a smaller number is out of date."""
        return (self.steps,)

    @property
    def finite(self) -> bool:
        """Whether all parameters are finite: other states are not saved."""
        return all(bool(torch.isfinite(value).all()) for value in self.parameters.values())

    def save(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and counts for a checkpoint.

        Returns:
            Parameters by name; of those with a step ``.exp_avg``, ``.exp_avg_sq`` and ``.adam_step``; ``.tail``, the
            sum over averaged steps. And ``step``: metrics of lower steps belong to this state.
        """
        tensors: dict[str, Tensor] = {}
        for name, value in self.parameters.items():
            tensors[name] = value.detach()
            adam = self._optimiser.state[value]
            if adam:
                tensors[f"{name}.exp_avg"], tensors[f"{name}.exp_avg_sq"] = adam["exp_avg"], adam["exp_avg_sq"]
                tensors[f"{name}.adam_step"] = torch.as_tensor(adam["step"]).reshape(1).float()
        tensors |= {f"{name}.tail": total for name, total in self._tail.items()}
        counts = {"row_passes": self.row_passes, "diagnostic_rows": self.diagnostic_rows}
        return tensors, {"step": self.steps, "steps": self.steps, **counts}

    def restore(self, tensors: Mapping[str, Tensor], counts: Mapping[str, Any]) -> None:
        """Puts everything back to where `save` took it from."""
        for name, value in self.parameters.items():
            with torch.no_grad():
                value.copy_(tensors[name])
            if f"{name}.adam_step" in tensors:
                adam_step = tensors[f"{name}.adam_step"][0].clone()
                self._optimiser.state[value] = {
                    "step": adam_step.to(value.device) if self._fused else adam_step.cpu(),
                    "exp_avg": tensors[f"{name}.exp_avg"].to(value.device),
                    "exp_avg_sq": tensors[f"{name}.exp_avg_sq"].to(value.device),
                }
            if f"{name}.tail" in tensors:
                self._tail[name] = tensors[f"{name}.tail"].to(value.device)
        self.steps = int(counts["steps"])
        self.row_passes, self.diagnostic_rows = float(counts["row_passes"]), int(counts["diagnostic_rows"])


class TrainingCheckpoint:
    """Writes checkpoints of a state, and resumes from the last one.

    Args:
        store: Where; None writes and resumes nothing.
        state: What is saved.
        every_steps: `save_if_due` writes after so many steps …
        every_seconds: … or where the last checkpoint is so many seconds old, the most that a killed process loses.
        before_saving: Called before a checkpoint is written: the metrics of its steps are out by then.
    """

    def __init__(
        self,
        store: CheckpointStore | None,
        state: TrainingState,
        *,
        every_steps: int | None = None,
        every_seconds: float | None = None,
        before_saving: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._state, self._before_saving = store, state, before_saving
        self._every_steps, self._every_seconds = every_steps, every_seconds
        self._saved, self._saved_at = state.reached, time.monotonic()

    def restore(self) -> None:
        """Puts the state back to the last checkpoint, if there is one."""
        checkpoint = self._store.load_checkpoint() if self._store is not None else None
        if checkpoint is not None:
            self._state.restore(*checkpoint)
            self._saved = self._state.reached

    def save(self) -> None:
        """Write a checkpoint; skip if unchanged, in the middle of a step, or a parameter is not finite."""
        state = self._state
        self._before_saving()
        if self._store is None or not state.complete or state.reached <= self._saved or not state.finite:
            return
        tensors, counts = state.save()
        self._store.save_checkpoint(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, counts
        )
        self._saved, self._saved_at = state.reached, time.monotonic()

    def save_if_due(self) -> None:
        """Calls `save` every so many steps or seconds."""
        after_steps = self._every_steps is not None and self._state.steps % self._every_steps == 0
        after_seconds = self._every_seconds is not None and time.monotonic() - self._saved_at >= self._every_seconds
        if after_steps or after_seconds:
            self.save()

    @contextmanager
    def saved_when_stopped(self) -> Iterator[None]:
        """Writes a checkpoint when the work inside is interrupted for any reason."""
        try:
            yield
        except BaseException:
            self.save()
            raise
