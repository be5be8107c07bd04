"""An inner loop of Adam is few-shot tuning, step by step; first-order MAML takes the query gradient where it ends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from synthetic_world import SIZES, Pattern, World

from metapt_explore.config import MethodConfig
from metapt_explore.fewshot.state import TuningState
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.inner_loop import adapt, support_and_query
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.registry import make_learner

RATE = 0.05


def made(**settings: Any) -> tuple[World, PretrainingTask, PromptObjective]:
    world = World(signs_differ=True)
    method = MethodConfig(name="m", kind="metapt", clustering="c", inner_steps=4, inner_lr=RATE, **settings)
    task = PretrainingTask(dict(enumerate(world.tasks[:24])), SIZES, method, seed=1, init_seed=2)
    bank = world.backbone.bank(world.texts, None)
    return world, task, PromptObjective(world.backbone, bank, Pattern())


def test_adaptation_by_adam_equals_tuning_of_each_task() -> None:
    world, task, objective = made(inner_optimiser="adam")
    support, query = support_and_query(make_learner(task).draw(0))
    begin = world.initial + 0.1 * torch.randn(world.initial.shape, generator=torch.Generator().manual_seed(0))
    trajectory = adapt(begin, RATE, support, episode_tasks=4, pretraining_task=task, objective=objective)
    state = TuningState(begin, [RATE] * 4)
    for step in range(4):
        torch.testing.assert_close(trajectory.prompts[step], state.prompts(range(4)))
        state.apply_to(range(4), objective.losses_and_gradients(state.prompts(range(4)), support)[1])
    torch.testing.assert_close(trajectory.adapted, state.prompts(range(4)))

    gradient = make_learner(task).gradient({"prompt": begin}, make_learner(task).draw(0), objective)[0]["prompt"]
    _, at_the_end = objective.losses_and_gradients(state.prompts(range(4)), query)
    torch.testing.assert_close(gradient, at_the_end.mean(dim=0))


def test_reptile_with_adam_goes_to_where_five_tuning_steps_end() -> None:
    world, task, objective = made(inner_optimiser="adam", learner="reptile", inner_rows="same")
    episode = make_learner(task).draw(0)
    support, query = support_and_query(episode)
    state = TuningState(world.initial, [RATE] * 4)
    for rows in (*[support] * 4, query):
        state.apply_to(range(4), objective.losses_and_gradients(state.prompts(range(4)), rows)[1])
    gradient = make_learner(task).gradient({"prompt": world.initial}, episode, objective)[0]["prompt"]
    expected = (world.initial - state.prompts(range(4))).mean(dim=0) / (5 * RATE)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("learner", ["maml", "meta_sgd", "reptile", "leap"])
def test_with_adam_inside_meta_learning_still_wins_where_tasks_differ(learner: str) -> None:
    world = World(signs_differ=True)
    settings = {"inner_optimiser": "adam", "inner_lr": 0.1, "inner_steps": 3, "learner": learner}
    method = MethodConfig(name="m", kind="metapt", clustering="c", **settings)
    pooled = world.pretrained(MethodConfig(name="PPT", kind="ppt"))
    assert world.tuned_accuracy(world.pretrained(method)) > world.tuned_accuracy(pooled) + 0.08
