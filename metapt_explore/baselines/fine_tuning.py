"""Training of weights by gradient steps, with learning rate and step chosen on dev: what three baselines share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from metapt_explore.errors import UserError
from metapt_explore.fewshot.tuning import choose
from metapt_explore.pretraining.loop import CLIP_NORM

Record = dict[str, Any]


class Weights:
    """Weights that are trained, with fp32 masters where the model holds them in fewer bits.

    A step of 1e-5 is smaller than the distance between two bfloat16 numbers of a weight's size: added to them it would
    mostly be lost (Micikevicius et al., ICLR 2018).

    Args:
        parameters: The model's own; they are changed in place.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = list(parameters)
        self._initial = self.save()
        self.masters = [
            parameter if parameter.dtype == torch.float32 else parameter.detach().float()
            for parameter in self.parameters
        ]

    @property
    def size(self) -> int:
        """Numbers that are trained."""
        return sum(parameter.numel() for parameter in self.parameters)

    def reset(self) -> None:
        """Begins anew from where the weights were at first."""
        self.load(self._initial)

    def take_gradients(self) -> None:
        """Gives the masters the gradients that the model's weights have, clipped to a norm of `CLIP_NORM`."""
        for parameter, master in zip(self.parameters, self.masters, strict=True):
            if master is not parameter:
                master.grad = None if parameter.grad is None else parameter.grad.float()
                parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, CLIP_NORM)

    @torch.no_grad()
    def publish(self) -> None:
        """Writes the masters into the model's weights."""
        for parameter, master in zip(self.parameters, self.masters, strict=True):
            if master is not parameter:
                parameter.copy_(master)
            master.grad = None

    def save(self) -> list[Tensor]:
        """A copy of the model's weights."""
        return [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def load(self, saved: Sequence[Tensor]) -> None:
        """Puts a copy back."""
        for parameter, master, value in zip(self.parameters, self.masters, saved, strict=True):
            parameter.copy_(value)
            master.copy_(value)


def train_best(
    weights: Weights,
    rates: Sequence[float],
    scored_steps: Sequence[int],
    gradient: Callable[[int], float],
    score_dev: Callable[[], dict[str, float]],
    select_by: str,
    where: str,
    schedule: Callable[[int], float] = lambda step: 1.0,
    on_step: Callable[[int], None] = lambda done: None,
) -> tuple[Record, list[Record]]:
    """Trains at every learning rate, and leaves the weights as they were where dev scored best.

    AdamW (Loshchilov and Hutter, ICLR 2019) without weight decay. Only one set of weights is kept besides those that
    are trained.

    Args:
        weights: What is trained.
        rates: Learning rates.
        scored_steps: Steps at which dev is scored, 0 first; training ends with the last.
        gradient: Adds the gradient of one step's loss to the weights, and returns the loss.
        score_dev: Scores dev as the weights are now: ``accuracy`` and ``loss``.
        select_by: ``loss`` or ``accuracy``, see `choose`.
        where: What to call the training in messages.
        schedule: Factor of the learning rate at a step.
        on_step: Called with the steps taken, over all rates; may raise to stop.

    Returns:
        The choice (``learning_rate``, ``step``, ``dev_accuracy``, ``dev_loss``), and such a record for each learning
        rate and scored step, with the training loss of the last step before it.

    Raises:
        UserError: Where the loss is not a finite number any more.
    """
    curves: list[Record] = []
    best: Record = {}
    kept: list[Tensor] = []
    begin: dict[str, float] = {}
    steps = max(scored_steps)
    for place, rate in enumerate(rates):
        weights.reset()
        optimiser = torch.optim.AdamW(weights.masters, lr=rate, weight_decay=0.0, fused=True)
        loss = float("nan")
        for step in range(steps + 1):
            if step:
                for group in optimiser.param_groups:
                    group["lr"] = rate * schedule(step)
                loss = gradient(step)
                if not torch.isfinite(torch.tensor(loss)):
                    raise UserError(
                        f"{where}: the loss is not a number any more at step {step} with learning rate {rate:g}; lower "
                        "the baseline's `learning_rates`."
                    )
                weights.take_gradients()
                optimiser.step()
                weights.publish()
                on_step(place * steps + step)
            if step in scored_steps:
                # At the start all rates have the same weights.
                begin = begin or score_dev()
                found = score_dev() if step else begin
                measured = {f"dev_{key}": value for key, value in found.items()}
                record = {"learning_rate": rate, "step": step, "train_loss": loss, **measured}
                curves.append(record)
                if not best or choose([best, record], select_by) != best:
                    best, kept = record, weights.save()
    weights.load(kept)
    return best, curves
