"""The search for a text: what edits keep, what is ranked and chosen, and that the chosen text is what is scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

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
from metapt_explore.stages.baseline import Baseline
from metapt_explore.study.study import Study

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


def test_instructions_are_edited_where_bare_templates_lead(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is ranked the shorter texts lead here, and one is kept; the best instruction behind it is edited."""
    texts: list[str] = []

    def shorter_leads(backbone: Any, candidates: Any, rows: Any, **how: Any) -> list[dict[str, Any]]:
        texts.extend(candidate.template for candidate in candidates)
        return [
            {"candidate": number, "reason": None, "loss": float(len(candidate.template))}
            for number, candidate in enumerate(candidates)
        ]

    monkeypatch.setattr("metapt_explore.baselines.instruction_search.rank_templates", shorter_leads)
    inputs = inputs_of(world, "instruction_search", **{**SMALL, "keep": 1})
    outcome = instruction_search(replace(inputs, train={1: inputs.train[1]}, dev={1: inputs.dev[1]}))
    menu = [candidate.template for candidate in templates_of(inputs)]
    assert outcome.seeds[1].chosen["template"] == min(menu, key=len)
    begun = len(texts[: 2 * len(menu)])
    assert outcome.seeds[1].chosen["tried"] == len(texts) > begun
    there = {"this", "is", "so", "and", "that", "negative,", "positive"}
    for text in texts[begun:]:
        instruction = text.partition("\n")[0].split()
        assert instruction and set(instruction) <= there


def test_candidates_are_in_the_id_and_decoding_is_not(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def configs(**changes: Any) -> list[dict[str, Any]]:
        tree = tiny.study_tree(world, baselines=["instruction_search", "zero_shot"], **changes)
        study = Study(tree, tmp_path)
        return [
            Baseline(study, study.config.baseline(name), study.tasks["mood"], seed).config()
            for name, seed in (("instruction_search", 0), ("zero_shot", None))
        ]

    search, zero = configs()
    whole_search, whole_zero = configs(verbalizer={"decode": "whole_vocabulary"})
    assert search == whole_search and zero != whole_zero and zero["decode"] == "label_words"
    written = [template for template, _ in search["candidates"]]
    assert "{text} It was" in written and len(written) == len(templates_of(inputs_of(world, "instruction_search")))
    menu = tmp_path / "menu.yaml"
    menu.write_text("templates: ['{text} So']\npair_templates: []\n", encoding="utf-8")
    monkeypatch.setattr("metapt_explore.fewshot.template_candidates.MENU", menu)
    other_search, other_zero = configs()
    assert "{text} So" in [template for template, _ in other_search["candidates"]]
    assert other_search != search and other_zero == zero and "candidates" not in zero


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
