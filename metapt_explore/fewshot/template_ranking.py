"""Templates and label words ranked without a prompt, by forward passes over the training rows.

A template is half of a few-shot result, and trying ten costs less than tuning one prompt. Only the few-shot
training rows are read, so that neither dev nor test has a say in what is tuned and tested later. They are the rows of
all data seeds together, though: a template that was chosen so has seen more labelled rows than one data seed has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
import torch

from metapt_explore.config import LabelsConfig
from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import Split
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.scoring import zero_shot
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: Two candidates are level within so many standard errors of their paired difference.
LEVEL_WITHIN_SE = 2.0
_WHERE = "candidate"

Row = tuple[TextInput, int]
Record = dict[str, Any]


def rank_templates(
    backbone: Backbone,
    candidates: Sequence[LabelsConfig],
    rows: Mapping[int, Split],
    *,
    whole_vocabulary: bool = False,
    on_candidate: Callable[[int], None] = lambda done: None,
) -> list[Record]:
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
        A record of plain values for each candidate, best first, those that the model cannot read last:

        - ``template``, ``words`` (class: list), ``candidate`` (its place in `candidates`), ``rank`` (from 1), and
          ``reason``: why the model cannot read it, else None; the numbers are only there where it can.
        - ``accuracy``, ``macro_f1``, ``loss`` (mean cross-entropy) and ``commonest`` (share of the rows that get the
          commonest prediction: 1 is a collapse), means over data seeds; ``accuracy_std`` (sample standard deviation
          over data seeds, None with one) and ``accuracies`` (by data seed). The same after calibration with
          ``calibrated_`` in front.
        - ``calibrated_loss_se``: standard error of the mean over distinct rows; ``behind`` and ``behind_se``: mean
          paired difference to the best candidate's losses on the same rows, and its standard error; ``level``: whether
          it cannot be told apart from the best (``behind`` within two of its standard errors).

    Example:
        >>> records = rank_templates(backbone, menu_candidates(task, "causal"), rows)  # doctest: +SKIP
        >>> records[0]["template"]  # doctest: +SKIP
        '{text} It was'
    """
    places, distinct = _distinct(rows)
    texts = [text for text, _ in distinct]
    records, losses = [], {}
    for number, candidate in enumerate(candidates):
        record: Record = {
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
            measured, losses[number] = _measured(scores, pattern, places=places, distinct=distinct)
            record |= measured
        records.append(record)
        on_candidate(number + 1)
    return _ranked(records, losses)


def _distinct(rows: Mapping[int, Split]) -> tuple[dict[int, list[int]], list[Row]]:
    """Indices of each data seed's rows among the rows without repeats, and those: seeds may share rows."""
    indices: dict[Row, int] = {}
    places = {
        seed: [indices.setdefault(row, len(indices)) for row in zip(split.texts, split.labels, strict=True)]
        for seed, split in rows.items()
    }
    return places, list(indices)


def _measured(
    scores: torch.Tensor, pattern: PatternVerbalizer, *, places: Mapping[int, Sequence[int]], distinct: Sequence[Row]
) -> tuple[Record, np.ndarray]:
    """Numbers of one candidate, and the calibrated loss of each distinct row (its mean over data seeds)."""
    verbalizer = pattern.verbalizer
    truth = np.array([label for _, label in distinct])
    logs = verbalizer.for_loss(scores).log_softmax(1).numpy()
    predicted = verbalizer.for_choice(scores).argmax(1).numpy()
    of_seeds: dict[str, list[Record]] = {"": [], "calibrated_": []}
    total, times = np.zeros(len(distinct)), np.zeros(len(distinct))
    for chosen in places.values():
        at = np.array(chosen)
        own = torch.from_numpy(logs[at][:, : verbalizer.classes])
        evened = (own - own.mean(0)).log_softmax(1).numpy()
        row_losses = -evened[np.arange(len(at)), truth[at]]
        np.add.at(total, at, row_losses)
        np.add.at(times, at, 1)
        plain_losses = -logs[at, truth[at]]
        of_seeds[""].append(_scores(predicted[at], truth[at], plain_losses, classes=verbalizer.classes))
        of_seeds["calibrated_"].append(_scores(evened.argmax(1), truth[at], row_losses, classes=verbalizer.classes))
    record: Record = {}
    for prefix, parts in of_seeds.items():
        accuracies = [part["accuracy"] for part in parts]
        record |= {prefix + key: float(np.mean([part[key] for part in parts])) for key in parts[0]}
        record[f"{prefix}accuracy_std"] = float(np.std(accuracies, ddof=1)) if len(parts) > 1 else None
        record[f"{prefix}accuracies"] = dict(zip(map(str, places), accuracies, strict=True))
    losses = total / times
    record["calibrated_loss_se"] = _standard_error(losses)
    return record, losses


def _scores(predicted: np.ndarray, truth: np.ndarray, losses: np.ndarray, *, classes: int) -> Record:
    from sklearn.metrics import f1_score

    return {
        "accuracy": float((predicted == truth).mean()),
        "macro_f1": float(f1_score(truth, predicted, average="macro", labels=range(classes), zero_division=0)),
        "loss": float(losses.mean()),
        "commonest": float(np.bincount(predicted).max() / len(predicted)),
    }


def _standard_error(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1) / sqrt(len(values))) if len(values) > 1 else None


def _ranked(records: list[Record], losses: Mapping[int, np.ndarray]) -> list[Record]:
    def order(record: Record) -> tuple[float, ...]:
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
