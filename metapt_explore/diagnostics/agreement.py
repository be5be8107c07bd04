"""Do auxiliary tasks pull the prompt where downstream tasks want it? Cosines of gradients, with their noise.

The gradient of a task's loss with respect to the prompt says where a first step on that task would go. Two tasks whose
gradients point the same way help one another at that prompt; where the cosine is negative, a step on one makes the
other worse (gradient conflict; Yu et al., NeurIPS 2020, arXiv 2001.06782; Du et al., 2018, arXiv 1812.02224, use the
same cosine to tell whether an auxiliary task helps).

A gradient of a few rows is mostly noise, and noise drags every cosine towards 0. How much of it is signal is its
reliability: the cosine of the gradients of two halves of the rows, stepped up to the whole (Spearman, 1910; Brown,
1910). Dividing by the reliabilities' geometric mean gives the cosine that gradients without noise would have
(Spearman's correction for attenuation, 1904).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

#: A gradient that is less reliable than this says nothing about its direction, and correcting would divide by noise.
LEAST_RELIABILITY = 0.1

Kind = Literal["auxiliary", "downstream"]


@dataclass(frozen=True, eq=False)
class TaskGradients:
    """Gradients of one task's loss at one prompt, from several draws of its rows.

    Attributes:
        name: What the task is called.
        kind: Auxiliary or downstream.
        whole: Gradient of each draw, ``[draws, size]``.
        halves: Gradients of the two halves of each draw, ``[draws, 2, size]``; None where a draw cannot be halved.
        losses: Mean loss of each draw, ``[draws]``.
        halves_apart: Whether no two draws share a row, so that halves of different draws can be compared, too; else
            only those of the same draw are.
    """

    name: str
    kind: Kind
    whole: np.ndarray
    halves: np.ndarray | None
    losses: np.ndarray
    halves_apart: bool = False

    @cached_property
    def _half_cosines(self) -> np.ndarray:
        """Cosines of first with second halves, ``[draws, draws]``; NaN where they cannot be compared."""
        draws = len(self.whole)
        if self.halves is None:
            return np.full((draws, draws), np.nan)
        cosines = _directions(self.halves[:, 0]) @ _directions(self.halves[:, 1]).T
        return cosines if self.halves_apart else np.where(np.eye(draws, dtype=bool), cosines, np.nan)

    def half_cosine(self, draws: np.ndarray | None = None) -> float:
        """Mean cosine of two halves over some draws, or all; NaN where a draw cannot be halved."""
        chosen = np.arange(len(self.whole)) if draws is None else draws
        cosines = self._half_cosines[np.ix_(chosen, chosen)]
        known = cosines[~np.isnan(cosines)]
        return float(known.mean()) if len(known) else float("nan")


def reliability(half_cosine: float) -> float:
    """Share of signal in the gradient of a whole draw, from the cosine of its halves (Spearman–Brown).

    Example:
        >>> round(reliability(0.5), 4)
        0.6667
    """
    return float("nan") if not half_cosine > -1 else 2 * half_cosine / (1 + half_cosine)


def corrected_cosine(cosine: float, first: float, second: float) -> float:
    """The cosine that gradients without noise would have; NaN where one is nothing but noise.

    Args:
        cosine: Observed between gradients of single draws.
        first: Reliability of the one.
        second: Reliability of the other.

    Returns:
        May lie a little outside of -1..1: it is an estimate, and is not cut.

    Example:
        >>> round(corrected_cosine(0.3, 0.9, 0.4), 3)
        0.5
    """
    if not (first >= LEAST_RELIABILITY and second >= LEAST_RELIABILITY):
        return float("nan")
    return float(cosine / np.sqrt(first * second))


def agreement_pairs(tasks: Sequence[TaskGradients]) -> list[dict[str, Any]]:
    """Cosines of every pair of tasks.

    Every draw of one task is compared with every draw of the other. Standard errors are jackknifed over the draws of
    both (Arvesen, 1969), so that they hold the uncertainty of the reliabilities, too.

    Args:
        tasks: Two or more.

    Returns:
        Records with ``first``, ``second``, ``first_kind``, ``second_kind``, ``cosine`` and ``standard_error``,
        ``corrected`` and ``corrected_standard_error``, ``draws`` (of either). NaN where unknown: a standard error where
        a task has a single draw; a corrected cosine where a task is nothing but noise, or its reliability depends on
        one draw.
    """
    return [_pair(first, second) for place, first in enumerate(tasks) for second in tasks[place + 1 :]]


def _pair(first: TaskGradients, second: TaskGradients) -> dict[str, Any]:
    cosines = _directions(first.whole) @ _directions(second.whole).T

    def observed(rows: np.ndarray, columns: np.ndarray) -> float:
        return float(cosines[np.ix_(rows, columns)].mean())

    def corrected(rows: np.ndarray, columns: np.ndarray) -> float:
        known = reliability(first.half_cosine(rows)), reliability(second.half_cosine(columns))
        return corrected_cosine(observed(rows, columns), *known)

    value, error = _jackknife(observed, *cosines.shape)
    truth, truth_error = _jackknife(corrected, *cosines.shape)
    if min(cosines.shape) > 1 and np.isnan(truth_error):
        truth = float("nan")  # A reliability that depends on one draw is not used.
    return {
        "first": first.name,
        "second": second.name,
        "first_kind": first.kind,
        "second_kind": second.kind,
        "cosine": value,
        "standard_error": error,
        "corrected": truth,
        "corrected_standard_error": truth_error,
        "draws": list(cosines.shape),
    }


def task_record(task: TaskGradients) -> dict[str, Any]:
    """What is known of one task: its loss, the length of its gradient, and how much of that is signal.

    Returns:
        ``name``, ``kind``, ``draws``, ``loss`` (mean, nats), ``norm`` (mean), ``half_cosine`` and its
        ``standard_error`` over draws, and ``reliability`` of a whole draw; None where a number is not known.
    """
    draws = len(task.whole)
    cosine = task.half_cosine()
    without = [task.half_cosine(np.delete(np.arange(draws), draw)) for draw in range(draws)] if draws > 1 else []
    numbers = {
        "loss": task.losses.mean(),
        "norm": np.linalg.norm(task.whole, axis=1).mean(),
        "half_cosine": cosine,
        "standard_error": np.sqrt(_variance(np.array(without))) if without else np.nan,
        "reliability": reliability(cosine),
    }
    plain = {key: float(value) if np.isfinite(value) else None for key, value in numbers.items()}
    return {"name": task.name, "kind": task.kind, "draws": draws, **plain}


def _directions(gradients: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(gradients, axis=-1, keepdims=True)
    directions: np.ndarray = np.divide(gradients, lengths, out=np.zeros_like(gradients), where=lengths > 0)
    return directions


def _jackknife(statistic: Callable[[np.ndarray, np.ndarray], float], rows: int, columns: int) -> tuple[float, float]:
    """A statistic of two samples, and its standard error: each draw of either is left out once."""
    every_row, every_column = np.arange(rows), np.arange(columns)
    value = statistic(every_row, every_column)
    if min(rows, columns) < 2:
        return value, float("nan")
    without_row = np.array([statistic(np.delete(every_row, draw), every_column) for draw in range(rows)])
    without_column = np.array([statistic(every_row, np.delete(every_column, draw)) for draw in range(columns)])
    return value, float(np.sqrt(_variance(without_row) + _variance(without_column)))


def _variance(without: np.ndarray) -> float:
    """Jackknife variance of a statistic from its values with one draw left out."""
    return float((len(without) - 1) / len(without) * ((without - without.mean()) ** 2).sum())
