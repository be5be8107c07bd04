"""Learners of several starts: their gradients are those of the written-out algorithm, in a world without a model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from synthetic_world import SIZES, Pattern, World
from torch import Tensor

from metapt_explore.config import MethodConfig
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.draw_counts import agrees_with, recorded_task
from metapt_explore.pretraining.gate import gate_weights, losses_at_starts, mixed, numbers_of_offsets, packed_offsets
from metapt_explore.pretraining.inner_loop import support_and_query
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.registry import make_learner

WORLD = World(signs_differ=True)


def task_of(learner: str, **settings: Any) -> PretrainingTask:
    method = MethodConfig(name="m", kind="metapt", clustering="c", learner=learner, **settings)
    return PretrainingTask(dict(enumerate(WORLD.tasks[:24])), SIZES, method, seed=1, init_seed=2)


def objective() -> PromptObjective:
    return PromptObjective(WORLD.backbone, WORLD.backbone.bank(WORLD.texts, None), Pattern())  # type: ignore[arg-type]


def plain_loss(prompt: Tensor, rows: list[int], labels: list[int]) -> Tensor:
    """Mean loss of a task's rows, with its graph and without any code of the package."""
    gates, direction = prompt
    score = WORLD.vectors[rows] @ (gates * direction)
    return torch.nn.functional.cross_entropy(torch.stack([torch.zeros_like(score), score], dim=1), torch.tensor(labels))


def begun(learner: Any) -> dict[str, Tensor]:
    """Its parameters, each moved a little, so that nothing is zero."""
    generator = torch.Generator().manual_seed(3)
    return {
        name: value + 0.2 * torch.randn(value.shape, generator=generator)
        for name, value in learner.parameters(WORLD.initial).items()
    }


def test_the_gate_looks_at_each_start_by_itself() -> None:
    learner = make_learner(task_of("hsml", families=3))
    values, episode = packed_offsets(begun(learner)), learner.draw(0)
    over = objective()
    losses = losses_at_starts(values["prompt"], values["offsets"], support_and_query(episode)[0], over)
    for index in range(4):
        for start in range(3):
            prompt = values["prompt"] + values["offsets"][start]
            expected = plain_loss(prompt, episode.support[index], episode.support_labels[index])
            assert float(losses[index, start]) == pytest.approx(float(expected), rel=1e-5)
    assert over.row_passes == 0.5 * 3 * 4 * 8 and over.diagnostic_rows == 0
    weights = gate_weights(losses, 0.2)
    torch.testing.assert_close(weights, (-losses / 0.2).exp() / (-losses / 0.2).exp().sum(dim=1, keepdim=True))
    by_hand = values["prompt"] + sum(weights[2, start] * values["offsets"][start] for start in range(3))
    torch.testing.assert_close(mixed(values["prompt"], values["offsets"], weights)[2], by_hand)


@pytest.mark.parametrize("settings", [{}, {"inner_steps": 2, "families": 3, "temperature": 0.02}], ids=str)
def test_hsml_is_first_order_maml_from_the_mixture_of_each_task(settings: dict[str, Any]) -> None:
    pretraining_task = task_of("hsml", inner_lr=0.5, **settings)
    learner, over = make_learner(pretraining_task), objective()
    values, episode = begun(learner), learner.draw(1)
    gradients, records = learner.gradient(values, episode, over)
    method: Any = pretraining_task.method
    expected = {name: torch.zeros_like(value) for name, value in values.items()}
    for index in range(4):
        support = episode.support[index], episode.support_labels[index]
        starts = [values["prompt"] + values[f"offset.{family}"] for family in range(method.families)]
        weights = torch.softmax(-torch.stack([plain_loss(start, *support) for start in starts]) / method.temperature, 0)
        adapted = sum(weight * start for weight, start in zip(weights, starts, strict=True))
        for _ in range(method.inner_steps):
            leaf = adapted.detach().requires_grad_(True)
            adapted = leaf.detach() - 0.5 * torch.autograd.grad(plain_loss(leaf, *support), leaf)[0]
        leaf = adapted.requires_grad_(True)
        query = plain_loss(leaf, episode.query[index], episode.query_labels[index])
        (gradient,) = torch.autograd.grad(query, leaf)
        assert records[index]["query"] == pytest.approx(float(query.detach()), rel=1e-4)
        expected["prompt"] += gradient / 4
        for family, weight in enumerate(weights):
            expected[f"offset.{family}"] += weight * gradient / 4
    assert gradients.keys() == values.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)
    assert over.row_passes == method.row_passes_per_step(SIZES)


def test_families_begin_apart_and_as_seeds_say() -> None:
    one, same = (make_learner(task_of("hsml")).parameters(WORLD.initial) for _ in range(2))
    assert numbers_of_offsets(list(one)) == [0, 1, 2, 3]
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["offset.0"], one["offset.1"])


def test_a_prompt_per_cluster_learns_from_its_own_rows() -> None:
    pretraining_task = task_of("prompt_per_cluster")
    learner, over = make_learner(pretraining_task), objective()
    values, episode = begun(learner), learner.draw(1)
    gradients, records = learner.gradient(values, episode, over)
    assert set(gradients) == {"prompt", *(f"offset.{task}" for task in episode.tasks)}
    common = torch.zeros_like(values["prompt"])
    for index, task in enumerate(episode.tasks):
        leaf = (values["prompt"] + values[f"offset.{task}"]).requires_grad_(True)
        rows = [*episode.support[index], *episode.query[index]]
        loss = plain_loss(leaf, rows, [*episode.support_labels[index], *episode.query_labels[index]])
        (gradient,) = torch.autograd.grad(loss, leaf)
        torch.testing.assert_close(gradients[f"offset.{task}"], gradient, rtol=1e-4, atol=1e-6)
        assert records[index]["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
        common += gradient / len(episode.tasks)
    torch.testing.assert_close(gradients["prompt"], common, rtol=1e-4, atol=1e-6)
    ppt = MethodConfig(name="p", kind="ppt")
    assert over.row_passes == pretraining_task.method.row_passes_per_step(SIZES) == ppt.row_passes_per_step(SIZES)


def test_a_task_that_is_drawn_twice_takes_the_mean() -> None:
    few = PretrainingTask({0: WORLD.tasks[0], 1: WORLD.tasks[1]}, SIZES, task_of("prompt_per_cluster").method, 1, 2)
    learner, over = make_learner(few), objective()
    values, episode = begun(learner), learner.draw(0)
    assert sorted(episode.tasks) == [0, 0, 1, 1]
    gradients, _ = learner.gradient(values, episode, over)
    torch.testing.assert_close(gradients["prompt"], (gradients["offset.0"] + gradients["offset.1"]) / 2)


@pytest.mark.parametrize("learner", ["hsml", "prompt_per_cluster"])
def test_draws_are_found_again_from_the_record(learner: str) -> None:
    import pandas as pd

    pretraining_task = task_of(learner, **({"families": 7} if learner == "hsml" else {}))
    config = {**SIZES.model_dump(), "kind": "metapt", "learner": learner, "seed": 1, "init_seed": 2}
    if learner == "hsml":
        config["families"] = 7
    again = recorded_task(config, pretraining_task.tasks)
    assert again.steps == pretraining_task.steps
    drawn = [make_learner(pretraining_task).draw(step).tasks for step in range(3)]
    metrics = pd.DataFrame([{"step": step, "task": task} for step, tasks in enumerate(drawn) for task in tasks])
    assert agrees_with(again, metrics)


def test_settings_that_do_not_belong() -> None:
    def refused(match: str, **settings: Any) -> None:
        with pytest.raises(ValueError, match=match):
            MethodConfig(name="m", kind="metapt", clustering="c", **settings)

    refused("it takes no inner steps", learner="prompt_per_cluster", inner_steps=3)
    refused("`tuning.mixture` goes with a learner of several starts", learner="maml", tuning={"mixture": "best"})
    refused("goes with `mixture: gate`", learner="hsml", tuning={"mixture": "best", "temperature": 0.1})
    topics = {"clustering": "c", "share": 0.5}
    refused("`topics` goes with learners of one prompt", learner="prompt_per_cluster", topics=topics)
    made = MethodConfig(name="m", kind="metapt", clustering="c", learner="hsml", temperature=0.3)
    assert made.mixture == {"mixture": "gate", "temperature": 0.3}
    other = MethodConfig(name="m", kind="metapt", clustering="c", learner="hsml", tuning={"temperature": 0.2})
    assert other.mixture == {"mixture": "gate", "temperature": 0.2}
    best = MethodConfig(name="m", kind="metapt", clustering="c", learner="hsml", tuning={"mixture": "best"})
    assert best.mixture == {"mixture": "best"} and MethodConfig(name="p", kind="ppt").mixture is None
