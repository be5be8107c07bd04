"""Outer rates that change, and equal updates in place of equal rows."""

from __future__ import annotations

import pytest
import torch
from synthetic_world import SIZES, World

from metapt_explore.config import MethodConfig, PretrainingConfig
from metapt_explore.pretraining.budget import outer_steps, rate_factor
from metapt_explore.pretraining.state import TrainingState

METHODS = [
    MethodConfig(name="PPT", kind="ppt"),
    MethodConfig(name="exact", kind="metapt", clustering="c", order="exact"),
    MethodConfig(name="far", kind="metapt", clustering="c", inner_steps=5),
]


def test_factors_by_hand() -> None:
    constant, cosine = PretrainingConfig(), PretrainingConfig(outer_schedule="cosine")
    assert [rate_factor(constant, step, 3) for step in range(3)] == [1.0, 1.0, 1.0]
    assert [rate_factor(cosine, step, 3) for step in range(3)] == pytest.approx([1.0, 0.75, 0.25])
    rising = PretrainingConfig(warmup=1.0)
    assert [rate_factor(rising, step, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_a_step_is_as_long_as_its_factor_says() -> None:
    moved = {}
    for factor in (0.0, 0.5, 1.0):
        state = TrainingState({"prompt": torch.zeros(1, 2)}, 0.1)
        state.apply({"prompt": torch.tensor([[0.3, -0.2]])}, factor)
        moved[factor] = state.values()["prompt"].tolist()[0]
    assert moved[0.0] == [0.0, 0.0]
    assert moved[1.0] == pytest.approx([-0.1, 0.1])
    assert moved[0.5] == pytest.approx([-0.05, 0.05])


def test_the_loop_goes_by_the_schedule() -> None:
    world = World(signs_differ=True)
    sizes = SIZES.model_copy(update={"steps": 2})
    ends = [
        world.pretrained(METHODS[0], sizes.model_copy(update=update))["prompt"]
        for update in ({}, {"outer_schedule": "cosine"})
    ]
    first = world.pretrained(METHODS[0], sizes.model_copy(update={"steps": 1}))["prompt"]
    torch.testing.assert_close(ends[1] - first, 0.5 * (ends[0] - first))


def test_equal_updates_or_equal_rows() -> None:
    rows, updates = PretrainingConfig(steps=60), PretrainingConfig(steps=60, budget="updates")
    assert [outer_steps(method, rows) for method in METHODS] == [60, 26, 20]
    assert [outer_steps(method, updates) for method in METHODS] == [60, 60, 60]
