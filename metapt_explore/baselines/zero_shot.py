"""The frozen model with the task's template and label words, without a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored, Spent
from metapt_explore.fewshot.scoring import measure
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.scoring import calibrated, score_all
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import PatternVerbalizer

Score = Callable[[Sequence[TextInput]], Tensor]


def zero_shot(inputs: BaselineInputs) -> BaselineOutcome:
    """Scores dev and test; the training rows are not used."""
    backbone = inputs.backbone()
    pattern = backbone.pattern(inputs.task, inputs.where, whole_vocabulary=inputs.whole_vocabulary)
    score = partial(unprompted, backbone, pattern, on_pass=inputs.on_pass)
    how, blanks = inputs.options["calibration"], content_free(inputs)
    test = calibrated_scores(score, inputs.test, how=how, blanks=blanks)
    inputs.on_units(0.5)
    scored = {}
    for seed, dev in inputs.dev.items():
        on_dev = calibrated_scores(score, dev.texts, how=how, blanks=blanks)
        accuracy = measure(on_dev, dev.labels, pattern.verbalizer)["accuracy"]
        scored[seed] = Scored(test, accuracy, dev=on_dev)
    rows = len(inputs.test) + sum(len(dev.texts) for dev in inputs.dev.values())
    rows += len(blanks) * (1 + len(inputs.dev)) if how == "content_free" else 0
    return BaselineOutcome(scored, Spent(forward_rows=rows), verbalizer=pattern.verbalizer)


@torch.no_grad()
def unprompted(
    backbone: Backbone,
    pattern: PatternVerbalizer,
    texts: Sequence[TextInput],
    *,
    on_pass: Callable[[], None] = lambda: None,
) -> Tensor:
    """Scores of texts without a prompt, `[rows, columns]`; unlike `Backbone.zero_shot` their states are kept."""
    none = torch.zeros(1, 0, backbone.width, device=backbone.device)
    return score_all(backbone, none, backbone.bank(texts, pattern), pattern=pattern, on_pass=on_pass)[0]


def calibrated_scores(score: Score, texts: Sequence[TextInput], *, how: str, blanks: Sequence[TextInput]) -> Tensor:
    """Scores texts, calibrated by the mean over them or by content-free texts.

    Args:
        score: Gives the logits of texts.
        texts: What is scored.
        how: ``none``, ``batch_mean`` or ``content_free``, see `calibrated`.
        blanks: Content-free texts.
    """
    scores = score(texts)
    if how == "batch_mean":
        return calibrated(scores, scores)
    return calibrated(scores, score(blanks)) if how == "content_free" else scores


def content_free(inputs: BaselineInputs) -> list[TextInput]:
    """The study's content-free texts, as pairs where the task has pairs."""
    texts = inputs.study.verbalizer.content_free
    return [(text, text) for text in texts] if inputs.task.pairs else list(texts)
