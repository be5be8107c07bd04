"""Rows that are read in different ways in one batch: what each way gives alone, added up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from plain_reference import LABELS, texts_of

from metapt_explore.config import LabelsConfig
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.gradients import Batch, PromptObjective

#: Another template in front of the text, another tail, and three classes.
OTHER = LabelsConfig(template="w1 {text} Type :", labels={"a": "camera", "b": "book", "c": "music"})
LENGTHS = (3, 9, 5, 14, 7, 2, 11, 6)


@pytest.mark.parametrize(
    ("family", "placement"),
    [
        ("llama", "suffix"),
        ("llama", "prefix"),
        ("gpt2", "suffix"),
        ("t5", "encoder"),
        ("t5", "decoder"),
        ("bert", "prefix"),
    ],
)
def test_a_mixed_batch_is_the_sum_of_its_parts(
    family: str, placement: str, backbone_of: Callable[..., CausalBackbone]
) -> None:
    backbone = backbone_of(family, placement)
    texts = texts_of(LENGTHS)
    patterns = [backbone.pattern(labels, "test") for labels in (LABELS, OTHER)]
    banks = [backbone.bank(texts, pattern) for pattern in patterns]
    prompts = torch.stack([backbone.embedding[20:23], backbone.embedding[30:33]]).float().clone()
    rows, groups, read = [0, 1, 2, 3, 4, 5, 6, 7, 1], [0, 0, 1, 1, 0, 0, 1, 1, 1], [0, 1, 1, 0, 1, 0, 0, 1, 0]
    labels = [0, 2, 1, 1, 0, 1, 0, 2, 1]
    objective = PromptObjective(backbone, banks[0], patterns[0], others=[(banks[1], patterns[1])])
    losses, gradients = objective.losses_and_gradients(prompts, Batch(rows, groups, labels, read))
    assert objective.row_passes == len(rows)

    expected, expected_gradients = torch.zeros(2), torch.zeros_like(prompts)
    for place, pattern in enumerate(patterns):
        for row, group, label, own in zip(rows, groups, labels, read, strict=True):
            if own == place:
                alone = PromptObjective(backbone, banks[place], pattern)
                loss, gradient = alone.losses_and_gradients(prompts[group : group + 1], Batch([row], [0], [label]))
                expected[group] += loss[0] / groups.count(group)
                expected_gradients[group] += gradient[0] / groups.count(group)
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(
        objective.losses(prompts, Batch(rows, groups, labels, read)), losses, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(("family", "placement"), [("llama", "suffix"), ("llama", "prefix"), ("bert", "prefix")])
def test_tasks_that_differ_in_their_words_share_passes(
    family: str, placement: str, backbone_of: Callable[..., CausalBackbone]
) -> None:
    backbone = backbone_of(family, placement)
    words = [{"a": "camera", "b": "book", "c": "music"}, {"a": "book", "b": "camera"}]
    listed = [LABELS, *(LabelsConfig(template=LABELS.template, labels=each) for each in words)]
    patterns = [backbone.pattern(labels, "test") for labels in listed]
    bank = backbone.bank(texts_of(LENGTHS), patterns[0])
    prompts = torch.stack([backbone.embedding[20 + 3 * task : 23 + 3 * task] for task in range(3)]).float().clone()
    objective = PromptObjective(backbone, bank, patterns[0], others=[(bank, pattern) for pattern in patterns[1:]])
    rows, groups, labels = [0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 0, 1, 1, 1, 2, 2], [0, 1, 0, 2, 1, 0, 1, 0]
    batch = Batch(rows, groups, labels, groups)
    losses, gradients = objective.losses_and_gradients(prompts, batch)
    assert objective.passes == 1
    vectors = torch.linspace(-1, 1, prompts.numel()).reshape(prompts.shape)
    products = objective.hessian_products(prompts, batch, vectors)
    for task, pattern in enumerate(patterns):
        own = [place for place, group in enumerate(groups) if group == task]
        alone = PromptObjective(backbone, bank, pattern)
        part = Batch([rows[place] for place in own], [0] * len(own), [labels[place] for place in own])
        loss, gradient = alone.losses_and_gradients(prompts[task : task + 1], part)
        torch.testing.assert_close(losses[task], loss[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(gradients[task], gradient[0], rtol=1e-3, atol=1e-5)
        product = alone.hessian_products(prompts[task : task + 1], part, vectors[task : task + 1])
        torch.testing.assert_close(products[task], product[0], rtol=1e-3, atol=1e-5)
