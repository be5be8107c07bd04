"""Is a method as often right as it says it is sure? Reliability diagram and calibration error, with the error's bias.

The expected calibration error is a mean of absolute gaps, so that it is above 0 even where nothing is wrong: each bin
has its noise. How high a method with perfect probabilities would come out on the same decisions says how much of an
error is that bias (Kumar, Liang and Ma, NeurIPS 2019; Roelofs et al., AISTATS 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metapt_explore.fewshot.predictions import SCORE

#: The score of the chosen class by itself, where a record keeps no others.
OF_PREDICTED = "of_predicted"
BINS = 10


@dataclass(frozen=True)
class Calibration:
    """How well a method's probabilities fit, as one who uses a single tuned prompt meets them.

    Attributes:
        error: Expected calibration error, mean over pairs of seeds; NaN without decisions for a class.
        floor: What a method with these probabilities would show in the mean if every one of them were right.
        confidence: Mean probability of the class chosen.
        accuracy: Share of these decisions that are right.
        seeds: Pairs of seeds.
    """

    error: float
    floor: float
    confidence: float
    accuracy: float
    seeds: int


def calibration(predictions: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """How often a method is right, by how sure it says it is (reliability diagram; Guo et al., ICML 2017).

    Args:
        predictions: Of one method on one task.
        bins: Bins of equal width over the probability of the predicted class.

    Returns:
        Columns ``confidence`` (mean), ``accuracy`` and ``decisions``; a row for each bin that is not empty.
    """
    sure, right = _confidence(predictions)
    place = np.minimum((sure * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": place, "confidence": sure, "accuracy": right, "decisions": 1})
    return (
        table.groupby("bin").agg({"confidence": "mean", "accuracy": "mean", "decisions": "sum"}).reset_index(drop=True)
    )


def calibration_error(predictions: pd.DataFrame, bins: int = BINS) -> float:
    """Expected calibration error: mean gap of confidence and accuracy, weighted by decisions; NaN without any."""
    table = calibration(predictions, bins)
    if table.empty:  # every decision was for a word of no class
        return float("nan")
    gaps = (table["confidence"] - table["accuracy"]).abs()
    return float((gaps * table["decisions"]).sum() / table["decisions"].sum())


def _confidence(predictions: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability of the predicted class, and whether it is right.

    Decisions for a word of no class, or without a score (of a prompt that diverged), are left out.
    """
    known = predictions[predictions["predicted"] >= 0]
    columns = sorted((c for c in known if str(c).startswith(SCORE)), key=lambda c: int(str(c).removeprefix(SCORE)))
    predicted = known["predicted"].to_numpy(dtype=int)
    sure = np.full(len(known), np.nan)
    if columns:
        sure = known[columns].to_numpy(dtype=np.float64)[np.arange(len(known)), predicted]
    if OF_PREDICTED in known:
        sure = np.where(np.isnan(sure), known[OF_PREDICTED].to_numpy(dtype=np.float64), sure)
    scored = ~np.isnan(sure)
    right = (known["label"].to_numpy() == predicted).astype(float)
    return np.clip(np.exp(sure[scored]), 0, 1), right[scored]


def calibration_of(predictions: pd.DataFrame, *, bins: int = BINS, draws: int = 100) -> Calibration:
    """Calibration error of a method seed by seed, beside what perfect probabilities would show.

    Args:
        predictions: Of one method on one task.
        bins: As for `calibration`.
        draws: How often right and wrong are drawn from the probabilities for the floor.

    Example:
        >>> sure = pd.DataFrame({"data_seed": 1, "label": 0, "predicted": [0, 0], "of_predicted": [0.0, 0.0]})
        >>> calibration_of(sure)
        Calibration(error=0.0, floor=0.0, confidence=1.0, accuracy=1.0, seeds=1)
    """
    rng = np.random.default_rng(0)
    seeds = [name for name in ("init_seed", "data_seed") if name in predictions]
    found = []
    for _, at in predictions.groupby(seeds, dropna=False):
        sure, right = _confidence(at)
        if len(sure):
            drawn = rng.random((draws, len(sure))) < sure
            floor = float(_errors(sure, drawn.astype(float), bins).mean())
            found.append((float(_errors(sure, right[None], bins)[0]), floor, sure.mean(), right.mean()))
    if not found:
        return Calibration(float("nan"), float("nan"), float("nan"), float("nan"), 0)
    error, floor, confidence, accuracy = (float(value) for value in np.mean(found, axis=0))
    return Calibration(error, floor, confidence, accuracy, len(found))


def _errors(sure: NDArray[np.float64], right: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Calibration errors of outcomes `[outcomes, decisions]` under the same probabilities."""
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = np.zeros((len(right), bins))
    for bin_number in np.unique(place):
        inside = place == bin_number
        gaps[:, bin_number] = np.abs((sure[inside] - right[:, inside]).sum(axis=1))
    errors: NDArray[np.float64] = gaps.sum(axis=1) / len(sure)
    return errors
