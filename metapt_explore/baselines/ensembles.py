"""Readers together: one of them, or a weighted mean of what they say.

All are a weight for each reader's log-probabilities: a logarithmic opinion pool (Genest and Zidek, Statistical Science,
1986). `choose` gives one reader all the weight, `average` all the same, and `stack` fits weights that are not negative
(stacked regressions: Breiman, Machine Learning, 1996), pulled towards equal ones, which a few rows hardly ever beat
(Smith and Wallis, Oxford Bulletin of Economics and Statistics, 2009).

Weights go by dev rows alone. A dev row that is a training row is no witness: where a class has fewer than
`MIN_HELD_OUT` others, nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from metapt_explore.config.ensembles import AverageBaseline, ChooseBaseline, EnsembleBaseline, StackBaseline
from metapt_explore.fewshot.probe_ensemble import MIN_HELD_OUT

#: Log-probabilities of classes, fp64 `[rows, classes]`.
LogProbabilities: TypeAlias = np.ndarray
#: Divisors of log-probabilities that are tried.
TEMPERATURES = tuple(float(value) for value in np.geomspace(0.2, 20, 41))


@dataclass(frozen=True)
class ReaderWeights:
    """How much each reader counts.

    Attributes:
        weights: One for each reader, in their order, none below 0.
        dev_rows: Held-out dev rows that they were chosen on; 0 where nothing is chosen, or there were too few.
    """

    weights: tuple[float, ...]
    dev_rows: int

    @property
    def chosen(self) -> int | None:
        """The one reader that counts; None where several do."""
        counting = [index for index, weight in enumerate(self.weights) if weight > 0]
        return counting[0] if len(counting) == 1 else None


def weigh_readers(
    ensemble: EnsembleBaseline,
    dev: Sequence[LogProbabilities],
    labels: Sequence[int],
    *,
    held_out: Sequence[int],
    choices: Sequence[np.ndarray] | None = None,
) -> ReaderWeights:
    """The weights of one data seed's readers.

    Args:
        ensemble: How they are put together.
        dev: What each reader says of the dev rows.
        labels: Class indices of the dev rows.
        held_out: Indices of those that are no training rows.
        choices: The class that each reader predicts for each row, or -1 for a word of no class; the class with the
            highest log-probability when absent.

    Returns:
        The weights. With too few held-out rows `choose` takes the first reader, the others count alike.

    Example:
        >>> from metapt_explore.config import BaselineConfig
        >>> sure, wrong = np.log([[0.9, 0.1]] * 2 + [[0.1, 0.9]] * 2), np.log([[0.1, 0.9]] * 4)
        >>> best = BaselineConfig(name="best", kind="choose", of=["wrong", "sure"])
        >>> weigh_readers(best, [wrong, sure], [0, 0, 1, 1], held_out=range(4)).weights
        (0.0, 1.0)
        >>> weigh_readers(best, [wrong, sure], [0, 0, 1, 1], held_out=[]).weights
        (1.0, 0.0)
    """
    rows = np.asarray(held_out, dtype=int)
    truth = np.asarray(labels, dtype=int)[rows]
    held = [normalised(logs)[rows] for logs in dev]
    enough = np.bincount(truth, minlength=dev[0].shape[1]).min() >= MIN_HELD_OUT
    if isinstance(ensemble, ChooseBaseline):
        said = [logs.argmax(axis=1) for logs in dev] if choices is None else choices
        first = best_reader(held, [each[rows] for each in said], truth, by=ensemble.by) if enough else 0
        return ReaderWeights(tuple(float(index == first) for index in range(len(dev))), len(rows) if enough else 0)
    equal = np.full(len(dev), 1 / len(dev))
    if not enough:
        return ReaderWeights(tuple(equal.tolist()), 0)
    if isinstance(ensemble, StackBaseline):
        fitted = stacked_weights(held, truth, shrinkage=ensemble.shrinkage)
        return ReaderWeights(tuple(fitted.tolist()), len(rows))
    assert isinstance(ensemble, AverageBaseline)
    if not ensemble.calibrated:
        return ReaderWeights(tuple(equal.tolist()), 0)
    divisors = np.array([temperature(logs, truth) for logs in held])
    return ReaderWeights(tuple((equal / divisors).tolist()), len(rows))


def best_reader(dev: Sequence[LogProbabilities], choices: Sequence[np.ndarray], labels: np.ndarray, *, by: str) -> int:
    """Index of the reader that dev rows speak for; among equals the first.

    Args:
        dev: What each reader says of the rows.
        choices: The class that each predicts. Log-probabilities do not tell: they are kept in fp16, which makes near
            ones equal, and without the words of no class.
        labels: Class indices of the rows.
        by: ``accuracy`` (the highest, then the lowest loss), ``loss`` (the lowest), or ``one_se`` (the first whose
            accuracy is within one standard error of the highest, of the difference row by row).

    Example:
        >>> even, better = np.log([[0.5, 0.5]] * 4), np.log([[0.6, 0.4]] * 2 + [[0.4, 0.6]] * 2)
        >>> best_reader([even, better], [np.zeros(4), np.array([0, 0, 1, 1])], np.array([0, 0, 1, 1]), by="accuracy")
        1
    """
    right = np.array([choice == labels for choice in choices], dtype=float)
    losses = [cross_entropy(logs, labels) for logs in dev]
    order = range(len(dev))
    if by == "loss":
        return min(order, key=lambda index: (losses[index], index))
    best = min(order, key=lambda index: (-right[index].mean(), losses[index], index))
    if by == "accuracy":
        return best
    behind = right[best] - right
    errors = behind.std(axis=1, ddof=1) / np.sqrt(len(labels))
    return next(index for index in order if behind[index].mean() <= errors[index])


def stacked_weights(dev: Sequence[LogProbabilities], labels: np.ndarray, *, shrinkage: float) -> np.ndarray:
    """Weights with the lowest loss on rows, pulled towards equal ones.

    Equal weights first get the common size that fits the rows best, ``c`` each. A weight of ``w`` then costs as much as
    ``shrinkage × (w / c − 1)²`` of the summed cross-entropy, so that few rows move it little and many rows freely.

    Args:
        dev: What each reader says of the rows.
        labels: Their class indices.
        shrinkage: How strong the pull is, in nats.

    Returns:
        fp64 `[readers]`, none below 0.
    """
    from scipy.optimize import minimize

    logs = np.stack(dev)
    common = 1 / (len(logs) * temperature(logs.mean(axis=0), labels))
    picked, rows = logs[:, np.arange(len(labels)), labels].sum(axis=1), np.arange(len(labels))

    def loss(shares: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient in shares of the common weight."""
        said = normalised(np.tensordot(common * shares, logs, axes=1))
        expected = (np.exp(said) * logs).sum(axis=(1, 2))
        away = shares - 1
        summed = -said[rows, labels].sum() + shrinkage * (away**2).sum()
        return float(summed), common * (expected - picked) + 2 * shrinkage * away

    found = minimize(loss, np.ones(len(logs)), jac=True, bounds=[(0, None)] * len(logs), method="L-BFGS-B")
    return np.asarray(common * found.x, dtype=float)


def temperature(logs: LogProbabilities, labels: np.ndarray) -> float:
    """Of `TEMPERATURES` the divisor with the lowest loss on rows; a factor e away from 1 costs one nat.

    Temperature scaling: Guo et al., ICML 2017 (arXiv 1706.04599).
    """
    return min(
        TEMPERATURES, key=lambda divisor: len(labels) * cross_entropy(logs / divisor, labels) + np.log(divisor) ** 2
    )


def pooled_readers(weights: ReaderWeights, said: Sequence[LogProbabilities]) -> LogProbabilities:
    """The weighted sum of what readers say, as log-probabilities.

    Args:
        weights: How much each counts.
        said: What each says of the same rows.

    Example:
        >>> both = ReaderWeights((0.5, 0.5), 0)
        >>> np.exp(pooled_readers(both, [np.log([[0.9, 0.1]]), np.log([[0.5, 0.5]])])).round(2).tolist()
        [[0.75, 0.25]]
    """
    parts = [weight * normalised(logs) for weight, logs in zip(weights.weights, said, strict=True)]
    return normalised(np.sum(parts, axis=0))


def cross_entropy(logs: LogProbabilities, labels: np.ndarray) -> float:
    """Mean cross-entropy of scores."""
    return float(-normalised(logs)[np.arange(len(labels)), labels].mean())


def normalised(scores: np.ndarray) -> LogProbabilities:
    """Scores as log-probabilities that add up to one."""
    shifted = np.asarray(scores, dtype=float) - np.max(scores, axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
