"""Training of weights, with learning rate and step chosen on dev; shared by three baselines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import DevMetrics, Metrics, dev_metrics, finite_or_last
from metapt_explore.fewshot.selection import choose
from metapt_explore.pretraining.state import CLIP_NORM


class RatePoint(DevMetrics):
    """Dev scores of one learning rate after one step.

    Attributes:
        learning_rate: The learning rate.
        step: Steps taken; 0 is before training.
        train_loss: Loss of the last step; NaN before training.
    """

    learning_rate: float
    step: int
    train_loss: float


@dataclass(frozen=True)
class RateSearch:
    """Which learning rates and steps are tried, and how dev chooses among them.

    Attributes:
        rates: Learning rates.
        scored_steps: Steps at which dev is scored, 0 first; training ends with the last.
        select_by: ``loss`` or ``accuracy``, see `choose`.
        halving_steps: Scored steps after which the half of the rates with the higher dev loss drop out, as prompts do
            (`evaluation.halving_steps`).
        schedule: Factor of the learning rate at a step.
    """

    rates: Sequence[float]
    scored_steps: Sequence[int]
    select_by: str
    halving_steps: Sequence[int] = ()
    schedule: Callable[[int], float] = lambda step: 1.0


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
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters)

    def reset(self) -> None:
        """Puts the weights back to where they were at first."""
        self.load(self._initial)

    def take_gradients(self) -> None:
        """Moves the gradients of the model's weights to the masters, clipped to a norm of `CLIP_NORM`."""
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
        """A copy to resume from; of the masters, where there are some."""
        return [master.detach().clone() for master in self.masters]

    @torch.no_grad()
    def resume(self, parked: Sequence[Tensor]) -> None:
        """Resumes from a copy that `park` made."""
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
    search: RateSearch,
    gradient: Callable[[int], float],
    *,
    score_dev: Callable[[], Metrics],
    where: str,
    on_step: Callable[[int], None] = lambda steps: None,
) -> tuple[RatePoint, list[RatePoint]]:
    """Trains at every learning rate, and leaves the weights as they were where dev scored best.

    AdamW (Loshchilov and Hutter, ICLR 2019) without weight decay. Two copies of the weights are kept besides those
    that are trained, the first and the best; with `halving_steps` three more for each rate that waits for its turn
    (weights and AdamW's two moments).

    Args:
        weights: What is trained.
        search: Learning rates and steps.
        gradient: Adds the gradient of a step's loss to the weights, and returns the loss.
        score_dev: Scores dev as the weights are now.
        where: What to call the training in messages.
        on_step: Called with the steps taken, over all rates; may raise to stop.

    Returns:
        The point that dev chose, and all points of all rates.

    Raises:
        UserError: Where the loss is not a finite number.
    """
    last = max(search.scored_steps)
    weights.reset()
    # Before the first step all rates have the same weights.
    before = dev_metrics(score_dev())
    runs = [_Run(rate, weights.masters, before) for rate in search.rates]
    best, best_weights = runs[0].curve[0], weights.save()
    running, done, taken = runs, 0, 0
    for until in [*(step for step in search.halving_steps if step < last), last]:
        for run in running:
            run.enter(weights)
            for step in range(done + 1, until + 1):
                loss = run.step(weights, gradient, step, factor=search.schedule(step), where=where)
                taken += 1
                on_step(taken)
                if step in search.scored_steps:
                    run.add(step, loss, dev_metrics(score_dev()))
                    if choose([best, run.curve[-1]], search.select_by) is not best:
                        best, best_weights = run.curve[-1], weights.save()
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
    weights.load(best_weights)
    return best, [point for run in runs for point in run.curve]


class _Run:
    """Training at one learning rate.

    Attributes:
        curve: What was measured so far.
        parked: The weights to resume from, while the run waits for its turn.
    """

    def __init__(self, rate: float, masters: Sequence[Tensor], before: DevMetrics) -> None:
        self._rate = rate
        self._optimiser = torch.optim.AdamW(masters, lr=rate, weight_decay=0.0, fused=True)
        self.curve: list[RatePoint] = []
        self.parked: list[Tensor] | None = None
        self.add(0, float("nan"), before)

    def add(self, step: int, loss: float, dev: DevMetrics) -> None:
        """Adds a point to the curve."""
        self.curve.append({"learning_rate": self._rate, "step": step, "train_loss": loss, **dev})

    def enter(self, weights: TrainedWeights) -> None:
        """Puts the weights where this run left them."""
        if self.parked is None:
            weights.reset()
        else:
            weights.resume(self.parked)

    def drop(self) -> None:
        """Frees what is as large as the weights."""
        self.parked = None
        self._optimiser.state.clear()

    def step(
        self, weights: TrainedWeights, gradient: Callable[[int], float], step: int, *, factor: float, where: str
    ) -> float:
        """Takes a step, and returns the loss before it."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * factor
        loss = gradient(step)
        if not math.isfinite(loss):
            raise UserError(
                f"{where}: the loss is not a number any more at step {step} with learning rate {self._rate:g}; lower "
                "the baseline's `learning_rates`."
            )
        weights.take_gradients()
        self._optimiser.step()
        weights.publish()
        return loss
