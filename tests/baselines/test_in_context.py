"""In-context examples, against the unmodified model on the whole text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_inputs import inputs_of, plain_scores, split
from transformers import AutoModelForCausalLM

from metapt_explore.baselines.in_context import demonstration_tokens, draw, in_context, prefix_view, scores_after
from metapt_explore.errors import UserError
from metapt_explore.models.load import load_backbone


def test_examples_in_front_equal_the_model_on_the_whole_text(world: Path) -> None:
    inputs = inputs_of(world, "in_context", max_prompt_tokens=60, separator=" w1 w2 ")
    prefix = prefix_view(inputs.backbone())
    assert inputs.backbone().placement == "suffix" and prefix.placement == "prefix"
    pattern = prefix.pattern(inputs.task, "test")
    shown = demonstration_tokens(prefix, pattern, inputs.train[1], separator=" w1 w2 ")
    rows = draw(shown, inputs.train[1].labels, inputs, seed=1, order=0)
    prompt = [token for row in rows for token in shown[row]]
    scores = scores_after(inputs.test, backbone=prefix, pattern=pattern, prompt=prompt)

    written = "".join(
        f"{inputs.train[1].texts[row]} Sentiment : {('negative', 'positive')[inputs.train[1].labels[row]]} w1 w2 "
        for row in rows
    )
    model = AutoModelForCausalLM.from_pretrained(world / "lm", attn_implementation="eager")
    encode = prefix.layout.encode
    whole = [encode(f"{written}{text} Sentiment :") for text in inputs.test]
    with torch.no_grad():
        expected = plain_scores(model, whole, list(pattern.words))
    torch.testing.assert_close(scores, expected, atol=2e-4, rtol=1e-4)


def test_examples_stand_in_front_whatever_the_placement(world: Path) -> None:
    """Also in a study of deep prompts: examples are tokens, not keys and values."""
    found = []
    for placement in ("prefix", "deep"):
        loaded = load_backbone(inputs_of(world, "in_context").study.model, placement)
        pattern = prefix_view(loaded).pattern(inputs_of(world, "in_context").task, "test")
        prompt = [30, 31, 32, 33]
        found.append(scores_after(["a good w1", "bad"], backbone=prefix_view(loaded), pattern=pattern, prompt=prompt))
    torch.testing.assert_close(found[1], found[0])


def test_as_many_balanced_examples_as_fit(world: Path) -> None:
    inputs = inputs_of(world, "in_context", max_prompt_tokens=60)
    tokens, labels = [[0] * 10] * 9, [0, 1, 0, 1, 0, 1, 0, 1, 1]
    rows = draw(tokens, labels, inputs, seed=1, order=0)
    assert sorted(labels[row] for row in rows) == [0, 0, 0, 1, 1, 1]
    assert rows == draw(tokens, labels, inputs, seed=1, order=0)
    assert rows != draw(tokens, labels, inputs, seed=1, order=1)
    assert rows != draw(tokens, labels, replace(inputs, init_seed=1), seed=1, order=0)
    two = replace(inputs, options={**inputs.options, "shots_per_class": 2})
    assert len(draw(tokens, labels, two, seed=1, order=0)) == 4
    with pytest.raises(UserError, match="longer than max_prompt_tokens"):
        draw([[0] * 31] * 9, labels, inputs, seed=1, order=0)


def test_dev_chooses_the_order_of_examples(world: Path) -> None:
    several = in_context(inputs_of(world, "in_context", max_prompt_tokens=60, orders=3))
    one = in_context(inputs_of(world, "in_context", max_prompt_tokens=60))
    assert several.spent.forward_rows == 2 * (3 * 8 + 12) and one.spent.forward_rows == 2 * (8 + 12)
    assert {scored.chosen["order"] for scored in one.seeds.values()} == {0}
    for seed, scored in several.seeds.items():
        if scored.chosen["order"] == 0:
            torch.testing.assert_close(scored.scores, one.seeds[seed].scores)


def test_examples_that_the_model_cannot_hold_are_refused(world: Path) -> None:
    inputs = inputs_of(world, "in_context", max_prompt_tokens=500)
    inputs = replace(inputs, train={1: split(1, 40)}, dev={1: split(101, 4)})
    with pytest.raises(UserError, match=r"more than .* holds \(128\); set max_prompt_tokens"):
        in_context(inputs)
