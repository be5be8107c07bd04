"""Which learning rate and step of a data seed is chosen by its dev scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypeVar

import torch
from torch import Tensor

from metapt_explore.fewshot.scoring import DevMetrics, finite_or_last

#: A data seed and a learning rate.
Cell = tuple[int, float]


class CurvePoint(DevMetrics):
    """Scores of one data seed and learning rate after one step.

    Attributes:
        data_seed: The data seed.
        learning_rate: The learning rate.
        step: Tuning steps; 0 is the initial prompt.
        dev_behind_se: Standard error of how far the dev loss is above the data seed's lowest, over rows.
        test_accuracy: On the scored rows, or some of them; of chosen learning rates only.
        test_macro_f1: Likewise.
        test_loss: Likewise.
    """

    data_seed: int
    learning_rate: float
    step: int
    dev_behind_se: float
    test_accuracy: NotRequired[float]
    test_macro_f1: NotRequired[float]
    test_loss: NotRequired[float]


Choosable = TypeVar("Choosable", bound=Mapping[str, Any])


def choose(candidates: Sequence[Choosable], select_by: str) -> Choosable:
    """Picks the learning rate and step of one data seed by its dev scores.

    Args:
        candidates: One record for each learning rate and scored step, with `step`, `dev_accuracy` and `dev_loss`.
        select_by: ``loss`` (lowest dev loss), ``accuracy`` (highest dev accuracy, then lowest loss), or ``one_se`` (of
            all whose dev loss is within one standard error of the lowest, over rows, the least tuned: Breiman et al.,
            1984, section 3.4.3); among equals the fewest steps. Or ``last``: the last step, whatever dev says.

    Example:
        >>> a = {"step": 0, "dev_accuracy": 0.7, "dev_loss": 0.9}
        >>> b = {"step": 5, "dev_accuracy": 0.6, "dev_loss": 0.5}
        >>> [choose([a, b], by)["step"] for by in ("loss", "accuracy", "last")]
        [5, 0, 5]
    """
    if select_by == "last":
        return max(candidates, key=lambda point: point["step"])
    if select_by == "one_se":
        lowest = min((point["dev_loss"] for point in candidates), key=finite_or_last)
        within = [point for point in candidates if point["dev_loss"] - lowest <= point["dev_behind_se"]]
        return min(within, key=lambda point: (point["step"], point["learning_rate"]))

    def rank(point: Choosable) -> tuple[float, ...]:
        accuracy = -point["dev_accuracy"] if select_by == "accuracy" else 0.0
        return accuracy, finite_or_last(point["dev_loss"]), point["step"]

    return min(candidates, key=rank)


def soups(
    snapshots: Mapping[int, Tensor], cells: Sequence[Cell], curves: Sequence[CurvePoint], *, size: int
) -> dict[int, Tensor]:
    """For each data seed the mean of the prompts with the lowest dev losses.

    Model soups (Wortsman et al., ICML 2022, arXiv 2203.05482), the uniform kind: all begin from one prompt, and the
    mean is one prompt again. The initial prompt is one of them where its dev loss says so.

    Args:
        snapshots: Prompts of all cells after each scored step, `[cells, prompt_tokens, width]`.
        cells: Data seed and learning rate of each cell.
        curves: Dev losses.
        size: Prompts in a soup, at most.
    """
    best: dict[int, list[tuple[int, int]]] = {}

    def rank(point: CurvePoint) -> tuple[float, ...]:
        return finite_or_last(point["dev_loss"]), point["step"], point["learning_rate"]

    for point in sorted(curves, key=rank):
        if not math.isfinite(point["dev_loss"]):
            continue
        seed, step = point["data_seed"], point["step"]
        # The initial prompt stands in the curve of every rate and counts once.
        key = step, cells.index((seed, point["learning_rate"])) if step else 0
        members = best.setdefault(seed, [])
        if len(members) < size and key not in members:
            members.append(key)
    return {
        seed: torch.stack([snapshots[step][cell] for step, cell in members]).mean(dim=0)
        for seed, members in best.items()
    }
