"""The search for a text: what edits keep, what is ranked and chosen, and that the chosen text is what is scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_inputs import inputs_of

from metapt_explore.baselines.instruction_search import Candidate, edits, instruction_search, templates_of
from metapt_explore.baselines.zero_shot import zero_shot
from metapt_explore.config import LabelsConfig
from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import measure
from metapt_explore.models import scoring

SMALL = {"instructions": ["this is so {labels} and that"], "rounds": 2, "edits": 4, "keep": 3}


@given(st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=2, max_size=9), st.integers(0, 10**6))
def test_edits_leave_out_move_and_put_back(words: list[str], seed: int) -> None:
    generator, candidate = np.random.default_rng(seed), Candidate(3, " ".join(words))
    for _ in range(4):
        made = edits(candidate, 6, generator)
        assert len(made) <= 6 and len({each.instruction for each in made}) == len(made)
        for each in made:
            there = [*each.instruction.split(), *" ".join(each.cut).split()]
            assert sorted(there) == sorted(words) and each.number == 3
            assert each.instruction and each.instruction != candidate.instruction
        if not made:
            break
        candidate = made[0]


def test_one_word_has_no_edits() -> None:
    assert (
        edits(Candidate(0, "good"), 5, np.random.default_rng(0))
        == edits(Candidate(), 5, np.random.default_rng(0))
        == []
    )


@pytest.mark.parametrize("calibration", ["none", "batch_mean"])
def test_the_chosen_text_is_what_is_scored(calibration: str, world: Path) -> None:
    inputs = inputs_of(world, "instruction_search", calibration=calibration, **SMALL)
    outcome = instruction_search(inputs)
    for seed, scored in outcome.seeds.items():
        words = str(scored.chosen["words"]).split(", ")
        labels = {name: {"value": str(i), "word": words[i]} for i, name in enumerate(inputs.task.labels)}
        written = LabelsConfig.model_validate({"template": scored.chosen["template"], "labels": labels})
        task = inputs.task.model_copy(update={"template": written.template, "labels": written.labels})
        reference = zero_shot(replace(inputs, task=task, options={"calibration": calibration})).seeds[seed]
        torch.testing.assert_close(scored.scores, reference.scores, atol=1e-5, rtol=1e-4)
        assert scored.dev_accuracy == reference.dev_accuracy
        assert scored.dev is not None
        torch.testing.assert_close(scored.dev, reference.dev, atol=1e-5, rtol=1e-4)
    # Rows of two data seeds: what was tried on train, three leaders on dev, and test.
    tried = sum(int(scored.chosen["tried"]) for scored in outcome.seeds.values())
    assert outcome.spent.forward_rows == 8 * tried + 2 * (3 * 8 + 12) and outcome.spent.row_passes == 0


def test_train_ranks_and_dev_chooses(world: Path) -> None:
    """Without edits, and with all kept: the one with the lowest dev loss of all; with one kept: of train loss."""
    inputs = inputs_of(world, "instruction_search", instructions=[], rounds=0, keep=100)
    backbone, menu = inputs.backbone(), templates_of(inputs)

    def loss(candidate: LabelsConfig, rows: object) -> float:
        scores = scoring.zero_shot(backbone, rows.texts, backbone.pattern(candidate, "test"))  # type: ignore[attr-defined]
        return measure(scores, rows.labels)["loss"]  # type: ignore[attr-defined]

    readable = []
    for candidate in menu:
        try:
            backbone.pattern(candidate, "test")
        except UserError:
            continue
        readable.append(candidate)
    assert len(readable) > 3
    for options, rows in ({}, inputs.dev[1]), ({"keep": 1}, inputs.train[1]):
        outcome = instruction_search(replace(inputs, options={**inputs.options, **options}))
        best = min(readable, key=lambda candidate: loss(candidate, rows))
        assert outcome.seeds[1].chosen["template"] == best.template
        assert outcome.seeds[1].chosen["tried"] == len(readable)


def test_edits_are_drawn_by_the_seeds(world: Path) -> None:
    inputs = inputs_of(world, "instruction_search", **{**SMALL, "rounds": 4})
    same = [instruction_search(inputs).seeds[1] for _ in range(2)]
    assert same[0].chosen == same[1].chosen and torch.equal(same[0].scores, same[1].scores)


@pytest.mark.parametrize("model", ["t5", "bert"])
def test_other_families_search_too(model: str, world: Path, tmp_path: Path) -> None:
    folder = tiny.make_language_model(tmp_path / model, model)
    inputs = inputs_of(world, "instruction_search", folder, **SMALL)
    outcome = instruction_search(replace(inputs, train={1: inputs.train[1]}, dev={1: inputs.dev[1]}))
    assert outcome.seeds[1].scores.shape == (12, 2) and int(outcome.seeds[1].chosen["tried"]) > 4
