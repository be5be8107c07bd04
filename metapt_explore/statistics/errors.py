"""Where scores come from, row by row: confusion, calibration, slices, and where one method is right and another wrong.

Works on tables of predictions (`fewshot/predictions.py`): a row for each data seed and scored row of one task, with the
class it has (``label``), the class it was given (``predicted``, −1 for a word of no class) and log-probabilities.

All seeds score the same rows, so that decisions on one row are not independent: intervals here draw *rows* with all
their decisions. They say how far a figure hangs on these test rows; the seed-level intervals of a comparison say how
far it hangs on few-shot examples and initialisation. Neither holds the other's error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from metapt_explore.fewshot.predictions import SCORE

#: What tells a decision apart from the others of a method on a task; the second is missing for unseeded baselines.
SEEDS = ["init_seed", "data_seed"]


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test at one pair of seeds (McNemar 1947).

    Attributes:
        data_seed: The data seed.
        init_seed: The initialisation seed; None where neither method has one.
        first_only: Rows that only the first method has right.
        second_only: Rows that only the second has right.
        p: Two-sided, exact (binomial); 1 where they differ on no row.
    """

    data_seed: int
    init_seed: int | None
    first_only: int
    second_only: int
    p: float


@dataclass(frozen=True)
class RowComparison:
    """Two methods on the rows of one task.

    Attributes:
        rows: A row for each scored row: ``label``, ``first`` and ``second`` (share of the seeds that have it right) and
            ``difference``; the most different first.
        seeds: Pairs of seeds that both have.
        first_only: Share of the decisions that only the first has right.
        second_only: Share that only the second has right.
        difference: Mean accuracy of the first − the second.
        low: Lower end of its interval over rows.
        high: Upper end.
        tests: McNemar's test at each pair of seeds.
    """

    rows: pd.DataFrame
    seeds: int
    first_only: float
    second_only: float
    difference: float
    low: float
    high: float
    tests: list[McNemar]


def confusion(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Decisions by class (rows) and predicted class (columns), over all seeds.

    Args:
        predictions: Of one method on one task.
        classes: Names of the classes, in the order of their indices.

    Returns:
        Counts; a last column ``(other word)`` where a word of no class was best.

    Example:
        >>> table = pd.DataFrame({"label": [0, 0, 1], "predicted": [0, 1, 1]})
        >>> confusion(table, ["bad", "good"]).loc["bad"].tolist()
        [1, 1]
    """
    counts = np.zeros((len(classes), len(classes) + 1), dtype=int)
    np.add.at(counts, (predictions["label"].to_numpy(), predictions["predicted"].to_numpy()), 1)  # −1 is the last
    table = pd.DataFrame(counts, index=list(classes), columns=[*classes, "(other word)"])
    return table if counts[:, -1].any() else table.iloc[:, :-1]


def calibration(predictions: pd.DataFrame, bins: int = 10) -> pd.DataFrame:
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


def calibration_error(predictions: pd.DataFrame, bins: int = 10) -> float:
    """Expected calibration error: mean gap of confidence and accuracy, weighted by decisions; NaN without any."""
    table = calibration(predictions, bins)
    if table.empty:  # every decision was for a word of no class
        return float("nan")
    gaps = (table["confidence"] - table["accuracy"]).abs()
    return float((gaps * table["decisions"]).sum() / table["decisions"].sum())


def _confidence(predictions: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability of the predicted class, and whether it is right; decisions for a word of no class are left out."""
    known = predictions[predictions["predicted"] >= 0]
    columns = sorted((c for c in known if str(c).startswith(SCORE)), key=lambda c: int(str(c).removeprefix(SCORE)))
    logs = known[columns].to_numpy(dtype=np.float64)
    predicted = known["predicted"].to_numpy(dtype=int)
    sure = np.exp(logs[np.arange(len(known)), predicted])
    return np.clip(sure, 0, 1), (known["label"].to_numpy() == predicted).astype(float)


def by_slice(predictions: pd.DataFrame, slice_of_row: pd.Series, *, resamples: int = 2000) -> pd.DataFrame:
    """Accuracy in parts of the scored rows, with an interval over rows.

    Args:
        predictions: Of one method on one task.
        slice_of_row: The slice of each scored row, by the number of the row; rows without one are left out.
        resamples: Bootstrap samples of the rows of each slice.

    Returns:
        Columns ``slice``, ``rows``, ``accuracy``, ``low`` and ``high``, in the order of the slices' names.
    """
    right = _share_right(predictions)
    records = []
    for name, rows in right.groupby(slice_of_row.reindex(right.index)):
        low, high = _row_interval(rows.to_numpy(), resamples)
        records.append({"slice": name, "rows": len(rows), "accuracy": float(rows.mean()), "low": low, "high": high})
    return pd.DataFrame(records, columns=["slice", "rows", "accuracy", "low", "high"])


def _share_right(predictions: pd.DataFrame) -> pd.Series:
    """Share of the seeds that have a scored row right, by its number."""
    right = (predictions["label"] == predictions["predicted"]).astype(float)
    return right.groupby(predictions["row"]).mean()


def compare_rows(first: pd.DataFrame, second: pd.DataFrame, *, resamples: int = 2000) -> RowComparison:
    """Two methods, decision by decision, at the seeds that both have.

    Args:
        first: Predictions of a method on a task.
        second: Those of another on the same task. A baseline without initialisation meets every initialisation seed.
        resamples: Bootstrap samples of rows.

    Raises:
        ValueError: Where they have no decision in common.
    """
    seeds = [seed for seed in SEEDS if _has(first, seed) and _has(second, seed)]
    both = first.merge(second, on=[*seeds, "row"], suffixes=("_first", "_second"))
    if both.empty:
        raise ValueError("the two have no pair of seeds in common")
    kept = [seed for seed in SEEDS if seed in both] or ["data_seed"]
    if "init_seed" not in seeds and "init_seed_first" in both:
        one = "init_seed_first" if _has(first, "init_seed") else "init_seed_second"
        both, kept = both.assign(init_seed=both[one]), SEEDS
    right = {name: (both[f"label_{name}"] == both[f"predicted_{name}"]).to_numpy() for name in ("first", "second")}
    decisions = both[[*kept, "row"]].assign(label=both["label_first"], **right)
    rows = decisions.groupby("row").agg(label=("label", "first"), first=("first", "mean"), second=("second", "mean"))
    rows["difference"] = rows["first"] - rows["second"]
    low, high = _row_interval(rows["difference"].to_numpy(), resamples)
    only_first, only_second = right["first"] & ~right["second"], right["second"] & ~right["first"]
    return RowComparison(
        rows=rows.sort_values("difference", ascending=False, kind="stable"),
        seeds=len(decisions[kept].drop_duplicates()),
        first_only=float(only_first.mean()),
        second_only=float(only_second.mean()),
        difference=float(rows["difference"].mean()),
        low=low,
        high=high,
        tests=_mcnemar(decisions.assign(only_first=only_first, only_second=only_second), kept),
    )


def _has(predictions: pd.DataFrame, seed: str) -> bool:
    return seed in predictions and bool(predictions[seed].notna().all())


def _mcnemar(decisions: pd.DataFrame, seeds: list[str]) -> list[McNemar]:
    tests = []
    for _, at in decisions.groupby(seeds, sort=True):
        first, second = int(at["only_first"].sum()), int(at["only_second"].sum())
        p = float(stats.binomtest(first, first + second).pvalue) if first + second else 1.0
        init_seed = at["init_seed"].iloc[0] if "init_seed" in seeds else None
        known = None if init_seed is None or pd.isna(init_seed) else int(init_seed)
        tests.append(McNemar(int(at["data_seed"].iloc[0]), known, first, second, p))
    return tests


def _row_interval(values: NDArray[np.float64], resamples: int) -> tuple[float, float]:
    """Percentile interval of 95 % of the mean, over draws of rows."""
    drawn = np.random.default_rng(0).integers(0, len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def comparison_sentence(first: str, second: str, found: RowComparison) -> str:
    """Says where one method is right and another wrong, and how far that hangs on the rows.

    Args:
        first: Name of the first method.
        second: Name of the second.
        found: What `compare_rows` found.
    """
    if found.seeds == 1:
        decisions, test = "", f" McNemar's test: p = {found.tests[0].p:.2f}."
    else:
        small = sum(test.p < 0.05 for test in found.tests)
        decisions = f" × {found.seeds} pairs of seeds"
        test = f" McNemar's test: p below 0.05 at {small} of {found.seeds} pairs of seeds."
    points = f"{100 * found.difference:+.1f} points ({100 * found.low:+.1f} to {100 * found.high:+.1f} over rows)"
    return (
        f"On {len(found.rows):,} rows{decisions} {first} alone is right in {100 * found.first_only:.1f} % of the "
        f"decisions and {second} alone in {100 * found.second_only:.1f} %: {points.replace('-', '−')}.{test}"
    )


def length_slices(texts: Sequence[str], parts: int = 4) -> list[str]:
    """Names parts of like size by the number of words, for `by_slice`: ``" 1 to 12 words"`` …, which sort by length.

    Example:
        >>> length_slices(["one", "one two", "one two three", "a b c d"], parts=2)
        ['1 to 2 words', '1 to 2 words', '3 to 4 words', '3 to 4 words']
    """
    counts = np.array([len(text.split()) for text in texts])
    # Edges between counts, so that rows of equal length are in one part.
    edges = np.unique(np.quantile(counts, np.arange(1, parts) / parts, method="lower"))
    place = np.searchsorted(edges, counts, side="left")
    names, width = {}, len(str(counts.max()))
    for part in np.unique(place):
        low, high = counts[place == part].min(), counts[place == part].max()
        names[part] = f"{low:>{width}} to {high:>{width}} words" if low < high else f"{low:>{width}} words"
    return [names[part] for part in place]
