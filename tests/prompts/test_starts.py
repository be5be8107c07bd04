"""Prompt starts: where the vectors come from, and what they depend on."""

from __future__ import annotations

import pytest
import torch

from metapt_explore.prompts.starts import COMMONEST, start_prompt

EMBEDDING = torch.randn(COMMONEST + 500, 16, generator=torch.Generator().manual_seed(0)) * 0.3 + 0.1


def test_a_vocabulary_start_is_made_of_common_tokens() -> None:
    start = start_prompt("vocabulary", 40, EMBEDDING, seed=1, init_seed=0)
    for vector in start:
        (index,) = (vector == EMBEDDING).all(dim=1).nonzero()[0]
        assert index < COMMONEST


def test_a_random_start_has_the_scale_of_the_embeddings() -> None:
    """Off that scale prompt tuning hardly learns, which is the known trap of a standard normal start."""
    start = start_prompt("random", 500, EMBEDDING, seed=1, init_seed=0)
    assert float(start.std()) == pytest.approx(float(EMBEDDING.std()), rel=0.05)
    assert float(start.mean()) == pytest.approx(float(EMBEDDING.mean()), abs=0.02)


@pytest.mark.parametrize("kind", ["vocabulary", "random"])
def test_a_start_depends_on_the_seeds_only(kind: str) -> None:
    start = start_prompt(kind, 8, EMBEDDING, seed=1, init_seed=0)
    assert torch.equal(start, start_prompt(kind, 8, EMBEDDING, seed=1, init_seed=0))
    assert not torch.equal(start, start_prompt(kind, 8, EMBEDDING, seed=1, init_seed=1))
    assert not torch.equal(start, start_prompt(kind, 8, EMBEDDING, seed=2, init_seed=0))
