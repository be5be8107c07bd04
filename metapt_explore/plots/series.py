"""The numbers of figures that are drawn twice: by plotly on pages and in notebooks, by matplotlib in reports.

Pure functions: tables in, small records out. Scores and differences are in percent and points of a hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from metapt_explore.statistics.curves import whole_curves

if TYPE_CHECKING:
    from metapt_explore.statistics import Comparison
    from metapt_explore.statistics.pooling import Pooled

#: What makes a pair of seeds.
PAIR = ["init_seed", "data_seed"]

#: Initialisation seed (None of a baseline that has none) and data seed.
SeedPair = tuple[int | None, int]


@dataclass(frozen=True)
class Difference:
    """One line of a forest plot.

    Attributes:
        name: The task, or what stands for the mean over tasks.
        mean: The mean difference.
        low: Lower end of its 95 % interval; None where there is none.
        high: Upper end.
        overall: Whether this is the mean over tasks.
    """

    name: str
    mean: float
    low: float | None
    high: float | None
    overall: bool = False

    @property
    def clear(self) -> bool:
        """Whether the interval does not reach 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def differences(comparison: Comparison, overall: str = "mean over tasks") -> list[Difference]:
    """The difference of two methods on each task, and last in the mean over tasks.

    Args:
        comparison: What `compare` returned.
        overall: Name of the last line.
    """
    lines = [(task.task, task.difference, task.low, task.high, False) for task in comparison.per_task]
    lines.append((overall, comparison.difference, comparison.low, comparison.high, True))
    return [
        Difference(name, 100 * mean, _percent(low), _percent(high), overall=last)
        for name, mean, low, high, last in lines
    ]


def pooled_differences(pooled: Pooled) -> list[Difference]:
    """The difference of two methods in each study, and last pooled over them."""
    lines = [
        Difference(effect.study, 100 * effect.difference, 100 * effect.low, 100 * effect.high)
        for effect in pooled.effects
    ]
    whole = Difference("pooled", 100 * pooled.difference, 100 * pooled.low, 100 * pooled.high, overall=True)
    return [*lines, whole]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


@dataclass(frozen=True)
class SeedScores:
    """Scores of a method on a task, or in the mean over tasks.

    Attributes:
        method: The method.
        scores: One for each pair of seeds.
        pairs: The pairs, in the same order.
        mean: Of the scores.
        deviation: Their sample standard deviation; None of a single score.
    """

    method: str
    scores: list[float]
    pairs: list[SeedPair]
    mean: float
    deviation: float | None


@dataclass(frozen=True)
class ScorePanel:
    """A task's scores (or those of the mean over tasks), method by method; methods without a score are left out."""

    title: str
    methods: list[SeedScores]


def whole_units(results: pd.DataFrame) -> pd.Series:
    """Which rows belong to a pair of seeds that has every task under its method."""
    tasks = results.groupby([*PAIR, "method"], dropna=False)["task"].transform("nunique")
    return tasks == results["task"].nunique()


def seed_scores(
    results: pd.DataFrame, methods: Sequence[str], *, column: str = "accuracy", over_tasks: bool = False
) -> list[ScorePanel]:
    """Every score, a panel for each task.

    Args:
        results: What `results_table` returned.
        methods: In the order in which they are drawn.
        column: Which score.
        over_tasks: Whether a last panel holds the mean over tasks, of pairs that have all tasks.
    """
    panels = {str(task): rows for task, rows in results.groupby("task", sort=False)}
    if over_tasks and len(panels) > 1:
        whole = results[whole_units(results)]
        means = whole.groupby([*PAIR, "method"], dropna=False, as_index=False)[column].mean()
        panels |= {"mean over tasks": means} if len(means) else {}
    return [
        ScorePanel(
            title, [_scores(rows[rows["method"] == m], m, column) for m in methods if (rows["method"] == m).any()]
        )
        for title, rows in panels.items()
    ]


def _scores(rows: pd.DataFrame, method: str, column: str) -> SeedScores:
    rows = rows.sort_values(PAIR)
    percent = 100 * rows[column]
    deviation = None if len(percent) < 2 else float(percent.std(ddof=1))
    return SeedScores(method, percent.to_list(), _pairs(rows[PAIR]), float(percent.mean()), deviation)


def _pairs(seeds: pd.DataFrame) -> list[SeedPair]:
    return [(None if pd.isna(init) else int(init), int(data)) for init, data in seeds.itertuples(index=False)]


@dataclass(frozen=True)
class PairMeans:
    """Means over tasks of pairs of seeds, method beside method.

    Attributes:
        methods: Methods that have a mean.
        pairs: The pairs of seeds.
        rows: For each pair the mean under each method; None where not all tasks are scored.
        means: Mean over pairs, by method.
        deviations: Sample standard deviation over pairs, by method; None of a single pair.
        tasks: How many tasks a mean is over.
    """

    methods: list[str]
    pairs: list[SeedPair]
    rows: list[list[float | None]]
    means: list[float]
    deviations: list[float | None]
    tasks: int

    def of(self, place: int) -> list[float]:
        """The means of the method at that place."""
        return [value for row in self.rows if (value := row[place]) is not None]


def pair_means(
    results: pd.DataFrame, methods: Sequence[str], *, complete: bool = False, metric: str = "accuracy"
) -> PairMeans:
    """The mean over tasks of every pair of seeds under each method; only of pairs that have every task.

    Args:
        results: What `results_table` returned.
        methods: In the order in which they are drawn.
        complete: Whether pairs that some method lacks are left out.
        metric: Which score.
    """
    tasks = int(results["task"].nunique())
    scored = results.groupby([*PAIR, "method"], dropna=False)[metric].agg(["mean", "size"])
    table = 100 * scored[scored["size"] == tasks]["mean"].unstack("method")
    shown = [method for method in methods if method in table and table[method].notna().any()]
    table = table[shown].dropna() if complete else table[shown]
    return PairMeans(
        methods=shown,
        pairs=_pairs(table.index.to_frame(index=False)[PAIR]),
        rows=[[None if pd.isna(value) else float(value) for value in row] for row in table.to_numpy()],
        means=[float(value) for value in table.mean()],
        deviations=[None if pd.isna(value) else float(value) for value in table.std(ddof=1)],
        tasks=tasks,
    )


@dataclass(frozen=True)
class TuningCurve:
    """Mean accuracy of a method after so many tuning steps.

    Attributes:
        method: The method.
        steps: Tuning steps.
        mean: Mean accuracy after each.
        error: Its standard error; 0 of a single seed.
        low: Of the worst pair of seeds.
        high: Of the best.
        seeds: How many pairs of seeds.
    """

    method: str
    steps: list[int]
    mean: list[float]
    error: list[float]
    low: list[float]
    high: list[float]
    seeds: list[int]


@dataclass(frozen=True)
class CurvePanel:
    """A task's curves, method by method."""

    task: str
    curves: list[TuningCurve]


def tuning_curves(curves: pd.DataFrame, methods: Sequence[str] | None = None) -> list[CurvePanel]:
    """Accuracy after 0, 1, 2 … tuning steps at the learning rate that dev chose, a panel for each task.

    Args:
        curves: What `curves_table` returned; rows without a test score are of other learning rates.
        methods: In the order in which they are drawn; as they come when absent.
    """
    scored = whole_curves(curves)
    order = list(scored["method"].unique()) if methods is None else list(methods)
    panels = []
    for task, rows in scored.groupby("task", sort=False):
        of_method = {str(method): cells for method, cells in rows.groupby("method", sort=False)}
        panels.append(CurvePanel(str(task), [_curve(of_method[m], m) for m in order if m in of_method]))
    return panels


def _curve(cells: pd.DataFrame, method: str) -> TuningCurve:
    at = cells.groupby("step")["test_accuracy"].agg(["mean", "sem", "min", "max", "count"])
    percent = 100 * at[["mean", "sem", "min", "max"]].fillna(0.0)
    mean, error, low, high = (percent[name].to_list() for name in ("mean", "sem", "min", "max"))
    return TuningCurve(method, at.index.to_list(), mean, error, low, high, at["count"].to_list())


@dataclass(frozen=True)
class EfficiencyLine:
    """A method along the number of labelled examples a class: its score, or how far it is from a baseline.

    Attributes:
        method: The method.
        shots: Examples a class.
        mean: In percent, or in points.
        low: Lower end of each interval; None where there is none.
        high: Upper end.
        pairs: Pairs of seeds behind each.
    """

    method: str
    shots: list[int]
    mean: list[float]
    low: list[float | None]
    high: list[float | None]
    pairs: list[int]


def efficiency_lines(
    efficiency: pd.DataFrame, methods: Sequence[str], *, difference: bool = False
) -> list[EfficiencyLine]:
    """Scores, or differences from the baseline, by examples a class; methods without any are left out.

    Args:
        efficiency: What `label_efficiency` returned.
        methods: In the order in which they are drawn.
        difference: Whether differences are wanted.
    """
    mean, low, high = ("difference", "difference_low", "difference_high") if difference else ("mean", "low", "high")
    lines = []
    for method in methods:
        rows = efficiency[(efficiency["method"] == method) & efficiency[mean].notna()]
        if len(rows):
            lines.append(
                EfficiencyLine(
                    method,
                    [int(shots) for shots in rows["shots"]],
                    [100 * float(value) for value in rows[mean]],
                    [_percent(None if pd.isna(end) else float(end)) for end in rows[low]],
                    [_percent(None if pd.isna(end) else float(end)) for end in rows[high]],
                    [int(pairs) for pairs in rows["pairs"]],
                )
            )
    return lines


def beside(place: int, lines: int) -> float:
    """Factor that moves the points of a line aside on a logarithmic axis, so that intervals do not hide one another.

    Example:
        >>> [round(beside(place, 3), 3) for place in range(3)]
        [0.955, 1.0, 1.047]
    """
    return float(2 ** (ASIDE * (place - (lines - 1) / 2)))


#: Doublings between two neighbouring lines.
ASIDE = 1 / 15
