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


def by_slice(predictions: pd.DataFrame, slice_of_row: pd.Series) -> pd.DataFrame:
    """Accuracy in parts of the scored rows, with an interval over rows that stays honest where they are few.

    The interval is Wilson's (1927), which does not shrink to nothing where all rows of a slice are right. A row counts
    by the share of seeds that have it right; such shares vary less than right and wrong do, by a factor that is taken
    from all rows of the task.

    Args:
        predictions: Of one method on one task.
        slice_of_row: The slice of each scored row, by the number of the row; rows without one are left out.

    Returns:
        Columns ``slice``, ``rows``, ``accuracy``, ``low`` and ``high`` (95 %), in the order of the slices' names, or of
        their categories.
    """
    right = _share_right(predictions)
    records = []
    for name, rows in right.groupby(slice_of_row.reindex(right.index), observed=True):
        accuracy = float(rows.mean())
        low, high = wilson(accuracy, len(rows) / _narrower(right))
        records.append({"slice": name, "rows": len(rows), "accuracy": accuracy, "low": low, "high": high})
    return pd.DataFrame(records, columns=["slice", "rows", "accuracy", "low", "high"])


def _narrower(right: pd.Series) -> float:
    """Variance of the rows' shares against that of rows that are right or wrong at every seed, between 0.1 and 1."""
    mean = float(right.mean())
    most = mean * (1 - mean)
    return float(np.clip(right.var(ddof=1) / most, 0.1, 1)) if most and len(right) > 1 else 1.0


def macro_f1(predictions: pd.DataFrame, classes: int) -> float:
    """Mean F1 of the classes, of each pair of seeds by itself, and the mean over them.

    Args:
        predictions: Of one method on one task.
        classes: How many the task has; a class that is neither there nor called counts as 0.

    Example:
        >>> macro_f1(pd.DataFrame({"data_seed": 1, "label": [0, 0, 1], "predicted": [0, 1, 1]}), 2)
        0.6666666666666666
    """
    seeds = [seed for seed in SEEDS if _has(predictions, seed)]
    scores = []
    for _, at in predictions.groupby(seeds, sort=False) if seeds else [((), predictions)]:
        truth, called = at["label"].to_numpy(int), at["predicted"].to_numpy(int)
        hits = np.bincount(truth[truth == called], minlength=classes)
        both = np.bincount(truth, minlength=classes) + np.bincount(called[called >= 0], minlength=classes)
        scores.append((2 * hits / np.maximum(both, 1)).mean())
    return float(np.mean(scores))


def wilson(share: float, rows: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927).

    Args:
        share: Of the rows.
        rows: How many.
        confidence: Of the interval.

    Example:
        >>> [round(end, 3) for end in wilson(1.0, 4)]
        [0.51, 1.0]
    """
    z = float(stats.norm.ppf((1 + confidence) / 2))
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    reach = z / (1 + z**2 / rows) * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))


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
    decisions = paired_decisions(first, second)
    kept = [seed for seed in SEEDS if seed in decisions]
    right = {name: decisions[name].to_numpy() for name in ("first", "second")}
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


def mcnemar_tests(first: pd.DataFrame, second: pd.DataFrame) -> list[McNemar]:
    """McNemar's exact test of two methods at each pair of seeds that both have; empty where they have none.

    Args:
        first: Predictions of a method on a task.
        second: Those of another on the same task.

    Example:
        >>> decisions = {"data_seed": 1, "row": range(6), "label": 0}
        >>> first = pd.DataFrame({**decisions, "predicted": [0, 0, 0, 0, 0, 1]})
        >>> second = pd.DataFrame({**decisions, "predicted": [1, 1, 1, 1, 1, 1]})
        >>> mcnemar_tests(first, second)  # all of five: 2 * 0.5**5
        [McNemar(data_seed=1, init_seed=None, first_only=5, second_only=0, p=0.0625)]
    """
    try:
        decisions = paired_decisions(first, second)
    except ValueError:
        return []
    right = {name: decisions[name].to_numpy() for name in ("first", "second")}
    only = {f"only_{name}": right[name] & ~right[other] for name, other in (("first", "second"), ("second", "first"))}
    return _mcnemar(decisions.assign(**only), [seed for seed in SEEDS if seed in decisions])


def paired_decisions(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Decisions of two methods on the same rows, at the seeds that both have.

    Args:
        first: Predictions of a method on one task, or on several where there is a column ``task``.
        second: Those of another.

    Returns:
        Columns ``task`` (where there is one), the seeds that tell decisions apart, ``row``, ``label``, and whether
        the ``first`` and the ``second`` are right.

    Raises:
        ValueError: Where they have no decision in common.
    """
    seeds = [seed for seed in SEEDS if _has(first, seed) and _has(second, seed)]
    on = [*(["task"] if "task" in first and "task" in second else []), *seeds, "row"]
    both = first.merge(second, on=on, suffixes=("_first", "_second"))
    if both.empty:
        raise ValueError("the two have no pair of seeds in common")
    kept = [name for name in on if name != "row"]
    if "init_seed" not in seeds and "init_seed_first" in both:
        one = "init_seed_first" if _has(first, "init_seed") else "init_seed_second"
        if both[one].notna().all():
            both, kept = both.assign(init_seed=both[one]), [*kept[:-1], "init_seed", kept[-1]]
    right = {name: (both[f"label_{name}"] == both[f"predicted_{name}"]).to_numpy() for name in ("first", "second")}
    return both[[*kept, "row"]].assign(label=both["label_first"], **right)


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
