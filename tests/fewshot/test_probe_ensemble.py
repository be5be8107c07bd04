"""Label words and a probe together: by hand, against scikit-learn, and with dev rows that cannot weigh."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from metapt_explore.errors import UserError
from metapt_explore.fewshot.linear_probe import LinearProbe
from metapt_explore.fewshot.probe_ensemble import (
    C_VALUES,
    EQUAL_WEIGHTS,
    EnsembleWeights,
    fit_probes,
    held_out,
    pooled,
    weigh,
)

LABELS = [0, 0, 1, 1]
SURE = torch.tensor([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [0.0, 4.0]])
WRONG = SURE.flip(1)
NOTHING = torch.zeros(4, 2)


def at_every_c(scores: torch.Tensor) -> dict[float, torch.Tensor]:
    return dict.fromkeys(C_VALUES, scores.log_softmax(-1))


def test_pooled_by_hand() -> None:
    words, probe = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[math.log(0.2), math.log(0.8)]])
    found = pooled(words, probe, EnsembleWeights(0.5, 2.0, 0.01, 4))[0].tolist()
    assert found == pytest.approx([0.5 * math.log(0.75) + 2 * math.log(0.2), 0.5 * math.log(0.25) + 2 * math.log(0.8)])


@settings(deadline=None)
@given(st.lists(st.floats(-20, 20), min_size=3, max_size=3), st.floats(-50, 50))
def test_a_constant_added_to_the_words_changes_nothing(scores: list[float], constant: float) -> None:
    words, probe = torch.tensor([scores], dtype=torch.float64), torch.zeros(1, 3, dtype=torch.float64)
    torch.testing.assert_close(pooled(words + constant, probe, EQUAL_WEIGHTS), pooled(words, probe, EQUAL_WEIGHTS))


def test_who_is_right_is_listened_to() -> None:
    words_know = weigh(SURE, at_every_c(WRONG), LABELS, held_out=range(4))
    assert (words_know.words, words_know.probe) == (1.0, 0.0)
    probe_knows = weigh(WRONG, at_every_c(SURE), LABELS, held_out=range(4))
    assert (probe_knows.words, probe_knows.probe) == (0.5, 2.0)
    assert probe_knows.weighed_on == 4


def test_a_probe_that_adds_nothing_is_left_out() -> None:
    assert weigh(SURE, at_every_c(NOTHING), LABELS, held_out=range(4)) == EnsembleWeights(1.0, 0.0, C_VALUES[0], 4)


def test_the_penalty_is_chosen_with_the_weights() -> None:
    probe = at_every_c(WRONG) | {0.1: SURE.log_softmax(-1)}
    assert weigh(NOTHING, probe, LABELS, held_out=range(4)).c == 0.1


@pytest.mark.parametrize("free", [[], [0, 1], [0, 1, 2]])
def test_rows_that_were_trained_on_do_not_weigh(free: list[int]) -> None:
    """A class with fewer than two held-out rows: both opinions count alike, whatever dev would say."""
    assert weigh(WRONG, at_every_c(SURE), LABELS, held_out=free) == EQUAL_WEIGHTS


def test_only_held_out_rows_weigh() -> None:
    """On rows 0 and 2 the probe is wrong, but they were trained on."""
    labels = [0, 0, 0, 1, 1, 1]
    probe = torch.tensor([[0.0, 9.0], [9.0, 0.0], [9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
    found = weigh(torch.zeros(6, 2), at_every_c(probe), labels, held_out=[1, 2, 4, 5])
    assert (found.probe, found.weighed_on) == (2.0, 4)
    assert held_out(["a", ("b", "c"), "d"], ["a", "x", ("b", "c")]) == [2]


def test_probes_are_logistic_regressions_of_standardised_views() -> None:
    numbers = np.random.default_rng(0)
    labels = [0, 1, 2] * 6
    train, other = (torch.from_numpy(numbers.normal(size=(2, n, 5))).float() for n in (18, 4))
    found = fit_probes(train, labels, 3, where="here")
    for c in C_VALUES:
        expected = np.zeros((4, 3))
        for view in range(2):
            scaler = StandardScaler().fit(train[view])
            model = LogisticRegression(C=c, max_iter=2_000).fit(scaler.transform(train[view]), labels)
            expected += model.predict_log_proba(scaler.transform(other[view])) / 2
        np.testing.assert_allclose(found[c].scores(other).numpy(), expected, atol=1e-5)


def test_rows_of_one_class_teach_no_probe() -> None:
    with pytest.raises(UserError, match="task mood, data seed 3: the training rows are all of one class"):
        fit_probes(torch.zeros(1, 2, 3), [1, 1], 2, where="task mood, data seed 3")


@pytest.mark.parametrize("classes", [2, 3])
def test_a_probe_is_the_same_out_of_its_tensors(classes: int) -> None:
    """Also of two classes, where scikit-learn has one row of coefficients, and with a class without a row."""
    numbers = np.random.default_rng(1)
    labels = [0, 1] * 5
    views = torch.from_numpy(numbers.normal(size=(1, 10, 4))).float()
    probe = LinearProbe.fit(views, labels, classes, c=0.1, where="here")
    scaled = StandardScaler().fit_transform(views[0].double())
    expected = LogisticRegression(C=0.1, max_iter=2_000).fit(scaled, labels).predict_log_proba(scaled)
    np.testing.assert_allclose(probe.scores(views)[:, :2].numpy(), expected, atol=1e-4)
    if classes == 3:
        assert probe.scores(views)[:, 2].tolist() == pytest.approx([math.log(1e-6)] * 10)
    again = LinearProbe.from_tensors(probe.tensors("data_seed_1."), "data_seed_1.")
    assert again.scores(views).equal(probe.scores(views))
    assert probe.parameters == (5 if classes == 2 else 15)
