"""Inner steps on a part of the prompt, and learned rates of every granularity, against autograd and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from synthetic_world import SIZES, Pattern, World
from torch import Tensor

from metapt_explore.config import MethodConfig
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.inner_loop import InnerSteps
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.registry import make_learner

STEPS = 3
SHAPES = {"number": (2, 24), "vector": (2, 1), "step": (STEPS, 1, 1), "vector_and_step": (STEPS, 2, 1)}


def outer_loss(world: World, prompt: Tensor, rates: Any, episode: Episode, *, moved: Tensor, exact: bool) -> Tensor:
    """MAML's objective written out; `rates` are those of each step, `moved` is 1 where an inner step moves a vector."""

    def loss(leaf: Tensor, rows: list[int], labels: list[int]) -> Tensor:
        score = world.vectors[rows] @ (leaf[0] * leaf[1])
        scores = torch.stack([torch.zeros_like(score), score], dim=1)
        return torch.nn.functional.cross_entropy(scores, torch.tensor(labels))

    total = torch.zeros(())
    for index in range(len(episode.tasks)):
        adapted = prompt
        for step in range(STEPS):
            support = loss(adapted, episode.support[index], episode.support_labels[index])
            (gradient,) = torch.autograd.grad(support, adapted, create_graph=exact, retain_graph=True)
            adapted = adapted - rates[step] * gradient * moved
        total = total + loss(adapted, episode.query[index], episode.query_labels[index]) / len(episode.tasks)
    return total


def learned(**settings: Any) -> tuple[World, Any, PromptObjective, Tensor]:
    world = World(signs_differ=True)
    method = MethodConfig(name="m", kind="metapt", clustering="c", inner_steps=STEPS, inner_lr=0.3, **settings)
    task = PretrainingTask(dict(enumerate(world.tasks[:24])), SIZES, method, seed=1, init_seed=2)
    objective = PromptObjective(world.backbone, world.backbone.bank(world.texts, None), Pattern())
    begin = world.initial + 0.1 * torch.randn(world.initial.shape, generator=torch.Generator().manual_seed(0))
    return world, make_learner(task), objective, begin


@pytest.mark.parametrize("order", ["first", "exact"])
def test_partial_adaptation_equals_autograd(order: str) -> None:
    world, learner, objective, begin = learned(adapted=0.5, order=order)
    episode, leaf = learner.draw(0), begin.clone().requires_grad_(True)
    gradient = learner.gradient({"prompt": begin}, episode, objective)[0]["prompt"]
    moved = torch.tensor([[0.0], [1.0]])
    value = outer_loss(world, leaf, [0.3] * STEPS, episode, moved=moved, exact=order == "exact")
    torch.testing.assert_close(gradient, torch.autograd.grad(value, leaf)[0], rtol=1e-4, atol=1e-6)
    assert float(gradient[0].norm()) > 1e-3, "shared vectors are learned, too"


@pytest.mark.parametrize("order", ["first", "exact"])
@pytest.mark.parametrize("rates", list(SHAPES))
@pytest.mark.parametrize("adapted", [1.0, 0.5])
def test_rates_of_every_granularity_equal_autograd(rates: str, order: str, adapted: float) -> None:
    world, learner, objective, begin = learned(learner="meta_sgd", rates=rates, order=order, adapted=adapted)
    parameters = learner.parameters(begin)
    assert parameters["log_rates"].shape == SHAPES[rates]
    torch.testing.assert_close(parameters["log_rates"].exp(), torch.full(SHAPES[rates], 0.3))
    parameters["log_rates"] += 0.3 * torch.randn(SHAPES[rates], generator=torch.Generator().manual_seed(1))
    episode = learner.draw(0)
    gradients, _ = learner.gradient(parameters, episode, objective)
    leaf, log_rates = begin.clone().requires_grad_(True), parameters["log_rates"].clone().requires_grad_(True)
    of_steps = list(log_rates.exp()) if log_rates.ndim == 3 else [log_rates.exp()] * STEPS
    moved = torch.tensor([[float(adapted == 1)], [1.0]])
    value = outer_loss(world, leaf, of_steps, episode, moved=moved, exact=order == "exact")
    expected = torch.autograd.grad(value, (leaf, log_rates))
    torch.testing.assert_close(gradients["prompt"], expected[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradients["log_rates"], expected[1], rtol=1e-4, atol=1e-6)


def test_adam_clips_by_the_norm_of_what_it_moves() -> None:
    gradient = torch.tensor([[[100.0], [0.5]]])
    whole, part = InnerSteps("adam"), InnerSteps("adam", torch.tensor([[0.0], [1.0]]))
    for step in (gradient, 0.1 * gradient):
        moved, alone = part.direction(step), InnerSteps("adam")
    alone.direction(gradient[:, 1:])
    expected = alone.direction(0.1 * gradient[:, 1:])
    assert moved[0, 0] == 0 and torch.equal(moved[0, 1:], expected[0])
    whole.direction(gradient)
    assert float(whole.direction(0.1 * gradient)[0, 1]) != pytest.approx(float(expected))
