"""Training with learning rate and step chosen on dev."""

from __future__ import annotations

import pytest
import torch

from metapt_explore.baselines.fine_tuning import RatePoint, RateSearch, TrainedWeights, train_best
from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import Metrics


def test_small_steps_are_not_lost_in_bfloat16() -> None:
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    weights = TrainedWeights([weight])
    for _ in range(100):
        weight.grad = torch.ones_like(weight)
        weights.take_gradients()
        torch.optim.SGD(weights.masters, lr=1e-3).step()
        weights.publish()
    # Half of 1/256 is lost in bfloat16 each time; clipping makes a step of 1e-3 · 1/2.
    assert weight.detach().tolist() == pytest.approx([0.95] * 4, abs=0.004)
    weights.reset()
    assert weight.detach().tolist() == [1.0] * 4 == weights.masters[0].tolist()


def test_the_best_weights_on_dev_are_put_back() -> None:
    """A parabola whose dev minimum lies on the way: rates and steps are compared, the first of equals counts."""
    weight = torch.nn.Parameter(torch.zeros(1))

    def gradient(step: int) -> float:
        weight.grad = torch.tensor([-1.0])
        return 1.0

    def score_dev() -> Metrics:
        return {"accuracy": 0.5, "macro_f1": 0.5, "loss": float((weight.detach() - 0.2).abs())}

    best, curves = train_best(
        TrainedWeights([weight]),
        RateSearch([0.1, 0.2], [0, 1, 2, 3], "loss"),
        gradient,
        score_dev=score_dev,
        where="here",
    )
    assert (best["learning_rate"], best["step"]) == (0.2, 1) or (best["learning_rate"], best["step"]) == (0.1, 2)
    assert float(weight.detach()) == pytest.approx(0.2, abs=1e-5) and len(curves) == 8
    best, _ = train_best(
        TrainedWeights([weight]), RateSearch([0.1], [0, 1], "accuracy"), gradient, score_dev=score_dev, where="here"
    )
    assert best["step"] == 0, "the weights began at the minimum"

    with pytest.raises(UserError, match=r"not a number any more at step 1 with learning rate 0\.1"):
        train_best(
            TrainedWeights([weight]),
            RateSearch([0.1], [0, 1], "loss"),
            lambda step: float("nan"),
            score_dev=score_dev,
            where="here",
        )


def test_the_worse_half_of_the_rates_drops_out() -> None:
    """A constant gradient moves the weight by the rate at each step; dev wants it at 0.95."""
    weight, taken = torch.nn.Parameter(torch.zeros(1)), []

    def gradient(step: int) -> float:
        weight.grad = torch.tensor([-1.0])
        return 1.0

    def score_dev() -> Metrics:
        return {"accuracy": 0.5, "macro_f1": 0.5, "loss": float((weight.detach() - 0.95).abs())}

    best, curves = train_best(
        TrainedWeights([weight]),
        RateSearch([0.1, 0.2, 0.5, 0.8], [0, 1, 2, 3], "loss", halving_steps=[1, 2]),
        gradient,
        score_dev=score_dev,
        where="here",
        on_step=taken.append,
    )
    # After a step 0.5 and 0.8 are nearer than 0.1 and 0.2, after two 1.0 is nearer than 1.6.
    assert [(each["learning_rate"], each["step"]) for each in curves] == [
        *[(0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1)],
        *[(0.5, 0), (0.5, 1), (0.5, 2), (0.5, 3), (0.8, 0), (0.8, 1), (0.8, 2)],
    ]
    assert (best["learning_rate"], best["step"]) == (0.5, 2) and taken == [1, 2, 3, 4, 5, 6, 7]
    assert float(weight.detach()) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_rate_that_waited_goes_on_as_if_it_had_not(dtype: torch.dtype) -> None:
    weight = torch.nn.Parameter(torch.tensor([0.3, -0.7, 1.1], dtype=dtype))

    def gradient(step: int) -> float:
        weight.grad = (weight.detach().float() ** 3 - step / 7).to(dtype)
        return float(weight.detach().float().square().sum())

    def score_dev() -> Metrics:
        return {"accuracy": 0.5, "macro_f1": 0.5, "loss": float(weight.detach().float().norm())}

    def trained(halving_steps: list[int]) -> list[RatePoint]:
        weights = TrainedWeights([weight])
        weights.reset()
        search = RateSearch([0.01, 0.03, 0.1], [0, 2, 4, 8], "loss", halving_steps)
        curves = train_best(weights, search, gradient, score_dev=score_dev, where="here")[1]
        with torch.no_grad():
            weight.copy_(torch.tensor([0.3, -0.7, 1.1]))
        return curves

    whole, halved = trained([]), trained([2, 4])
    assert len(whole) == 12 and len(halved) == 2 + 3 + 4
    assert all(each in whole for each in halved if each["step"])
