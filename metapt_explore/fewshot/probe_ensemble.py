"""Label words under a tuned prompt and a linear probe of the frozen model, together.

Label words use what the model already knows of the task, the probe (logistic regression) what the few rows show. Their
log-probabilities are added with weights that dev chooses: a logarithmic opinion pool (Genest and Zidek, Statistical
Science, 1986).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from torch import Tensor

from metapt_explore.fewshot.linear_probe import LinearProbe
from metapt_explore.fewshot.scoring import measure
from metapt_explore.texts.rows import TextInput, duplicate_key

#: Inverse strengths of the probe's penalty.
C_VALUES = (0.001, 0.01, 0.1)
#: Weights of the label words, never 0.
WORDS_WEIGHTS = (1.0, 0.5)
#: Weights of the probe.
PROBE_WEIGHTS = (0.0, 0.5, 1.0, 2.0)
#: Held-out dev rows of each class that are needed to choose weights.
MIN_HELD_OUT = 2


@dataclass(frozen=True)
class EnsembleWeights:
    """How much label words and probe count.

    Attributes:
        words: Weight of the label words' log-probabilities.
        probe: Weight of the probe's.
        c: Inverse strength of the probe's penalty.
        weighed_on: Dev rows that the weights were chosen on; 0 where there were too few and the default holds.
    """

    words: float
    probe: float
    c: float
    weighed_on: int


#: Default when there are too few held-out dev rows.
EQUAL_WEIGHTS = EnsembleWeights(1.0, 1.0, 0.01, 0)


def fit_probes(train: Tensor, labels: Sequence[int], classes: int, *, where: str) -> dict[float, LinearProbe]:
    """Fits a probe at every C.

    Args:
        train: Hidden states of the training rows, `[layers, rows, width]` (`text_hidden_states`).
        labels: Their class indices.
        classes: Number of classes.
        where: What to call the rows in messages.

    Raises:
        UserError: Where the training rows are all of one class.
    """
    return {c: LinearProbe.fit(train, labels, classes, c=c, where=where) for c in C_VALUES}


def weigh(
    words: Tensor, probe: Mapping[float, Tensor], labels: Sequence[int], *, held_out: Sequence[int]
) -> EnsembleWeights:
    """Chooses the weights with the lowest loss on dev rows; among equals the heavier words and the lighter probe.

    Args:
        words: Label words' scores of the dev rows, `[rows, classes]`.
        probe: The probe's log-probabilities of the same rows at each C.
        labels: Their class indices.
        held_out: Indices of the dev rows that are no training rows.

    Returns:
        The weights; `EQUAL_WEIGHTS` where a class has fewer than `MIN_HELD_OUT` such rows.

    Example:
        >>> import torch
        >>> sure = torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
        >>> unsure = {c: torch.zeros(4, 2) for c in C_VALUES}
        >>> weigh(sure, unsure, [0, 0, 1, 1], held_out=range(4)).words
        1.0
    """
    rows, row_labels = list(held_out), [labels[row] for row in held_out]
    if any(row_labels.count(label) < MIN_HELD_OUT for label in range(words.shape[1])):
        return EQUAL_WEIGHTS

    def loss(weights: EnsembleWeights) -> float:
        return measure(pooled(words, probe[weights.c], weights)[rows], row_labels)["loss"]

    candidates = (EnsembleWeights(w, p, c, len(rows)) for w, p, c in product(WORDS_WEIGHTS, PROBE_WEIGHTS, C_VALUES))
    return min(candidates, key=loss)


def pooled(words: Tensor, probe: Tensor, weights: EnsembleWeights) -> Tensor:
    """Weighted sum of both log-probabilities, fp32 `[rows, classes]`.

    Args:
        words: Label words' scores.
        probe: The probe's log-probabilities of the same rows.
        weights: How much each counts.

    Example:
        >>> import torch
        >>> pooled(torch.zeros(1, 2), torch.tensor([[0.0, -2.0]]), EnsembleWeights(1.0, 0.5, 0.01, 4)).argmax().item()
        0
    """
    return weights.words * words.log_softmax(-1) + weights.probe * probe


def held_out(dev: Sequence[TextInput], train: Sequence[TextInput]) -> list[int]:
    """Indices of the dev rows whose text is no training text, after normalising.

    Example:
        >>> held_out(["A fine film.", "a dull film"], ["a fine film", "a third"])
        [1]
    """
    known = set(map(duplicate_key, train))
    return [index for index, text in enumerate(dev) if duplicate_key(text) not in known]
