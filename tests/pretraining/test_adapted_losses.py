"""Losses before and after adapting, in a world where it is known whether tasks differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from synthetic_world import PRETRAINING_TASKS, SIZES, Pattern, World

from metapt_explore.config import MethodConfig
from metapt_explore.diagnostics import adapted_losses as adapting
from metapt_explore.diagnostics.agreement import agreement_pairs, task_record
from metapt_explore.diagnostics.displacement import Displacement
from metapt_explore.diagnostics.headroom import headroom_over_tasks
from metapt_explore.diagnostics.screen import Screening, task_diversity
from metapt_explore.diagnostics.task_gradients import Draw, balanced_draws, gradients_of
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.seeds import stream


def in_world(*, signs_differ: bool, **settings: Any) -> pd.DataFrame:
    world = World(signs_differ=signs_differ)
    tasks = dict(enumerate(world.tasks[:PRETRAINING_TASKS]))
    method = MethodConfig(name="m", kind="metapt", clustering="c", **settings)
    draws: dict[int, list[Draw]] = {
        number: balanced_draws(classes, 24, draws=3, rng=stream(0, "headroom", number))[0]
        for number, classes in tasks.items()
    }
    objective = PromptObjective(world.backbone, world.backbone.bank(world.texts, None), Pattern())  # type: ignore[arg-type]
    task = PretrainingTask(tasks, SIZES, method, seed=1, init_seed=2)
    start = world.initial
    table = adapting.adapted_losses(objective, start, draws=draws, pretraining_task=task, tuning_rate=0.1)
    return table.assign(name="task")


def test_own_rows_teach_more_where_tasks_differ_and_as_much_where_they_are_one() -> None:
    different, one = (headroom_over_tasks(in_world(signs_differ=differ)) for differ in (True, False))
    assert different["own"].low > 0.05 and abs(one["own"].value) < 0.05
    # Eight rows are too few for a start that knows nothing: that tasks differ shows in `own`, not in the plain gain.
    assert different["tuning"].value < 0


@pytest.mark.parametrize(("signs_differ", "word"), [(True, "differ"), (False, "nearly_one")])
def test_the_word_is_right_where_it_is_known(*, signs_differ: bool, word: str) -> None:
    """The world where meta-learning wins by a wide margin, and the one where pooling does as well."""
    world = World(signs_differ=signs_differ)
    draws = {
        f"task {number}": balanced_draws(classes, 24, draws=3, rng=stream(0, "agreement", number))[0]
        for number, classes in enumerate(world.tasks[:PRETRAINING_TASKS])
    }
    objective = PromptObjective(world.backbone, world.backbone.bank(world.texts, None), Pattern())  # type: ignore[arg-type]
    gradients = gradients_of(objective, world.initial, tasks=draws, kind="auxiliary")
    reliability = {record["name"]: record["reliability"] for record in map(task_record, gradients)}
    cosine = task_diversity(pd.DataFrame(agreement_pairs(gradients)), reliability)
    gains = headroom_over_tasks(in_world(signs_differ=signs_differ))
    found = Screening(PRETRAINING_TASKS, cosine, gains, Displacement(0.04, 0.014, 0.071), adapting.TUNING_STEPS)
    assert found.word == word, (cosine, gains)


def test_steps_and_losses_are_those_of_autograd() -> None:
    """One plain step on the support rows of one task, by hand."""
    world, table = World(signs_differ=True), in_world(signs_differ=True, inner_lr=0.7)
    tasks = world.tasks[:PRETRAINING_TASKS]
    (first, second) = balanced_draws(tasks[5], 24, draws=3, rng=stream(0, "headroom", 5))[0][0]
    support = adapting.support_of(first, SIZES.support_size, 2)
    assert len(support[0]) == 8 and not set(support[0]) & set(second[0])

    def loss(prompt: torch.Tensor, half: tuple[list[int], list[int]]) -> torch.Tensor:
        score = (prompt[0] * prompt[1] * world.vectors[torch.tensor(half[0])]).sum(dim=1)
        scores = torch.stack([torch.zeros_like(score), score], dim=1)
        return torch.nn.functional.cross_entropy(scores, torch.tensor(half[1]))

    start = world.initial.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(start, support), start)
    adapted = (start - 0.7 * gradient).detach()
    tuned = start.detach().clone().requires_grad_(True)
    optimiser = torch.optim.Adam([tuned], lr=0.1)
    for _ in range(adapting.TUNING_STEPS):
        optimiser.zero_grad()
        loss(tuned, support).backward()
        torch.nn.utils.clip_grad_norm_([tuned], 1.0)
        optimiser.step()
    row = table[(table["task"] == 5) & (table["draw"] == 0)].iloc[0]
    assert row["query_before"] == pytest.approx(float(loss(start.detach(), second)), abs=1e-5)
    assert row["query_inner"] == pytest.approx(float(loss(adapted, second)), abs=1e-5)
    assert row["support_after"] == pytest.approx(float(loss(adapted, support)), abs=1e-5)
    assert row["query_tuning"] == pytest.approx(float(loss(tuned.detach(), second)), abs=1e-4)
    assert row["moved_inner"] == pytest.approx(float((adapted - world.initial).square().mean().sqrt()), rel=1e-4)
    assert row["moved_tuned"] == pytest.approx(float((tuned.detach() - world.initial).square().mean().sqrt()), rel=1e-3)
    assert row["moved_tuning"] == pytest.approx(0.1 / np.sqrt(2), rel=0.01)  # gates have no gradient where c is 0
    assert row["moved_outer"] == pytest.approx(0.02 / np.sqrt(2), rel=0.01)


def test_an_inner_loop_that_moves_nothing_has_no_headroom(monkeypatch: pytest.MonkeyPatch) -> None:
    real = adapting.adapt

    def frozen(prompt: Any, rates: Any, batch: Any, **more: Any) -> Any:
        return real(prompt, 0.0, batch, **more)

    monkeypatch.setattr(adapting, "adapt", frozen)
    table = in_world(signs_differ=True)
    for gain in headroom_over_tasks(table).values():
        assert gain.value == 0 and not gain.above_zero
    assert (table[["moved_inner", "moved_tuning"]] == 0).all(axis=None)
    assert table["moved_outer"].gt(0).all()
