"""Learned inner rates scale the steps of tuning, number by number."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.fewshot.state import TuningState
from metapt_explore.fewshot.tuning_steps import kept_rates
from metapt_explore.pretraining.learner import last_vectors
from metapt_explore.results.budgets import method_budgets
from metapt_explore.stages.fewshot import FewShot
from metapt_explore.stages.prompt import Prompt
from metapt_explore.study.study import Study

METHOD = {"name": "SGD", "kind": "metapt", "clustering": "kmeans", "learner": "meta_sgd", "outer_lr": 0.5}


def test_steps_equal_adam_with_a_rate_for_each_number() -> None:
    generator = torch.Generator().manual_seed(0)
    begin, log_rates = torch.randn(2, 3, generator=generator), torch.randn(2, 3, generator=generator)
    gradients = 0.1 * torch.randn(5, 2, 2, 3, generator=generator)
    scale = kept_rates(log_rates)
    assert abs(float(scale.log().mean())) < 1e-6
    state = TuningState(begin, [0.1, 0.4], scale)
    each = [[torch.nn.Parameter(begin[i, j].clone()) for i in range(2) for j in range(3)] for _ in range(2)]
    optimisers = []
    for of_cell, rate in zip(each, [0.1, 0.4], strict=True):
        rates = [rate * float(s) for s in scale.flatten()]
        optimisers.append(torch.optim.Adam([{"params": [p], "lr": r} for p, r in zip(of_cell, rates, strict=True)]))
    for step in gradients:
        state.apply_to([0, 1], step)
        for of_cell, gradient, optimiser in zip(each, step, optimisers, strict=True):
            for parameter, value in zip(of_cell, gradient.flatten(), strict=True):
                parameter.grad = value.clone()
            optimiser.step()
    expected = torch.stack([torch.stack([p.detach() for p in of_cell]).view(2, 3) for of_cell in each])
    torch.testing.assert_close(state.prompts([0, 1]), expected)


def test_rates_of_each_step_go_on_with_the_last_ones() -> None:
    """Of two inner steps: the first tuning step goes by the first rates, all later ones by the second."""
    generator = torch.Generator().manual_seed(3)
    begin, log_rates = torch.randn(2, 3, generator=generator), torch.randn(2, 2, 1, generator=generator)
    scale = kept_rates(log_rates)
    assert abs(float(scale[-1].log().mean())) < 1e-6
    state, by_hand = TuningState(begin, [0.1], scale), begin.clone()
    plain = TuningState(begin, [0.1])
    for step, gradient in enumerate(torch.randn(4, 1, 2, 3, generator=generator)):
        before = plain.prompts([0])[0]
        for moved in (state, plain):
            moved.apply_to([0], gradient)
            moved.finish_step(0)
        by_hand += scale[min(step, 1)] * (plain.prompts([0])[0] - before)
    torch.testing.assert_close(state.prompts([0])[0], by_hand)


def test_tuning_of_a_part_is_tuning_of_that_part_alone() -> None:
    """The vectors that stay are no part of the norm that is clipped either."""
    generator = torch.Generator().manual_seed(4)
    begin = torch.randn(4, 3, generator=generator)
    part, alone = TuningState(begin, [0.1], last_vectors(begin, 0.5)), TuningState(begin[2:], [0.1])
    for gradient in 5 * torch.randn(5, 1, 4, 3, generator=generator):
        part.apply_to([0], gradient)
        alone.apply_to([0], gradient[:, 2:])
    torch.testing.assert_close(part.prompts([0])[0, 2:], alone.prompts([0])[0])
    assert torch.equal(part.prompts([0])[0, :2], begin[:2])


def test_only_what_is_adapted_is_tuned_where_a_study_says_so(world: Path, tmp_path: Path) -> None:
    method = {"name": "part", "kind": "metapt", "clustering": "kmeans", "adapted": 0.4}
    only = {**method, "name": "only", "tuning": {"adapted_only": True}}
    last = {"data_seeds": [1], "init_seeds": [0], "learning_rates": [0.05], "select_by": "last"}
    tree = tiny.study_tree(world, methods=[method, only], evaluation=last)
    study = Study(parse(StudyConfig, tree, "study.yaml"), tmp_path)
    study.run()
    prompts = [Prompt(study, study.config.method(name), 0) for name in ("part", "only")]
    assert prompts[0].id == prompts[1].id
    begin = prompts[0].artifact.tensors("prompt")["prompt"]
    whole, part = (
        FewShot(study, prompt, study.tasks["mood"]).artifact.tensors("prompts")["data_seed_1"] for prompt in prompts
    )
    # Of three vectors two fifths are one, the last.
    assert (
        torch.equal(part[:2], begin[:2]) and not torch.equal(part[2], begin[2]) and not torch.equal(whole[0], begin[0])
    )
    sizes = [budget["trained_parameters"] for budget in method_budgets(study.workspace, study.config)]
    assert sizes[0] == 3 * sizes[1]


def test_only_what_is_learned_is_kept(world: Path) -> None:
    plain = {"name": "MAML", "kind": "metapt", "clustering": "kmeans", "tuning": {"keep_rates": True}}
    with pytest.raises(UserError, match="goes with a learner that learns inner rates"):
        parse(StudyConfig, tiny.study_tree(world, methods=[plain]), "study.yaml")
    whole = {**plain, "tuning": {"adapted_only": True}}
    with pytest.raises(UserError, match="goes with a method that has `adapted` below 1"):
        parse(StudyConfig, tiny.study_tree(world, methods=[whole]), "study.yaml")


def test_a_stopped_tuning_goes_on_with_them() -> None:
    generator = torch.Generator().manual_seed(1)
    begin, scale = torch.randn(2, 3, generator=generator), kept_rates(torch.randn(2, 3, generator=generator))
    gradients = 5 * torch.randn(6, 1, 2, 3, generator=generator)  # long enough to be clipped
    whole, first, second = (TuningState(begin, [0.1], scale) for _ in range(3))
    for step in gradients:
        whole.apply_to([0], step)
        whole.finish_step(0)
    for step in gradients[:3]:
        first.apply_to([0], step)
        first.finish_step(0)
    second.restore(*first.save())
    for step in gradients[3:]:
        second.apply_to([0], step)
    assert torch.equal(whole.prompts([0]), second.prompts([0]))


def test_a_study_keeps_them_unless_told_otherwise(world: Path, tmp_path: Path) -> None:
    left_out = {**METHOD, "name": "SGD without", "tuning": {"keep_rates": False}}
    tree = tiny.study_tree(world, methods=[METHOD, left_out], evaluation={"data_seeds": [1], "init_seeds": [0]})
    study = Study(parse(StudyConfig, tree, "study.yaml"), tmp_path)
    study.run()
    prompts = [Prompt(study, study.config.method(name), 0) for name in ("SGD", "SGD without")]
    kept, without = (FewShot(study, prompt, study.tasks["mood"]) for prompt in prompts)
    assert kept.parents["prompt"].id == without.parents["prompt"].id, "one pre-training serves both"
    assert kept.id != without.id
    tuned = [stage.artifact.tensors("prompts")["data_seed_1"] for stage in (kept, without)]
    assert not torch.equal(*tuned)
