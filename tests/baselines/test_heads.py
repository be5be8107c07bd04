"""Heads on fixed vectors, against scikit-learn and by hand; and what they say in a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_inputs import inputs_of

from metapt_explore.baselines.heads import HEADS, Standardised, classify, searched
from metapt_explore.baselines.linear_probe import linear_probe, mean_hidden_states
from metapt_explore.clusters.embed import load_encoder
from metapt_explore.config import BaselineConfig, StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.fewshot.logistic_regression import NEVER, LogisticRegressionHead
from metapt_explore.fewshot.nearest_heads import NearestNeighbours, ShrunkenDiscriminant
from metapt_explore.fewshot.scoring import measure


def rows_of(seed: int, rows: int = 30, width: int = 5) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Features of three overlapping classes of unequal size, their labels, and other features."""
    generator = np.random.default_rng(seed)
    labels = [(0, 1, 2, 0, 1, 0)[row % 6] for row in range(rows)]
    means = generator.normal(size=(3, width))
    features = means[labels] + generator.normal(size=(rows, width)) * np.linspace(0.2, 2.0, width)
    return features, labels, generator.normal(size=(40, width))


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 0.9, 1.0])
def test_discriminant_is_scikit_learns(shrinkage: float) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    features, labels, others = rows_of(0)
    ours = ShrunkenDiscriminant(features, labels, 3, shrinkage=shrinkage, where="rows")
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage or None).fit(features, labels)
    expected = np.log(theirs.predict_proba(others).clip(min=NEVER))
    np.testing.assert_allclose(ours.scores(others).numpy(), expected, atol=2e-4)
    assert ours.parameters == 3 * 5 + 3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_full_shrinkage_is_the_nearest_mean(seed: int, shots: int) -> None:
    generator = np.random.default_rng(seed)
    labels = [0, 1, 2] * shots
    features, others = generator.normal(size=(3 * shots, 4)), generator.normal(size=(20, 4))
    means = np.stack([features[np.array(labels) == label].mean(0) for label in range(3)])
    nearest = ((others[:, None] - means) ** 2).sum(-1).argmin(1)
    head = ShrunkenDiscriminant(features, labels, 3, shrinkage=1.0, where="rows")
    assert head.scores(others).argmax(1).tolist() == nearest.tolist()


def test_a_centroid_is_the_nearest_mean_of_unequal_classes_too() -> None:
    features, labels, others = rows_of(4)
    means = np.stack([features[np.array(labels) == label].mean(0) for label in range(3)])
    nearest = ((others[:, None] - means) ** 2).sum(-1).argmin(1).tolist()
    fit, _ = HEADS["centroid"]
    centroid = fit(features, labels, 3, shrinkage=1.0, where="rows").scores(others)
    with_priors = ShrunkenDiscriminant(features, labels, 3, shrinkage=1.0, where="rows").scores(others)
    assert centroid.argmax(1).tolist() == nearest != with_priors.argmax(1).tolist()
    # Of classes with as many rows the numbers are the same, to the last digit.
    same = [row for label in range(3) for row in np.flatnonzero(np.array(labels) == label)[:5]]
    balanced = features[same], [labels[row] for row in same], 3
    assert torch.equal(
        fit(*balanced, shrinkage=1.0, where="rows").scores(others),
        ShrunkenDiscriminant(*balanced, shrinkage=1.0, where="rows").scores(others),
    )


def test_one_row_a_class_and_classes_without_rows() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    for head in (
        ShrunkenDiscriminant(rows, [0, 2], 3, shrinkage=0.1, where="rows"),
        NearestNeighbours(rows, [0, 2], 3, k=1, where="rows"),
    ):
        scores = head.scores(rows)
        assert scores.argmax(1).tolist() == [0, 2] and scores.isfinite().all()
        assert (scores[:, 1] < scores.max(dim=1).values).all()
    same = ShrunkenDiscriminant(np.ones((2, 2)), [0, 1], 2, shrinkage=0.5, where="rows")
    torch.testing.assert_close(same.scores(np.ones((1, 2))).exp(), torch.tensor([[0.5, 0.5]]))


@pytest.mark.parametrize("k", [1, 3, 7])
def test_neighbours_vote_as_scikit_learns_do(k: int) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    features, labels, others = rows_of(1)
    votes = KNeighborsClassifier(k).fit(features, labels).predict_proba(others) * k
    scores = NearestNeighbours(features, labels, 3, k=k, where="rows").scores(others)
    np.testing.assert_allclose(scores.exp().numpy(), (votes + 1 / 3) / (k + 1), rtol=1e-5)
    np.testing.assert_allclose(scores.exp().sum(1).numpy(), 1.0, rtol=1e-5)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    ours = NearestNeighbours(unit, labels, 3, k=k, where="rows").scores(unit[:9])
    cosine = np.argsort(-(unit[:9] @ unit.T), axis=1, kind="stable")[:, :k]
    counted = np.stack([(np.array(labels)[cosine] == label).sum(1) for label in range(3)], axis=1)
    np.testing.assert_allclose(ours.exp().numpy(), (counted + 1 / 3) / (k + 1), rtol=1e-5)


def test_no_more_neighbours_than_rows() -> None:
    assert searched({"head": "knn", "k_values": [1, 5, 9, 15]}, rows=8) == [8, 5, 1]
    assert NearestNeighbours(np.eye(2), [0, 1], 2, k=15, where="rows").k == 2


@pytest.mark.parametrize("head", ["knn", "centroid", "lda", "logistic"])
def test_dev_chooses_and_test_is_scored_by_the_choice(world: Path, head: str) -> None:
    inputs = inputs_of(world, "linear_probe", head=head)
    outcome = linear_probe(inputs)
    encoder = load_encoder(inputs.study.encoder)
    made = {"knn": (NearestNeighbours, "k"), "logistic": (LogisticRegressionHead, "c")}
    kind, setting = made.get(head, (ShrunkenDiscriminant, "shrinkage"))
    values = {"knn": [8, 5, 3, 1], "centroid": [1.0], "logistic": [0.01, 0.1, 1.0, 10.0, 100.0]}.get(
        head, [1.0, 0.9, 0.7, 0.5, 0.3, 0.1]
    )
    for seed, scored in outcome.seeds.items():
        train, dev = inputs.train[seed], inputs.dev[seed]
        features = [encoder.embed([str(text) for text in rows]) for rows in (train.texts, dev.texts, inputs.test)]
        fitted = {
            value: kind(features[0], train.labels, 2, where="rows", **{setting: value})  # type: ignore[operator]
            for value in values
        }
        losses = {value: measure(each.scores(features[1]), dev.labels)["loss"] for value, each in fitted.items()}
        best = min(losses, key=lambda value: losses[value])  # the first of equals
        assert scored.chosen == ({} if head == "centroid" else {setting: best})
        torch.testing.assert_close(scored.scores, fitted[best].scores(features[2]))
        assert scored.dev is not None and scored.dev.shape == (len(dev.texts), 2)
    assert outcome.spent.forward_rows == 12 + 2 * (8 + 8) and outcome.spent.row_passes == 0


def test_hidden_states_are_standardised_for_every_head(world: Path) -> None:
    inputs = inputs_of(world, "linear_probe", of="model", head="centroid")
    outcome, backbone = linear_probe(inputs), inputs.backbone()
    train = mean_hidden_states(backbone, [str(text) for text in inputs.train[1].texts])
    scaled = (train - train.mean(0)) / train.std(0)
    test = (mean_hidden_states(backbone, [str(text) for text in inputs.test]) - train.mean(0)) / train.std(0)
    expected = ShrunkenDiscriminant(scaled, inputs.train[1].labels, 2, shrinkage=1.0, where="rows").scores(test)
    torch.testing.assert_close(outcome.seeds[1].scores, expected, atol=1e-3, rtol=1e-3)
    assert Standardised(NearestNeighbours, train, inputs.train[1].labels, 2, k=1, where="x").parameters == 0


def test_test_texts_change_no_choice(world: Path) -> None:
    from dataclasses import replace

    inputs = inputs_of(world, "linear_probe", head="knn")
    features = lambda texts: np.array([[len(str(text)), str(text).count("o")] for text in texts], dtype=float)  # noqa: E731
    whole, part = classify(inputs, features), classify(replace(inputs, test=inputs.test[:2]), features)
    for seed in whole.seeds:
        assert whole.seeds[seed].chosen == part.seeds[seed].chosen
        assert torch.equal(whole.seeds[seed].scores[:2], part.seeds[seed].scores)


def test_settings_of_heads() -> None:
    options = lambda **how: BaselineConfig(name="x", kind="linear_probe", **how).options  # noqa: E731
    assert options() == options(head="logistic") == {"of": "encoder", "c_values": [0.01, 0.1, 1.0, 10.0, 100.0]}
    assert options(head="centroid") == {"of": "encoder", "head": "centroid"}
    assert options(head="lda", shrinkages=[0.5]) == {"of": "encoder", "head": "lda", "shrinkages": [0.5]}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"head": "knn", "c_values": [1.0]}, "`c_values` belongs to `head: logistic`, not to `head: knn`"),
        ({"k_values": [2]}, "`k_values` belongs to `head: knn`, not to `head: logistic`"),
        ({"of": "hidden_states", "head": "lda"}, "`of: hidden_states` has no `head`"),
        ({"head": "knn", "k_values": [3, 3]}, "a value stands twice"),
        ({"head": "forest"}, "head"),
    ],
)
def test_settings_that_do_not_fit_are_refused(world: Path, entry: dict[str, Any], message: str) -> None:
    tree = tiny.study_tree(world, baselines=[{"name": "x", "kind": "linear_probe", **entry}])
    with pytest.raises(UserError, match=message):
        parse(StudyConfig, tree, "test")
