"""Scores of a task's rows under prompts, read as the study's verbalizer says, and their metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.config import VerbalizerConfig
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.scoring import answer_states, calibrated, score_all
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import PatternVerbalizer
from metapt_explore.verbalizers.prototypes import Prototypes
from metapt_explore.verbalizers.verbalizer import Verbalizer

#: Weight of the label words where they are combined with prototypes (MetaPrompter's lambda).
WORDS_SHARE = {"prototypes": 0.0, "mixed": 0.5}

#: Label words against one another.
BY_WORDS = VerbalizerConfig()


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their class indices."""

    texts: Sequence[TextInput]
    labels: list[int]


@dataclass(frozen=True)
class FewShotData:
    """Rows of a task for one initialisation seed.

    Attributes:
        train: The few-shot examples of each data seed.
        dev: As many held-out examples of each data seed, for choosing.
        scored: Rows that nothing is chosen on.
    """

    train: Mapping[int, LabelledTexts]
    dev: Mapping[int, LabelledTexts]
    scored: LabelledTexts


class Metrics(TypedDict):
    """Metrics of scores.

    Attributes:
        accuracy: Share of the rows whose class is right.
        macro_f1: Mean F1 of the classes.
        loss: Mean cross-entropy.
    """

    accuracy: float
    macro_f1: float
    loss: float


class DevMetrics(TypedDict):
    """`Metrics` of dev rows, as records of several kinds have them."""

    dev_accuracy: float
    dev_macro_f1: float
    dev_loss: float


@dataclass
class RowCount:
    """Rows that were sent forward, each as often as there were prompts to score it under."""

    rows: int = 0


@dataclass(frozen=True)
class ClassReading:
    """Scores the classes of rows under prompts.

    Attributes:
        backbone: The frozen model.
        pattern: Template and label words of the task.
        config: Verbalizer and calibration.
        on_pass: Called after each pass through the model; may raise to stop.
        forward: Counts what was scored so far.
    """

    backbone: Backbone
    pattern: PatternVerbalizer
    config: VerbalizerConfig = BY_WORDS
    on_pass: Callable[[], None] = lambda: None
    forward: RowCount = field(default_factory=RowCount)

    @property
    def by_examples(self) -> bool:
        """Whether scores depend on the few-shot examples, and not on the prompt only."""
        return self.config.read in WORDS_SHARE

    def scores(self, prompts: Tensor, rows: LabelledTexts, examples: Sequence[LabelledTexts]) -> Tensor:
        """Scores rows under every prompt.

        Args:
            prompts: `[groups, prompt_tokens, width]`.
            rows: What is scored; its labels are not looked at.
            examples: For each prompt the few-shot training rows that it was tuned on.

        Returns:
            `[groups, rows, columns]`, fp32, on the CPU.
        """
        prototypes = self._prototypes(prompts, examples) if self.by_examples else None
        scores = self._score(prompts, rows.texts, prototypes)
        if self.config.calibration == "batch_mean":
            return calibrated(scores, scores)
        if self.config.calibration == "content_free":
            return calibrated(scores, self._score(prompts, self._content_free()))
        return scores

    def measure(self, scores: Tensor, rows: LabelledTexts) -> Metrics:
        """See `measure`."""
        return measure(scores, rows.labels, self.pattern.verbalizer)

    def calibrated_accuracy(self, scores: Tensor, rows: LabelledTexts) -> float:
        """Accuracy after calibration by the mean over the scored rows, which leaves no bias towards a class.

        It costs no pass. Batch calibration uses all scored texts, not their labels (`verbalizers/calibration.py`).

        Args:
            scores: What `scores` returned for one prompt, `[rows, columns]`.
            rows: The rows.

        Returns:
            0 to 1; NaN where classes are not read by label words against one another, or are calibrated already.
        """
        config = self.config
        if config.calibration != "none" or self.by_examples or config.decode != "label_words":
            return float("nan")
        return self.measure(calibrated(scores, scores), rows)["accuracy"]

    def _score(self, prompts: Tensor, texts: Sequence[TextInput], prototypes: Prototypes | None = None) -> Tensor:
        bank = self.backbone.bank(texts, self.pattern)
        scores = score_all(
            self.backbone, prompts, bank, pattern=self.pattern, on_pass=self.on_pass, prototypes=prototypes
        )
        self.forward.rows += len(prompts) * len(texts)
        return scores

    def _content_free(self) -> list[TextInput]:
        texts = self.config.content_free
        return [(text, text) for text in texts] if self.pattern.template.slot("text_pair") else list(texts)

    def _prototypes(self, prompts: Tensor, examples: Sequence[LabelledTexts]) -> Prototypes:
        parts, first = [], 0
        for _, members in groupby(examples, key=id):
            same = list(members)
            bank = self.backbone.bank(same[0].texts, self.pattern)
            part = prompts[first : first + len(same)]
            features = answer_states(self.backbone, part, bank, pattern=self.pattern, on_pass=self.on_pass)
            self.forward.rows += len(part) * len(same[0].texts)
            share = WORDS_SHARE[self.config.read]
            parts.append(Prototypes(features, same[0].labels, len(self.pattern.classes), words_share=share))
            first += len(same)
        return Prototypes.of_each(parts)


def finite_or_last(loss: float) -> float:
    """A loss to sort by; NaN, which has no order, comes last.

    Example:
        >>> sorted([0.9, float("nan"), 0.4], key=finite_or_last)
        [0.4, 0.9, nan]
    """
    return math.inf if math.isnan(loss) else loss


def dev_metrics(metrics: Metrics) -> DevMetrics:
    """The same metrics, named as those of dev rows."""
    return DevMetrics(dev_accuracy=metrics["accuracy"], dev_macro_f1=metrics["macro_f1"], dev_loss=metrics["loss"])


def row_losses(scores: Tensor, labels: list[int], verbalizer: Verbalizer | None = None) -> Tensor:
    """Cross-entropy of each row, `[rows]`; arguments as for `measure`."""
    loss = scores if verbalizer is None else verbalizer.for_loss(scores)
    return F.cross_entropy(loss.float(), torch.tensor(labels), reduction="none")


def macro_f1(truth: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Mean F1 of the classes; 0 of a class that is neither there nor predicted.

    The same number as scikit-learn's `f1_score(average="macro", zero_division=0)`, without its checks, which took a
    quarter of a small study.

    Args:
        truth: Class index of each row.
        predicted: What was predicted; an index of no class (-1, or beyond the last) is wrong.
        classes: How many there are.

    Example:
        >>> macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        0.6666666666666666
    """
    hits = np.bincount(truth[truth == predicted], minlength=classes)[:classes]
    named = np.bincount(predicted[predicted >= 0], minlength=classes)[:classes]
    both = np.bincount(truth, minlength=classes)[:classes] + named
    return float((2 * hits / np.maximum(both, 1)).mean())


def measure(scores: Tensor, labels: list[int], verbalizer: Verbalizer | None = None) -> Metrics:
    """Accuracy, macro F1 and mean cross-entropy.

    Args:
        scores: Scores of the classes, `[rows, columns]`.
        labels: Class index of each row.
        verbalizer: Where more than the label words competes: which columns are the choice, and which the loss. A
            row whose best word belongs to no class counts as wrong.

    Example:
        >>> measure(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), [0, 1])["accuracy"]
        1.0
    """
    choice = scores if verbalizer is None else verbalizer.for_choice(scores)
    loss = scores if verbalizer is None else verbalizer.for_loss(scores)
    classes = scores.shape[1] if verbalizer is None else verbalizer.classes
    predicted = choice.argmax(dim=1).numpy()
    truth = np.asarray(labels)
    return Metrics(
        accuracy=float((predicted == truth).mean()),
        macro_f1=macro_f1(truth, predicted, classes),
        loss=float(F.cross_entropy(loss, torch.tensor(labels))),
    )
