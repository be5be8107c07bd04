"""Leap's gradient is that of the pull-forward objective, by autograd at each point of a task's way."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from synthetic_world import SIZES, Pattern, World
from torch import Tensor

from metapt_explore.config import MethodConfig
from metapt_explore.config.pretraining import FORWARD_COST
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.pretraining.inner_loop import InnerSteps
from metapt_explore.pretraining.leap import pull_forward
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.registry import make_learner


def one_loss(world: World, prompt: Tensor, rows: list[int], labels: list[int]) -> Tensor:
    """Mean loss of a task's rows, with its graph and without any code of the package."""
    gates, direction = prompt
    score = world.vectors[rows] @ (gates * direction)
    return torch.nn.functional.cross_entropy(torch.stack([torch.zeros_like(score), score], dim=1), torch.tensor(labels))


def by_autograd(world: World, rows: list[Any], rate: float, optimiser: InnerSteps, *, by_length: bool) -> Tensor:
    """Half the squared length, or the length, of each step's way, its end fixed; derivatives at its beginning."""
    prompt, total = world.initial + 0.05, torch.zeros_like(world.initial)
    for of_step in rows:
        leaf = prompt.clone().requires_grad_(True)
        loss = one_loss(world, leaf, *of_step)
        (gradient,) = torch.autograd.grad(loss, leaf, retain_graph=True)
        later = prompt - rate * optimiser.direction(gradient[None])[0]
        # The stabiliser: a step that made the loss larger counts as if it had made it smaller by as much.
        end = loss.detach() - (one_loss(world, later, *of_step) - loss.detach()).abs()
        squared = (later - leaf).square().sum() + (end - loss) ** 2
        total += torch.autograd.grad(squared.sqrt() if by_length else squared / 2, leaf)[0]
        prompt = later
    return total / len(rows)


@pytest.mark.parametrize("path", ["length", "energy"])
@pytest.mark.parametrize("inner", [{}, {"inner_optimiser": "adam"}, {"inner_rows": "same"}], ids=str)
@pytest.mark.parametrize("rate", [0.1, 30.0])  # the second jumps over the valley: losses rise
def test_equals_the_pull_forward_objective(path: str, inner: dict[str, str], rate: float) -> None:
    world = World(signs_differ=True)
    recipe = {"learner": "leap", "path": path, "inner_steps": 3, "inner_lr": rate, **inner}
    method = MethodConfig(name="m", kind="metapt", clustering="c", **recipe)
    task = PretrainingTask(dict(enumerate(world.tasks[:24])), SIZES, method, seed=1, init_seed=2)
    objective = PromptObjective(world.backbone, world.backbone.bank(world.texts, None), Pattern())
    learner = make_learner(task)
    episode = learner.draw(0)
    gradient = learner.gradient({"prompt": world.initial + 0.05}, episode, objective)[0]["prompt"]
    expected = torch.zeros_like(gradient)
    for index in range(4):
        support, labels = episode.support[index], episode.support_labels[index]
        steps: list[Any] = [(support, labels)] * 3
        if method.inner_rows == "new":
            assert len(support) == 3 * SIZES.support_size
            steps = [(support[at : at + 8], labels[at : at + 8]) for at in (0, 8, 16)]
        steps.append((episode.query[index], episode.query_labels[index]))
        optimiser = InnerSteps("adam" if "inner_optimiser" in inner else "gradient")
        expected += by_autograd(world, steps, rate, optimiser, by_length=path == "length") / 4
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)
    assert objective.row_passes == method.row_passes_per_step(SIZES), "rows sent forward for the gradient are counted"
    assert objective.diagnostic_rows == 4 * SIZES.support_size


@pytest.mark.parametrize("learner", ["leap", "reptile"])
def test_rows_of_later_steps_are_new_and_never_the_query_rows(learner: str) -> None:
    """A task of 10 rows a class: 3 steps of 8 and 16 query rows are more than it has; one of 40 has enough."""
    wide = {
        0: {"no": list(range(40)), "yes": list(range(40, 80))},
        1: {"no": list(range(80, 120)), "yes": [*range(120, 160)]},
    }
    narrow = {0: {"no": list(range(10)), "yes": list(range(10, 20))}}
    sizes = SIZES.model_copy(update={"meta_batch_size": 2, "query_size": 12})

    def drawn(tasks: Any, **settings: Any) -> Any:
        method = MethodConfig(name="m", kind="metapt", clustering="c", inner_steps=3, **settings)
        return make_learner(PretrainingTask(tasks, sizes, method, seed=1, init_seed=2)).draw(5)

    for tasks in (wide, narrow):
        episode, plain = drawn(tasks, learner=learner), drawn(tasks, learner="maml")
        assert (episode.tasks, episode.query) == (plain.tasks, plain.query)
        for task, support, labels, query, first in zip(
            episode.tasks, episode.support, episode.support_labels, episode.query, plain.support, strict=True
        ):
            assert support[:8] == first and len(support) == 24 and not set(support) & set(query)
            assert labels == [0, 0, 0, 0, 1, 1, 1, 1] * 3
            classes = list(tasks[task].values())
            assert all(row in classes[label] for row, label in zip(support, labels, strict=True))
            assert tasks is narrow or len(set(support)) == 24, "no row twice where there are enough"


def test_a_step_that_climbs_counts_as_one_that_falls() -> None:
    prompts, gradient = [torch.zeros(1, 1, 2), torch.tensor([[[-3.0, 0.0]]])], torch.tensor([[[1.0, 0.0]]])
    up, down = (pull_forward(prompts, [gradient], [torch.tensor([change])], by_length=True) for change in (4.0, -4.0))
    assert up.tolist() == down.tolist() == [[[pytest.approx(7 / 5), 0.0]]]


def test_a_step_to_nowhere_is_no_error() -> None:
    still = [torch.zeros(1, 1, 2)] * 2
    pulled = pull_forward(still, [torch.zeros(1, 1, 2)], [torch.zeros(1)], by_length=True)
    assert pulled.tolist() == [[[0.0, 0.0]]]


def test_rows_sent_forward_for_a_gradient_are_no_diagnostics() -> None:
    world = World(signs_differ=True)
    objective = PromptObjective(world.backbone, world.backbone.bank(world.texts, None), Pattern())
    batch = Batch([0, 1, 2], [0, 0, 0], [0, 1, 0])
    first = objective.losses(world.initial[None], batch, for_gradient=True)
    assert (objective.row_passes, objective.diagnostic_rows) == (3 * FORWARD_COST, 0)
    assert torch.equal(first, objective.losses(world.initial[None], batch)) and objective.diagnostic_rows == 3
