"""Texts with two classes, and what a classifier of them costs in tests: a tiny model and a few steps."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import tiny

from metapt_explore.estimators.classifier import PromptClassifier

Rows = tuple[list[str], list[str]]


def make_rows(each: int, seed: int = 3) -> Rows:
    """Sentences, so many of each class in turn."""
    rng, texts, labels = random.Random(seed), [], []
    for _ in range(each):
        for label, words in tiny.FEELINGS.items():
            texts.append(tiny.sentence(rng, tiny.TOPICS[rng.choice(list(tiny.TOPICS))], words))
            labels.append(label)
    return texts, labels


@pytest.fixture(scope="session")
def small(world: Path) -> dict[str, Any]:
    """Settings with which a fit takes a second."""
    return {
        "model": str(world / "lm"),
        "prompt_length": 3,
        "max_text_tokens": 16,
        "learning_rates": [0.01, 0.05],
        "steps": 4,
        "batch_size": 4,
        "read": "words",
        "seed": 7,
        "settings": {"model": {"dtype": "float32", "device": "cpu"}},
    }


@pytest.fixture(scope="session")
def rows() -> Rows:
    """Eight rows of each class."""
    return make_rows(8)


@pytest.fixture(scope="session")
def other_rows() -> Rows:
    """Five rows of each class that nobody was fitted to."""
    return make_rows(5, seed=99)


@pytest.fixture(scope="session")
def few_rows() -> Rows:
    """Two rows of each class: too few to choose anything by."""
    return make_rows(2)


@pytest.fixture(scope="session")
def fitted(small: dict[str, Any], rows: Rows) -> PromptClassifier:
    """A fitted classifier; not to be changed."""
    return PromptClassifier(**small).fit(*rows)
