"""Classifiers on fixed vectors of texts: one for each data seed, its setting chosen on dev."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored, Spent
from metapt_explore.fewshot.linear_probe import LinearProbe
from metapt_explore.fewshot.logistic_regression import FittedClassifier, LogisticRegressionHead
from metapt_explore.fewshot.nearest_heads import NearestNeighbours, ShrunkenDiscriminant
from metapt_explore.fewshot.scoring import DevMetrics, dev_metrics, measure
from metapt_explore.fewshot.selection import choose
from metapt_explore.texts.rows import TextInput

#: Gives features of texts, as the classifier takes them.
Features = Callable[[Sequence[TextInput]], Any]
#: Fits a classifier to features, labels and a number of classes, given the setting that dev chooses and `where`.
Fit = Callable[..., FittedClassifier]

#: Each head by its name in a study: what fits it, and the setting that dev chooses.
HEADS: dict[str, tuple[Fit, str]] = {
    "logistic": (LogisticRegressionHead, "c"),
    "knn": (NearestNeighbours, "k"),
    "centroid": (partial(ShrunkenDiscriminant, priors=False), "shrinkage"),
    "lda": (ShrunkenDiscriminant, "shrinkage"),
}


class _Tried(DevMetrics):
    step: int


def searched(options: dict[str, Any], rows: int) -> list[float]:
    """Values that a head's setting is tried at, the smoothest first: of equals on dev that one is taken.

    Args:
        options: Settings of the baseline.
        rows: Training rows; more neighbours than these cannot vote.

    Example:
        >>> searched({"head": "knn", "k_values": [1, 3, 9, 15]}, rows=8), searched({"head": "centroid"}, rows=8)
        ([8, 3, 1], [1.0])
    """
    head = options.get("head", "logistic")
    if head == "logistic":
        return sorted(options["c_values"])
    if head == "knn":
        return sorted({min(k, rows) for k in options["k_values"]}, reverse=True)
    return [1.0] if head == "centroid" else sorted(options["shrinkages"], reverse=True)


def classify(inputs: BaselineInputs, features: Features, *, standardised: bool = False) -> BaselineOutcome:
    """Fits the head that the options name to each data seed's rows, and scores test.

    Args:
        inputs: Rows, and the settings to try.
        features: Gives features of texts.
        standardised: Whether features are standardised by the training rows first.
    """
    fit, setting = HEADS[inputs.options.get("head", "logistic")]
    return _classify(inputs, features, partial(Standardised, fit) if standardised else fit, setting)


def probe_states(inputs: BaselineInputs, features: Features) -> BaselineOutcome:
    """Likewise with the probe that stands beside label words, on several views of a text (see `LinearProbe`)."""
    return _classify(inputs, features, LinearProbe.fit, "c")


def _classify(inputs: BaselineInputs, features: Features, fit: Fit, setting: str) -> BaselineOutcome:
    test = features(inputs.test)
    outcome = BaselineOutcome({}, Spent(forward_rows=len(inputs.test)))
    for done, (seed, train) in enumerate(inputs.train.items()):
        inputs.on_units(0.5 + 0.5 * done / len(inputs.train))
        dev, where = inputs.dev[seed], f"{inputs.where}, data seed {seed}"
        train_features, dev_features = features(train.texts), features(dev.texts)
        values = searched(inputs.options, len(train.labels))
        fitted = [
            fit(train_features, train.labels, len(inputs.task.labels), **{setting: value}, where=where)
            for value in values
        ]
        said = [classifier.scores(dev_features) for classifier in fitted]
        points: list[_Tried] = [
            {"step": step, **dev_metrics(measure(scores, dev.labels))} for step, scores in enumerate(said)
        ]
        best = choose(points, inputs.select_by)
        classifier, place = fitted[best["step"]], best["step"]
        chosen = {setting: values[place]} if inputs.options.get("head") != "centroid" else {}
        scores = classifier.scores(test)
        outcome.seeds[seed] = Scored(scores, best["dev_accuracy"], chosen=chosen, dev=said[place])
        outcome.spent.forward_rows += len(train.texts) + len(dev.texts)
        outcome.spent.trained_parameters = classifier.parameters
    return outcome


class Standardised:
    """A classifier on features that are standardised by the training rows.

    Args:
        fit: Fits the classifier.
        features: Of the training rows, `[rows, width]`.
        labels: Their class indices.
        classes: Number of classes.
        settings: What the classifier takes beside those.
    """

    def __init__(self, fit: Fit, features: np.ndarray, labels: Sequence[int], classes: int, **settings: Any) -> None:
        from sklearn.preprocessing import StandardScaler

        self._scaler = StandardScaler().fit(features)
        self._classifier = fit(self._scaler.transform(features), labels, classes, **settings)
        self.parameters = self._classifier.parameters

    def scores(self, features: np.ndarray, /) -> Tensor:
        """Log-probabilities of the classes, fp32 `[rows, classes]`."""
        return self._classifier.scores(self._scaler.transform(features))
