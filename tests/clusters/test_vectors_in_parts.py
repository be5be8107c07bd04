"""Vectors of many texts, computed part by part: the same numbers as of all texts at once."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from metapt_explore.clusters.word_vectors import word_vectors
from metapt_explore.clusters.word_vectors_many import fit_word_space
from metapt_explore.storage import shards


def texts_of(rows: int, words: int, seed: int = 0) -> list[str]:
    """Texts of some topics, each with its own frequent words."""
    random = np.random.default_rng(seed)
    known = [f"{a}{b}{c}ing" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprst"][:words]
    topics = random.dirichlet(np.full(words, 0.2), size=6)
    return [" ".join(random.choice(known, size=9, p=topics[row % 6])) for row in range(rows)]


class Stored:
    """Keeps a checkpoint in memory."""

    def __init__(self) -> None:
        self.content: tuple[dict[str, Any], dict[str, Any]] | None = None

    def save_checkpoint(self, tensors: dict[str, Any], meta: dict[str, Any]) -> None:
        self.content = dict(tensors), dict(meta)

    def load_checkpoint(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        return self.content


@pytest.mark.parametrize(("words", "width"), [(300, 8), (40, 50)])
def test_words_in_parts_are_words_at_once(monkeypatch: pytest.MonkeyPatch, words: int, width: int) -> None:
    monkeypatch.setattr(shards, "SHARD", 64)
    texts = [*texts_of(700, words), "", "the and of"]
    whole = word_vectors(texts, width, seed=5)
    space = fit_word_space(texts, width, seed=5)
    parts = np.concatenate([space.vectors(texts[first : first + 100]) for first in range(0, len(texts), 100)])
    assert parts.shape == whole.shape and not parts[-2:].any()
    # Directions may be mirrored where all of them are kept; angles may not.
    np.testing.assert_allclose(parts @ parts.T, whole @ whole.T, atol=1e-5)
    if words > width:
        np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_the_most_frequent_words_are_kept_and_common_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("topics", "word_vectors_many"):
        monkeypatch.setattr(f"metapt_explore.clusters.{module}.MAX_WORDS", 60)
    texts = [f"common {text}" for text in texts_of(500, 300)]
    space = fit_word_space(texts, 8, seed=1)
    assert "common" not in space.words and len(space.words) == 59
    np.testing.assert_allclose(space.vectors(texts), word_vectors(texts, 8, seed=1), atol=1e-5)


def test_what_was_found_is_not_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, store = texts_of(300, 200), Stored()
    first = fit_word_space(texts, 8, record=store)
    monkeypatch.setattr("metapt_explore.clusters.word_vectors_many._words_of", None)
    again = fit_word_space(texts, 8, record=store)
    np.testing.assert_array_equal(again.vectors(texts), first.vectors(texts))


def test_texts_without_words_have_empty_vectors() -> None:
    assert fit_word_space(["1", "2", "3"]).vectors(["1", "2"]).tolist() == [[0.0], [0.0]]


def test_memory_does_not_grow_with_the_width_times_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 256)
    peaks = []
    for rows in (2_000, 8_000):
        texts = texts_of(rows, 300)
        tracemalloc.start()
        space = fit_word_space(texts, 50)
        for chosen in shards.shard_rows(rows):
            space.vectors(texts[chosen.start : chosen.stop])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # All at once, each text takes several rows of 60 numbers in float64.
    assert (peaks[1] - peaks[0]) / 6_000 < 60 * 8
