"""Labels for unlabelled texts: which are confident enough, and how good they are where the truth is known.

PPT (Gu et al., ACL 2022) labels its pre-training text with a classifier and keeps what is confident, by a cut-off of
each class's own so that none is crowded out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import numpy as np

from metapt_explore.config import LabellingConfig
from metapt_explore.errors import UserError
from metapt_explore.texts.normalise import normalise
from metapt_explore.texts.rows import TextInput, duplicate_key, written_out

FOLDS = 5
#: Why a classifier's training row is left out, so that test labels do not reach pre-training through it.
LEAKED = "equals or nearly equals a dev or test row"


@dataclass(frozen=True)
class FoundLabels:
    """Labels found for some rows.

    Attributes:
        classes: The likeliest class of each row.
        confidence: Its probability, `[rows]`.
        kept: Whether it is confident enough, `[rows]`.
    """

    classes: list[str]
    confidence: np.ndarray
    kept: np.ndarray


def confident_labels(probabilities: np.ndarray, names: Sequence[str], config: LabellingConfig) -> FoundLabels:
    """Takes each row's likeliest class, where it is confident enough.

    Args:
        probabilities: `[rows, classes]`; rows add up to one.
        names: Class names.
        config: Cut-offs, and most rows of a class.

    Example:
        >>> config = LabellingConfig(by="zero_shot", cutoff={"good": 0.9})
        >>> found = confident_labels(np.array([[0.6, 0.4], [0.2, 0.8]]), ["bad", "good"], config)
        >>> found.classes, found.kept.tolist()
        (['bad', 'good'], [True, False])
    """
    best = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(best)), best]
    confident = confidence >= np.array([config.cutoff_of(name) for name in names])[best]
    if config.most_per_class is not None:
        for index in range(len(names)):
            rows_of_class = np.flatnonzero(confident & (best == index))
            # The most confident first; of equals the earlier row.
            order = rows_of_class[np.argsort(-confidence[rows_of_class], kind="stable")]
            confident[order[config.most_per_class :]] = False
    return FoundLabels([names[index] for index in best], confidence, confident)


@dataclass(frozen=True)
class ClassifierRows:
    """Rows that a classifier may learn from.

    Attributes:
        kept: Indices of the rows.
        dropped: Number of rows left out, by reason.
    """

    kept: list[int]
    dropped: dict[str, int]


def classifier_rows(
    texts: Sequence[TextInput], classes: Sequence[str | None], held_out: Sequence[str], *, near_duplicate: float
) -> ClassifierRows:
    """Chooses the labelled texts that a classifier may learn from.

    Labels of dev and test rows must not reach pre-training by way of the classifier, so what equals or nearly equals
    one is left out, as it is from the pre-training texts. A text that stands twice counts once: else its copy would be
    held out for measuring what was learned from it.

    Args:
        texts: Labelled texts, or pairs of texts.
        classes: Class name of each; None where its label is no class.
        held_out: Dev and test texts of the study.
        near_duplicate: See `decontaminate`.

    Example:
        >>> texts = ["A fine film!", "a fine film", "dull", " "]
        >>> classifier_rows(texts, ["+", "+", "-", "-"], ["Dull."], near_duplicate=0.7)
        ClassifierRows(kept=[0], dropped={'duplicate': 1, 'equals or nearly equals a dev or test row': 1, 'blank': 1})
    """
    from metapt_explore.texts.decontaminate import decontaminate_rows

    leaked = decontaminate_rows(texts, list(held_out), near_duplicate).reason != ""
    kept: list[int] = []
    dropped: dict[str, int] = {}
    seen: set[str] = set()
    for row, (text, written, name) in enumerate(zip(texts, written_out(texts), classes, strict=True)):
        key = duplicate_key(text)
        # The first that holds is the reason.
        checks = (("label is no class", name is None), ("blank", not normalise(written)), (LEAKED, leaked[row]))
        reason = next((why for why, holds in (*checks, ("duplicate", key in seen)) if holds), None)
        if reason is None:
            kept.append(row)
            seen.add(key)
        else:
            dropped[reason] = dropped.get(reason, 0) + 1
    return ClassifierRows(kept, dropped)


def classify(
    train: np.ndarray, labels: Sequence[str], rows: np.ndarray, names: Sequence[str], where: str
) -> tuple[np.ndarray, float]:
    """Probabilities of classes by logistic regression on sentence embeddings.

    Args:
        train: Embeddings of labelled texts, `[labelled, width]`.
        labels: Class name of each.
        rows: Embeddings to classify, `[rows, width]`.
        names: Class names, in the order of the result's columns.
        where: What to call the labelled texts in messages.

    Returns:
        `[rows, classes]`, and the accuracy on labelled texts that were held out (cross-validation).

    Raises:
        UserError: Where a class has too few labelled texts.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    counts = {name: list(labels).count(name) for name in names}
    scarce = min(counts, key=lambda name: counts[name])
    if counts[scarce] < 2:
        raise UserError(
            f"labelling.train: {where} has {counts[scarce]} rows of the class '{scarce}'; give at least 2 of each of "
            f"{', '.join(names)}."
        )
    model = LogisticRegression(max_iter=1_000, C=10.0)
    folds = StratifiedKFold(min(FOLDS, counts[scarce]), shuffle=True, random_state=0)
    accuracy = float(cross_val_score(model, train, list(labels), cv=folds).mean())
    model.fit(train, list(labels))
    probabilities = model.predict_proba(rows)
    return probabilities[:, [list(model.classes_).index(name) for name in names]], accuracy


class LabelAgreement(TypedDict):
    """How often found labels are those of the data.

    Attributes:
        rows: Rows that have both labels.
        accuracy: Over them.
        kept_rows: Those whose found label is kept.
        kept_accuracy: Over those; None where none is kept.
        recall: By class.
    """

    rows: int
    accuracy: float
    kept_rows: int
    kept_accuracy: float | None
    recall: dict[str, float]


class ClassCounts(TypedDict):
    """Rows of a class: labels that were found, and those of them that are kept."""

    found: int
    kept: int


class TrainCounts(TypedDict, total=False):
    """Rows that a classifier learned from, those dropped by reason, and texts among the asked that it learned from."""

    rows: int
    dropped: dict[str, int]
    also_asked: int


class OtherLabels(TypedDict):
    """Texts whose own label is no class, and how many of them got a class."""

    rows: int
    kept: int


class LabelSummary(TypedDict, total=False):
    """What a labels stage records."""

    by: str
    asked: int
    compared: bool
    classes: dict[str, ClassCounts]
    agreement: LabelAgreement | None
    held_out_accuracy: float
    train: TrainCounts
    other_labels: OtherLabels


def agreement(labels: FoundLabels, given: Sequence[str | None]) -> LabelAgreement | None:
    """How often found labels are those of the data; None where the data have none.

    Args:
        labels: Labels found.
        given: The data's own label of each row, where it has one.

    """
    pairs = [
        (label, truth, kept) for label, truth, kept in zip(labels.classes, given, labels.kept, strict=True) if truth
    ]
    if not pairs:
        return None
    kept_pairs = [label == truth for label, truth, kept in pairs if kept]
    recall = {}
    for name in sorted({truth for _, truth, _ in pairs}):
        of_class = [label == truth for label, truth, _ in pairs if truth == name]
        recall[name] = float(np.mean(of_class))
    return {
        "rows": len(pairs),
        "accuracy": float(np.mean([label == truth for label, truth, _ in pairs])),
        "kept_rows": len(kept_pairs),
        "kept_accuracy": float(np.mean(kept_pairs)) if kept_pairs else None,
        "recall": recall,
    }


def format_labels(recorded: Mapping[str, Any]) -> str:
    """What a labels stage found, in a sentence.

    Example:
        >>> counts = {"bad": {"found": 5, "kept": 3}, "good": {"found": 4, "kept": 4}}
        >>> format_labels({"by": "zero_shot", "asked": 9, "classes": counts, "agreement": None})
        'Labels for 9 texts (zero_shot), kept of found: bad 3 of 5, good 4 of 4.'
        >>> format_labels({"by": "zero_shot", "asked": 0, "classes": {}, "agreement": None})[:51]
        'No text was without a label, so none was given one;'
    """
    summary = cast(LabelSummary, recorded)
    counts = ", ".join(f"{name} {entry['kept']:,} of {entry['found']:,}" for name, entry in summary["classes"].items())
    sentence = f"Labels for {summary['asked']:,} texts ({summary['by']}), kept of found: {counts}."
    if not summary["asked"]:
        sentence = (
            "No text was without a label, so none was given one; `labelling: {which: all}` sets the labels of the data "
            "aside."
        )
    if summary.get("held_out_accuracy") is not None:
        sentence += f" The classifier is right on {100 * summary['held_out_accuracy']:.0f} % of held-out training rows."
    if leaked := summary.get("train", {}).get("dropped", {}).get(LEAKED):
        sentence += f" {leaked:,} training rows that equal or nearly equal a dev or test row were left out."
    agreement = summary["agreement"]
    if agreement is not None:
        recall = ", ".join(f"{name} {100 * share:.0f} %" for name, share in agreement["recall"].items())
        sentence += (
            f" They are the data's own labels for {100 * agreement['accuracy']:.0f} % of "
            f"{agreement['rows']:,} texts ({recall})"
        )
        kept_rows, right = agreement["kept_rows"], agreement["kept_accuracy"]
        sentence += ", none of them kept." if right is None else f", {100 * right:.0f} % of the {kept_rows:,} kept."
    trained_on = summary.get("train", {}).get("also_asked")
    if trained_on and summary.get("compared"):
        sentence += f" {trained_on:,} texts that the classifier was trained on are not compared."
    other = summary.get("other_labels", {"rows": 0})
    if other["rows"]:
        sentence += f" {other['rows']:,} texts have a label that is no class" + (
            f"; {other['kept']:,} of them got one." if summary.get("compared") else " and keep none."
        )
    return sentence
