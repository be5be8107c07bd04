"""Logistic regression on what a frozen model makes of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored, Spent
from metapt_explore.clusters.embed import load_encoder
from metapt_explore.fewshot.linear_probe import LinearProbe
from metapt_explore.fewshot.logistic_regression import fit_on_dev
from metapt_explore.fewshot.scoring import measure
from metapt_explore.fewshot.selection import choose
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.hidden_states import mean_over_tokens, text_hidden_states, text_passes
from metapt_explore.texts.rows import TextInput, written_out

Features = Callable[[Sequence[TextInput]], np.ndarray]


def linear_probe(inputs: BaselineInputs) -> BaselineOutcome:
    """Features of the study's sentence encoder or language model, and a classifier whose C dev chooses.

    Sentence embeddings are of length one. Hidden states are not of one scale: they are standardised by the training
    rows.
    """
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    if inputs.options["of"] == "hidden_states":
        return _probe_of_views(inputs)
    features = _features(inputs)
    test = features(inputs.test)
    outcome = BaselineOutcome({}, Spent(forward_rows=len(inputs.test)))
    for done, (seed, train) in enumerate(inputs.train.items()):
        inputs.on_units(0.5 + 0.5 * done / len(inputs.train))
        dev = inputs.dev[seed]
        scaler = StandardScaler() if inputs.options["of"] == "model" else FunctionTransformer()
        head, choice = fit_on_dev(
            scaler.fit_transform(features(train.texts)),
            train.labels,
            scaler.transform(features(dev.texts)),
            dev.labels,
            len(inputs.task.labels),
            inputs.options["c_values"],
            inputs.select_by,
            f"{inputs.where}, data seed {seed}",
        )
        scores = head.scores(scaler.transform(test))
        outcome.seeds[seed] = Scored(scores, choice["dev_accuracy"], chosen={"c": choice["c"]})
        outcome.spent.forward_rows += len(train.texts) + len(dev.texts)
        outcome.spent.trained_parameters = head.parameters
    return outcome


def _probe_of_views(inputs: BaselineInputs) -> BaselineOutcome:
    """The probe that `read: probe_ensemble` sets beside label words, alone."""
    backbone = inputs.backbone()
    test = text_hidden_states(backbone, inputs.test, inputs.on_pass)
    outcome = BaselineOutcome({}, Spent(forward_rows=len(inputs.test)))
    for done, (seed, train) in enumerate(inputs.train.items()):
        inputs.on_units(0.5 + 0.5 * done / len(inputs.train))
        dev = inputs.dev[seed]
        of_train, of_dev = (text_hidden_states(backbone, part.texts, inputs.on_pass) for part in (train, dev))
        records, probes = [], {}
        for place, c in enumerate(sorted(inputs.options["c_values"])):
            where = f"{inputs.where}, data seed {seed}"
            probes[c] = LinearProbe.fit(of_train, train.labels, len(inputs.task.labels), c, where)
            measured = measure(probes[c].scores(of_dev), dev.labels)
            records.append({"c": c, "step": place, **{f"dev_{key}": value for key, value in measured.items()}})
        choice = choose(records, inputs.select_by)
        probe = probes[choice["c"]]
        outcome.seeds[seed] = Scored(probe.scores(test), choice["dev_accuracy"], chosen={"c": choice["c"]})
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
