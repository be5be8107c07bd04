"""Training of weights by gradient steps, with learning rate and step chosen on dev: what three baselines share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import Metrics, finite_or_last
from metapt_explore.fewshot.selection import choose
from metapt_explore.pretraining.state import CLIP_NORM

Record = dict[str, Any]


class TrainedWeights:
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

    def park(self) -> list[Tensor]:
        """A copy to go on from: of the masters, where there are some."""
        return [master.detach().clone() for master in self.masters]

    @torch.no_grad()
    def resume(self, parked: Sequence[Tensor]) -> None:
        """Goes on from a copy that `park` made."""
        for master, value in zip(self.masters, parked, strict=True):
            master.copy_(value)
        self.publish()

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
    weights: TrainedWeights,
    rates: Sequence[float],
    scored_steps: Sequence[int],
    gradient: Callable[[int], float],
    score_dev: Callable[[], Metrics],
    select_by: str,
    where: str,
    schedule: Callable[[int], float] = lambda step: 1.0,
    on_step: Callable[[int], None] = lambda done: None,
    halving_steps: Sequence[int] = (),
) -> tuple[Record, list[Record]]:
    """Trains at every learning rate, and leaves the weights as they were where dev scored best.

    AdamW (Loshchilov and Hutter, ICLR 2019) without weight decay. Two sets of weights are kept besides those that are
    trained, the first and the best; with `halving_steps` three more for each rate that waits for its turn (weights and
    AdamW's two moments).

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
        halving_steps: Scored steps after which the half of the rates with the higher dev loss drop out, as prompts'
            do (`evaluation.halving_steps`).

    Returns:
        The choice (``learning_rate``, ``step``, ``dev_accuracy``, ``dev_loss``), and such a record for each learning
        rate and step that it was scored at, with the training loss of the last step before it.

    Raises:
        UserError: Where the loss is not a finite number any more.
    """
    last = max(scored_steps)
    weights.reset()
    begin = _dev(score_dev)
    # At the start all rates have the same weights.
    runs = [
        _Run(rate, torch.optim.AdamW(weights.masters, lr=rate, weight_decay=0.0, fused=True), [_record(rate, 0, begin)])
        for rate in rates
    ]
    best, kept = runs[0].curve[0], weights.save()
    running, done, taken = runs, 0, 0
    for until in [*(step for step in halving_steps if step < last), last]:
        for run in running:
            if run.parked is None:
                weights.reset()
            else:
                weights.resume(run.parked)
            for step in range(done + 1, until + 1):
                loss = run.step(weights, gradient, step, schedule(step), where)
                taken += 1
                on_step(taken)
                if step in scored_steps:
                    run.curve.append(_record(run.rate, step, _dev(score_dev), loss))
                    if choose([best, run.curve[-1]], select_by) != best:
                        best, kept = run.curve[-1], weights.save()
            run.parked = weights.park() if until < last else None
            if until == last:
                run.drop()
        if until < last:
            ranked = sorted(running, key=lambda run: finite_or_last(run.curve[-1]["dev_loss"]))
            staying = ranked[: -(-len(ranked) // 2)]
            for run in ranked[len(staying) :]:
                run.drop()
            running = [run for run in running if run in staying]
        done = until
    weights.load(kept)
    return best, [record for run in runs for record in run.curve]


@dataclass(eq=False)
class _Run:
    """Training at one learning rate.

    Attributes:
        rate: The learning rate.
        optimiser: With its moments.
        curve: What was measured so far.
        parked: The weights to go on from, while it waits for its turn.
    """

    rate: float
    optimiser: torch.optim.Optimizer
    curve: list[Record]
    parked: list[Tensor] | None = None

    def drop(self) -> None:
        """Frees what is as large as the weights."""
        self.parked = None
        self.optimiser.state.clear()

    def step(
        self, weights: TrainedWeights, gradient: Callable[[int], float], step: int, factor: float, where: str
    ) -> float:
        """Takes a step, and returns the loss before it."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * factor
        loss = gradient(step)
        if not math.isfinite(loss):
            raise UserError(
                f"{where}: the loss is not a number any more at step {step} with learning rate {self.rate:g}; lower "
                "the baseline's `learning_rates`."
            )
        weights.take_gradients()
        self.optimiser.step()
        weights.publish()
        return loss


def _dev(score_dev: Callable[[], Metrics]) -> Record:
    return {f"dev_{key}": value for key, value in score_dev().items()}


def _record(rate: float, step: int, dev: Record, loss: float = float("nan")) -> Record:
    return {"learning_rate": rate, "step": step, "train_loss": loss, **dev}
