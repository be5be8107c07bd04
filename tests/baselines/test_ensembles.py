"""Weights of readers: chosen by hand, against a plain reference, and what must hold for any scores."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from metapt_explore.baselines.ensembles import (
    TEMPERATURES,
    ReaderWeights,
    normalised,
    pooled_readers,
    stacked_weights,
    temperature,
    weigh_readers,
)
from metapt_explore.config import BaselineConfig
from metapt_explore.config.ensembles import EnsembleBaseline

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
#: Right on six of eight rows and sure of itself; right on five, less sure; right on all but hardly so.
SIX, FIVE, EIGHT = (
    np.log([[p, 1 - p] for p in shares])
    for shares in (
        [0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.9],
        [0.6, 0.6, 0.6, 0.6, 0.4, 0.6, 0.6, 0.6],
        [0.51, 0.51, 0.51, 0.51, 0.49, 0.49, 0.49, 0.49],
    )
)


def ensemble(kind: str, readers: int, **settings: Any) -> EnsembleBaseline:
    made = BaselineConfig(name="e", kind=kind, of=[f"r{index}" for index in range(readers)], **settings)
    assert isinstance(made, EnsembleBaseline)
    return made


@pytest.mark.parametrize(
    ("settings", "readers", "taken"),
    [
        ({}, [FIVE, SIX], 1),
        ({}, [SIX, FIVE], 0),
        # Of equals the lower loss counts, then the order.
        ({}, [SIX * 3, SIX], 1),
        ({}, [SIX, SIX], 0),
        # All right, but so unsure that its loss is higher than that of six rows of eight.
        ({"by": "accuracy"}, [SIX, EIGHT], 1),
        ({"by": "loss"}, [SIX, EIGHT], 0),
        # One row of eight behind, with a standard error of 0.23 as some rows turn round.
        ({"by": "one_se"}, [FIVE, SIX], 0),
        # All rows behind.
        ({"by": "one_se"}, [EIGHT[:, ::-1], EIGHT], 1),
    ],
)
def test_choices_by_hand(settings: dict[str, Any], readers: list[np.ndarray], taken: int) -> None:
    weights = weigh_readers(ensemble("choose", len(readers), **settings), readers, LABELS, held_out=range(8))
    assert weights.chosen == taken and weights.dev_rows == 8 and sum(weights.weights) == 1


def test_what_a_reader_predicted_counts_and_not_its_highest_class() -> None:
    """Of two with the same log-probabilities one found a word of no class likelier on some rows."""
    right = np.array(LABELS)
    some_without = np.where(np.arange(8) % 3 == 0, -1, right)
    for by in ("accuracy", "one_se"):
        choose = ensemble("choose", 2, by=by)
        by_words = weigh_readers(choose, [EIGHT, EIGHT], LABELS, held_out=range(8), choices=[some_without, right])
        assert by_words.chosen == 1 and weigh_readers(choose, [EIGHT, EIGHT], LABELS, held_out=range(8)).chosen == 0
    # Of the rows that decide, only: both are right on these.
    few = [0, 1, 4, 5]
    elsewhere_wrong = np.where(np.isin(np.arange(8), few), right, 1 - right)
    for held_out, taken in ((few, 0), (range(8), 1)):
        choices = [elsewhere_wrong, right]
        weights = weigh_readers(ensemble("choose", 2), [SIX, EIGHT], LABELS, held_out=held_out, choices=choices)
        assert weights.chosen == taken and weights.dev_rows == len(held_out)


def test_near_ties_are_as_they_were_before_they_were_kept() -> None:
    kept = np.float16([[-0.69336, -0.69336]] * 8).astype(float)
    weights = weigh_readers(
        ensemble("choose", 2), [kept, kept], LABELS, held_out=range(8), choices=[np.zeros(8, int), np.array(LABELS)]
    )
    assert weights.chosen == 1


def test_rows_that_were_trained_on_are_no_witness() -> None:
    """Without two held-out rows of a class nothing is chosen: the first, or all alike."""
    for held_out in ([], [0, 1, 2, 4], [1, 2, 3]):
        chosen = weigh_readers(ensemble("choose", 2), [FIVE, SIX], LABELS, held_out=held_out)
        assert chosen == ReaderWeights((1.0, 0.0), 0)
        for kind, settings in (("average", {"calibrated": True}), ("stack", {})):
            weights = weigh_readers(ensemble(kind, 2, **settings), [FIVE, SIX], LABELS, held_out=held_out)
            assert weights == ReaderWeights((0.5, 0.5), 0)
    # Four rows decide, whatever the others say.
    few = weigh_readers(ensemble("choose", 2), [FIVE, SIX], LABELS, held_out=[0, 3, 4, 7])
    assert few.dev_rows == 4 and few.chosen == 0


def plain_loss(weights: np.ndarray, dev: list[np.ndarray], labels: list[int], shrinkage: float) -> float:
    """The stacking objective, row by row."""
    logs = [normalised(each) for each in dev]
    mean = sum(logs) / len(logs)
    common = 1 / (len(logs) * temperature(mean, np.array(labels)))
    total = 0.0
    for row, label in enumerate(labels):
        scores = [sum(w * each[row, c] for w, each in zip(weights, logs, strict=True)) for c in range(mean.shape[1])]
        total -= scores[label] - np.log(sum(np.exp(scores)))
    return total + shrinkage * sum((w / common - 1) ** 2 for w in weights)


@pytest.mark.parametrize("shrinkage", [0.1, 1.0, 20.0])
def test_stacked_weights_are_the_best_of_a_grid(shrinkage: float) -> None:
    """Against the objective written out, over a grid of weights around and beside the solution."""
    rng = np.random.default_rng(3)
    labels = [0, 1, 2] * 6
    dev = [normalised(rng.normal(size=(18, 3)) + size * np.eye(3)[labels]) for size in (2.0, 0.7)]
    found = stacked_weights(dev, np.array(labels), shrinkage=shrinkage)
    best = plain_loss(found, dev, labels, shrinkage)
    grid = [np.array([a, b]) for a in np.linspace(0, 3, 16) for b in np.linspace(0, 3, 16)]
    assert best <= min(plain_loss(weights, dev, labels, shrinkage) for weights in grid) + 1e-6
    assert found[0] > found[1] >= 0


def test_the_pull_towards_equal_weights() -> None:
    sure = stacked_weights([SIX, EIGHT], np.array(LABELS), shrinkage=1e5)
    assert sure[0] == pytest.approx(sure[1], rel=1e-3)
    free = [stacked_weights([SIX, SIX[::-1]], np.array(LABELS), shrinkage=pull) for pull in (0.01, 1.0, 100.0)]
    shares = [weights[0] / weights.sum() for weights in free]
    assert shares[0] > shares[1] > shares[2] > 0.5


def test_a_temperature_by_hand() -> None:
    """Right on three rows of four and always as sure: log-odds of three to one, but for the pull towards 1."""
    labels = np.array([0] * 300 + [1] * 100)
    logs = normalised(np.tile([2 * np.log(3), 0.0], (400, 1)))
    steps = TEMPERATURES[1] / TEMPERATURES[0]
    assert temperature(logs, labels) == pytest.approx(2, rel=steps - 1)


@given(arrays(float, (6, 3), elements=st.floats(-8, 8, width=32)))
def test_an_average_of_one_is_itself(scores: np.ndarray) -> None:
    logs = normalised(scores)
    labels = [0, 0, 1, 1, 2, 2]
    for kind in ("choose", "average"):
        weights = weigh_readers(ensemble(kind, 1), [logs], labels, held_out=range(6))
        assert pooled_readers(weights, [logs]) == pytest.approx(logs)
    for kind, settings in (("average", {"calibrated": True}), ("stack", {})):
        weights = weigh_readers(ensemble(kind, 1, **settings), [logs], labels, held_out=range(6))
        if min(weights.weights) > 1e-3:
            said = pooled_readers(weights, [logs])
            top = np.partition(logs, -2)[:, -1] - np.partition(logs, -2)[:, -2] > 1e-3
            assert (said.argmax(axis=1) == logs.argmax(axis=1))[top].all()


@given(arrays(float, (3, 6, 2), elements=st.floats(-8, 8, width=32)), st.permutations([0, 1, 2]))
def test_the_order_of_readers_changes_no_mean(scores: np.ndarray, order: list[int]) -> None:
    logs = [normalised(each) for each in scores]
    labels = [0, 0, 0, 1, 1, 1]
    for kind in ("average", "stack"):
        plain, turned = (
            pooled_readers(weigh_readers(ensemble(kind, 3), readers, labels, held_out=range(6)), readers)
            for readers in (logs, [logs[index] for index in order])
        )
        assert plain == pytest.approx(turned, abs=1e-2)
