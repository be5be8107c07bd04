"""Logistic regression on embeddings or hidden states of a frozen model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored, Spent
from metapt_explore.clusters.embed import load_encoder
from metapt_explore.fewshot.linear_probe import LinearProbe
from metapt_explore.fewshot.logistic_regression import FittedClassifier, LogisticRegressionHead, fit_on_dev
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.hidden_states import mean_over_tokens, text_hidden_states, text_passes
from metapt_explore.texts.rows import TextInput, written_out

#: Gives features of texts, as the classifier takes them.
Features = Callable[[Sequence[TextInput]], Any]


def linear_probe(inputs: BaselineInputs) -> BaselineOutcome:
    """Features of the study's sentence encoder or language model, and a classifier whose C dev chooses."""
    if inputs.options["of"] == "hidden_states":
        backbone = inputs.backbone()
        return _probes(inputs, partial(text_hidden_states, backbone, on_pass=inputs.on_pass), LinearProbe.fit)
    # Sentence embeddings have length 1; hidden states have no common scale.
    fit = StandardisedRegression if inputs.options["of"] == "model" else LogisticRegressionHead
    return _probes(inputs, _features(inputs), fit)


class StandardisedRegression:
    """A logistic regression on features that are standardised by the training rows; see `LogisticRegressionHead`."""

    def __init__(self, features: np.ndarray, labels: Sequence[int], classes: int, *, c: float, where: str) -> None:
        from sklearn.preprocessing import StandardScaler

        self._scaler = StandardScaler().fit(features)
        self._head = LogisticRegressionHead(self._scaler.transform(features), labels, classes, c=c, where=where)
        self.parameters = self._head.parameters

    def scores(self, features: np.ndarray, /) -> Tensor:
        """Log-probabilities of the classes, fp32 `[rows, classes]`."""
        return self._head.scores(self._scaler.transform(features))


def _probes(inputs: BaselineInputs, features: Features, fit: Callable[..., FittedClassifier]) -> BaselineOutcome:
    """One classifier for each data seed.

    Args:
        inputs: Rows, and the C to try.
        features: Gives features of texts.
        fit: Fits a classifier to features, labels and a number of classes, given `c` and `where`.
    """
    test = features(inputs.test)
    outcome = BaselineOutcome({}, Spent(forward_rows=len(inputs.test)))
    for done, (seed, train) in enumerate(inputs.train.items()):
        inputs.on_units(0.5 + 0.5 * done / len(inputs.train))
        dev, where = inputs.dev[seed], f"{inputs.where}, data seed {seed}"
        dev_features = features(dev.texts)
        probe, choice = fit_on_dev(
            partial(fit, features(train.texts), train.labels, len(inputs.task.labels), where=where),
            dev_features,
            dev.labels,
            c_values=inputs.options["c_values"],
            select_by=inputs.select_by,
        )
        outcome.seeds[seed] = Scored(
            probe.scores(test), choice["dev_accuracy"], chosen={"c": choice["c"]}, dev=probe.scores(dev_features)
        )
        outcome.spent.forward_rows += len(train.texts) + len(dev.texts)
        outcome.spent.trained_parameters = probe.parameters
    return outcome


def _features(inputs: BaselineInputs) -> Features:
    if inputs.options["of"] == "model":
        backbone = inputs.backbone()
        return lambda texts: mean_hidden_states(backbone, written_out(texts), inputs.on_pass)
    encoder = load_encoder(inputs.study.encoder, inputs.device)
    return lambda texts: encoder.embed(written_out(texts), lambda rows: inputs.on_pass())


@torch.no_grad()
def mean_hidden_states(
    backbone: Backbone, texts: Sequence[str], on_pass: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Mean of a frozen language model's last hidden states over a text without template, fp32 `[rows, width]`.

    Args:
        backbone: The model; of an encoder-decoder the encoder is read.
        texts: The texts, cut to `max_text_tokens`.
        on_pass: Called after each pass; may raise to stop.
    """
    parts: dict[int, np.ndarray] = {}
    for chosen, output, rows in text_passes(backbone, texts, on_pass=on_pass):
        parts |= dict(zip(chosen, mean_over_tokens(output.last_hidden_state, rows).cpu().numpy(), strict=True))
    return np.stack([parts[row] for row in range(len(texts))])
