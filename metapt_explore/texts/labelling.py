"""Labels for unlabelled texts: which of them are sure enough, and how good they are where the truth is known.

PPT (Gu et al., ACL 2022) labels its pre-training text with a classifier and keeps what is confident, by a cut-off of
each class's own so that none is crowded out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metapt_explore.config import LabellingConfig
from metapt_explore.errors import UserError

FOLDS = 5


@dataclass(frozen=True)
class Found:
    """Labels found for some rows.

    Attributes:
        classes: The likeliest class of each row.
        confidence: Its probability, `[rows]`.
        kept: Whether it is confident enough, `[rows]`.
    """

    classes: list[str]
    confidence: np.ndarray
    kept: np.ndarray


def confident_labels(probabilities: np.ndarray, names: Sequence[str], config: LabellingConfig) -> Found:
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
    kept = confidence >= np.array([config.cutoff_of(name) for name in names])[best]
    if config.most_per_class is not None:
        for index in range(len(names)):
            own = np.flatnonzero(kept & (best == index))
            # The most confident first; of equals the earlier row.
            order = own[np.argsort(-confidence[own], kind="stable")]
            kept[order[config.most_per_class :]] = False
    return Found([names[index] for index in best], confidence, kept)


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


def agreement(found: Found, given: Sequence[str | None]) -> dict[str, Any] | None:
    """How often found labels are those of the data; None where the data have none.

    Args:
        found: Labels found.
        given: The data's own label of each row, where it has one.

    Returns:
        ``rows`` that have both, ``accuracy`` over them, ``kept_rows`` and ``kept_accuracy`` over those kept, and
        ``recall`` of each class.
    """
    pairs = [(own, truth, kept) for own, truth, kept in zip(found.classes, given, found.kept, strict=True) if truth]
    if not pairs:
        return None
    kept_pairs = [own == truth for own, truth, kept in pairs if kept]
    recall = {}
    for name in sorted({truth for _, truth, _ in pairs}):
        of_class = [own == truth for own, truth, _ in pairs if truth == name]
        recall[name] = float(np.mean(of_class))
    return {
        "rows": len(pairs),
        "accuracy": float(np.mean([own == truth for own, truth, _ in pairs])),
        "kept_rows": len(kept_pairs),
        "kept_accuracy": float(np.mean(kept_pairs)) if kept_pairs else None,
        "recall": recall,
    }


def say_labels(summary: dict[str, Any]) -> str:
    """What a labels stage found, in a sentence.

    Example:
        >>> counts = {"bad": {"found": 5, "kept": 3}, "good": {"found": 4, "kept": 4}}
        >>> say_labels({"by": "zero_shot", "asked": 9, "classes": counts, "agreement": None})
        'Labels for 9 texts (zero_shot), kept of found: bad 3 of 5, good 4 of 4.'
    """
    kept = ", ".join(f"{name} {entry['kept']:,} of {entry['found']:,}" for name, entry in summary["classes"].items())
    sentence = f"Labels for {summary['asked']:,} texts ({summary['by']}), kept of found: {kept}."
    if summary.get("held_out_accuracy") is not None:
        sentence += f" The classifier is right on {summary['held_out_accuracy']:.0%} of held-out training rows."
    told = summary["agreement"]
    if told is not None:
        recall = ", ".join(f"{name} {share:.0%}" for name, share in told["recall"].items())
        sentence += f" They are the data's own labels for {told['accuracy']:.0%} of {told['rows']:,} texts ({recall})"
        kept_rows = told["kept_rows"]
        sentence += f", {told['kept_accuracy']:.0%} of the {kept_rows:,} kept." if kept_rows else ", none of them kept."
    return sentence
