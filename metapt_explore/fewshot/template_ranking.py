"""Templates and label words ranked without a prompt, by forward passes over the training rows.

A template is half of a few-shot result, and trying ten costs less than tuning one prompt. Only the few-shot
training rows are read, so that neither dev nor test has a say in what is tuned and tested later. They are the rows of
all data seeds together, though: a template that was chosen so has seen more labelled rows than one data seed has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any, NotRequired, TypedDict, cast

import numpy as np
import torch

from metapt_explore.config import LabelsConfig
from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import LabelledTexts, macro_f1
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.scoring import zero_shot
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: Two candidates are level within so many standard errors of their paired difference.
LEVEL_WITHIN_SE = 2.0
_WHERE = "candidate"

Row = tuple[TextInput, int]


class RankedTemplate(TypedDict):
    """A template with label words, and its scores; those are missing where the model cannot read it.

    Attributes:
        rank: From 1; None where the model cannot read it.
        candidate: Index among the candidates.
        template: The template.
        words: Label words of each class.
        reason: Why the model cannot read it; None where it can.
        accuracy: Mean over data seeds, as are `macro_f1`, `loss` (mean cross-entropy) and `commonest` (share of rows
            with the commonest prediction: 1 is a collapse). With ``calibrated_`` in front the same after calibration.
        accuracy_std: Sample standard deviation over data seeds; None with one.
        accuracies: By data seed.
        calibrated_loss_se: Standard error of the mean over distinct rows.
        behind: Mean paired difference to the best candidate's losses on the same rows.
        behind_se: Its standard error.
        level: Whether it cannot be told apart from the best: `behind` is within two standard errors.
    """

    rank: int | None
    candidate: int
    template: str
    words: dict[str, list[str]]
    reason: str | None
    accuracy: NotRequired[float]
    macro_f1: NotRequired[float]
    loss: NotRequired[float]
    commonest: NotRequired[float]
    accuracy_std: NotRequired[float | None]
    accuracies: NotRequired[dict[str, float]]
    calibrated_accuracy: NotRequired[float]
    calibrated_macro_f1: NotRequired[float]
    calibrated_loss: NotRequired[float]
    calibrated_commonest: NotRequired[float]
    calibrated_accuracy_std: NotRequired[float | None]
    calibrated_accuracies: NotRequired[dict[str, float]]
    calibrated_loss_se: NotRequired[float | None]
    behind: NotRequired[float]
    behind_se: NotRequired[float | None]
    level: NotRequired[bool]


def rank_templates(
    backbone: Backbone,
    candidates: Sequence[LabelsConfig],
    rows: Mapping[int, LabelledTexts],
    *,
    whole_vocabulary: bool = False,
    on_candidate: Callable[[int], None] = lambda done: None,
) -> list[RankedTemplate]:
    """Ranks templates with label words by the frozen model's scores of the training rows without a prompt.

    The ranking goes by the mean cross-entropy of calibrated scores, ties by their accuracy. Accuracy on a few rows is
    ties and luck: of 32 rows a single one moves it by three points, while the loss says by how much each row is right
    or wrong. Calibrated, because most of the plain loss is a liking for one of the words whatever the text says; a
    tuned prompt takes that off in its first steps, but it cannot put in what a template does not bring out.
    Calibrating takes each class's mean log-probability over the rows of a data seed off its log-probabilities (the
    rows have as many of each class, so no class should be likelier on average). A study's `calibration: batch_mean`
    divides by the mean probability instead, which is nearly the same.

    Args:
        backbone: The frozen model.
        candidates: Templates with label words, all for the same classes in the same order.
        rows: Training rows of each data seed.
        whole_vocabulary: Whether label words compete with every other token; calibrated scores never do.
        on_candidate: Called with the number of finished candidates; may raise to stop.

    Returns:
        One record for each candidate, best first, those that the model cannot read last.

    Example:
        >>> records = rank_templates(backbone, menu_candidates(task, "causal"), rows)  # doctest: +SKIP
        >>> records[0]["template"]  # doctest: +SKIP
        '{text} It was'
    """
    indices, distinct = _distinct(rows)
    texts = [text for text, _ in distinct]
    records: list[RankedTemplate] = []
    losses: dict[int, np.ndarray] = {}
    for number, candidate in enumerate(candidates):
        record: RankedTemplate = {
            "rank": None,
            "candidate": number,
            "template": candidate.template,
            "words": {name: list(label.words) for name, label in candidate.labels.items()},
            "reason": None,
        }
        try:
            pattern = backbone.pattern(candidate, _WHERE, whole_vocabulary=whole_vocabulary)
        except UserError as error:
            record["reason"] = str(error).removeprefix(f"{_WHERE}: ")
        else:
            scores = zero_shot(backbone, texts, pattern).double()
            measured, losses[number] = _measured(scores, pattern, indices=indices, distinct=distinct)
            record = cast(RankedTemplate, {**record, **measured})
        records.append(record)
        on_candidate(number + 1)
    return _ranked(records, losses)


def _distinct(rows: Mapping[int, LabelledTexts]) -> tuple[dict[int, list[int]], list[Row]]:
    """Indices of each data seed's rows among the rows without repeats, and those: seeds may share rows."""
    index: dict[Row, int] = {}
    indices = {
        seed: [index.setdefault(row, len(index)) for row in zip(split.texts, split.labels, strict=True)]
        for seed, split in rows.items()
    }
    return indices, list(index)


def _measured(
    scores: torch.Tensor, pattern: PatternVerbalizer, *, indices: Mapping[int, Sequence[int]], distinct: Sequence[Row]
) -> tuple[dict[str, Any], np.ndarray]:
    """Scores of one candidate, and the calibrated loss of each distinct row (its mean over data seeds)."""
    verbalizer = pattern.verbalizer
    truth = np.array([label for _, label in distinct])
    logs = verbalizer.for_loss(scores).log_softmax(1).numpy()
    predicted = verbalizer.for_choice(scores).argmax(1).numpy()
    by_prefix: dict[str, list[dict[str, float]]] = {"": [], "calibrated_": []}
    loss_sums, counts = np.zeros(len(distinct)), np.zeros(len(distinct))
    for seed_indices in indices.values():
        rows = np.array(seed_indices)
        class_logs = torch.from_numpy(logs[rows][:, : verbalizer.classes])
        calibrated = (class_logs - class_logs.mean(0)).log_softmax(1).numpy()
        losses = -calibrated[np.arange(len(rows)), truth[rows]]
        np.add.at(loss_sums, rows, losses)
        np.add.at(counts, rows, 1)
        plain_losses = -logs[rows, truth[rows]]
        by_prefix[""].append(_scores(predicted[rows], truth[rows], plain_losses, classes=verbalizer.classes))
        by_prefix["calibrated_"].append(_scores(calibrated.argmax(1), truth[rows], losses, classes=verbalizer.classes))
    measured: dict[str, Any] = {}
    for prefix, seeds in by_prefix.items():
        accuracies = [seed["accuracy"] for seed in seeds]
        measured |= {prefix + key: float(np.mean([seed[key] for seed in seeds])) for key in seeds[0]}
        measured[f"{prefix}accuracy_std"] = float(np.std(accuracies, ddof=1)) if len(seeds) > 1 else None
        measured[f"{prefix}accuracies"] = dict(zip(map(str, indices), accuracies, strict=True))
    mean_losses = loss_sums / counts
    measured["calibrated_loss_se"] = _standard_error(mean_losses)
    return measured, mean_losses


def _scores(predicted: np.ndarray, truth: np.ndarray, losses: np.ndarray, *, classes: int) -> dict[str, float]:
    return {
        "accuracy": float((predicted == truth).mean()),
        "macro_f1": macro_f1(truth, predicted, classes),
        "loss": float(losses.mean()),
        "commonest": float(np.bincount(predicted).max() / len(predicted)),
    }


def _standard_error(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1) / sqrt(len(values))) if len(values) > 1 else None


def _ranked(records: list[RankedTemplate], losses: Mapping[int, np.ndarray]) -> list[RankedTemplate]:
    def order(record: RankedTemplate) -> tuple[float, ...]:
        if record["reason"] is not None:
            return (1.0, record["candidate"])
        # Rounded, so that sums in another order are still ties.
        return (0.0, round(record["calibrated_loss"], 9), -record["calibrated_accuracy"], -record["accuracy"])

    ranked = sorted(records, key=order)
    for rank, record in enumerate(ranked, 1):
        if record["reason"] is not None:
            continue
        record["rank"] = rank
        difference = losses[record["candidate"]] - losses[ranked[0]["candidate"]]
        record["behind"], record["behind_se"] = float(difference.mean()), _standard_error(difference)
        error = record["behind_se"]
        record["level"] = error is None or record["behind"] <= LEVEL_WITHIN_SE * error + 1e-12
    return ranked
