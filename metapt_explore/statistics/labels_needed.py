"""How many labelled examples one method saves against another, and how sure that is.

At K examples a class a method has a score. The other needs some number of examples for the same one: read off its
curve, on straight lines over log K between measured K. Both curves are means over the same pairs of seeds, which are
drawn anew many times (`resampling.bootstrap_weights`: whole seeds where pairs share them); the interval holds the
middle of the numbers that come out. With few seeds the middle 95 % hold the truth too seldom, so a larger middle is
taken, as much larger as a t interval is wider than one from the normal distribution ("expanded percentile interval",
Hesterberg 2015, The American Statistician 69(4)). A curve says nothing beyond its ends, so a number may be "1 or fewer"
or "more than 16", and an end of an interval as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from metapt_explore.seeds import derived_seed
from metapt_explore.statistics.designs import EQUAL, seed_design
from metapt_explore.statistics.label_efficiency import mean_shared_rows, on_common_tasks
from metapt_explore.statistics.resampling import Precision, bootstrap_weights
from metapt_explore.statistics.units import PairedScores, paired_scores
from metapt_explore.statistics.verdict import MAX_SHARED_ROWS, MIN_SEEDS_FOR_VERDICT

Saving = Literal["saves labels", "saves none", "cannot be told"]
DEFAULT_PRECISION = Precision()


@dataclass(frozen=True)
class LabelsNeeded:
    """How many examples a class one method needs for the score that another has with K.

    Attributes:
        method: Whose score is to be reached.
        baseline: Who is to reach it.
        shots: K, the examples a class that the method has.
        needed: Those that the baseline needs: the smallest K that was measured where it is there already; infinite
            where it does not get there with the largest.
        low: Lower end of the interval; None where there is none.
        high: Upper end.
        measured: The smallest and the largest K.
        pairs: Pairs of seeds that both methods have, with every task, at every K.
        confidence: Of the interval.
        saving: ``saves labels`` where the whole interval lies above K, ``saves none`` where none of it does, else
            ``cannot be told``; that, too, with too few seeds or samples that share too many rows.
        why: What keeps it from being told, where that is not the interval.
    """

    method: str
    baseline: str
    shots: int
    needed: float
    low: float | None
    high: float | None
    measured: tuple[int, int] = field(repr=False)
    pairs: int
    confidence: float
    saving: Saving
    why: str = ""

    def written(self, examples: float) -> str:
        """A number of examples as people read it."""
        smallest, largest = self.measured
        if math.isinf(examples):
            return f"more than {largest}"
        return f"{smallest} or fewer" if examples <= smallest else f"{examples:.1f}".removesuffix(".0")

    @property
    def interval(self) -> str:
        """The interval in words; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        low, high = self.written(self.low), self.written(self.high)
        return f"always {low}" if low == high else f"{low} to {high}"

    @property
    def sentence(self) -> str:
        """What was found, in a sentence."""
        examples = f"{self.shots} example{'s' * (self.shots != 1)} a class"
        between = f" ({100 * self.confidence:g} % interval: {self.interval})" if self.interval else ""
        found = (
            f"{self.baseline} needs {self.written(self.needed)}{between} for the score of {self.method} at {examples}"
        )
        if self.saving == "cannot be told":
            why = f": {self.why}" if self.why else ""
            return f"{found}; whether {self.method} saves labels cannot be told{why}."
        return f"{found}: {self.method} {self.saving}."


def labels_needed(
    results_by_shots: Mapping[int, pd.DataFrame],
    method: str,
    baseline: str,
    *,
    metric: str = "accuracy",
    precision: Precision = DEFAULT_PRECISION,
) -> list[LabelsNeeded]:
    """How many examples a class the baseline needs for the method's score, at each K.

    Args:
        results_by_shots: A results table for each number of examples per class; the same study otherwise.
        method: Whose scores are to be reached.
        baseline: Who is to reach them.
        metric: A column of scores in 0..1.
        precision: Confidence of the intervals, and how often the bootstrap draws.

    Returns:
        One for each K; none where the two share no pair of seeds that has every task at every K.

    Raises:
        UserError: Where the tables share no task or a method is not there.

    Example:
        >>> names = ["method", "task", "data_seed", "init_seed", "accuracy"]
        >>> def table(base: float) -> pd.DataFrame:
        ...     rows = [(name, "mr", seed, seed, base + gain + 0.01 * (seed % 3) * (name == "PT"))
        ...             for seed in range(8) for name, gain in (("PT", 0.0), ("MetaPT", 0.1))]
        ...     return pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "accuracy"])
        >>> found = labels_needed({4: table(0.5), 16: table(0.7)}, "MetaPT", "PT")
        >>> [(each.shots, round(each.needed, 1), each.saving) for each in found]
        [(4, 7.5, 'saves labels'), (16, inf, 'saves labels')]
        >>> print(found[1].sentence)
        PT needs more than 16 (95 % interval: always more than 16) for the score of MetaPT at 16 examples a class: \
MetaPT saves labels.
    """
    tables, tasks = on_common_tasks(results_by_shots)
    by_shots: dict[int, PairedScores] = {}
    for shots, table in tables.items():
        pairs = paired_scores(table, method, baseline, metric=metric).complete
        if set(pairs.tasks) != set(tasks):
            return []
        by_shots[shots] = pairs
    units = sorted(set.intersection(*(set(pairs.method.index) for pairs in by_shots.values())))
    if not units:
        return []
    index = pd.MultiIndex.from_tuples(units, names=["init_seed", "data_seed"])
    scores, reaching = (
        np.stack([getattr(pairs, side).loc[index].mean(axis=1).to_numpy(float) for pairs in by_shots.values()], axis=1)
        for side in ("method", "baseline")
    )
    design, measured = seed_design(index), list(by_shots)
    needed = least_examples(measured, reaching.mean(axis=0)[None], scores.mean(axis=0)[None])[0]
    intervals: list[tuple[float, float] | None] = [None] * len(measured)
    if design.pairs > 1:
        rng = np.random.default_rng(derived_seed(precision.seed, "labels needed", method, baseline, metric))
        weights = bootstrap_weights(design, precision.resamples, rng)
        weights /= weights.sum(axis=1, keepdims=True)
        drawn = least_examples(measured, weights @ reaching, weights @ scores)
        tail = expanded_tail(precision.confidence, min(n for n in (design.init_seeds, design.data_seeds) if n > 1))
        intervals = [
            _middle(drawn[:, place], tail) if _have_spread(scores[:, place], reaching) else None
            for place in range(len(measured))
        ]
    shared = max(mean_shared_rows(table) for table in tables.values())
    why = _cannot(design.independent, shared)
    found = []
    for place, shots in enumerate(measured):
        low, high = intervals[place] or (None, None)
        found.append(
            LabelsNeeded(
                method,
                baseline,
                shots,
                float(needed[place]),
                low,
                high,
                (measured[0], measured[-1]),
                design.pairs,
                precision.confidence,
                "cannot be told" if why else _saving(shots, low, high),
                why or ("" if low is not None else "all pairs of seeds say the same"),
            )
        )
    return found


def least_examples(measured: list[int], line: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least K at which each line over log K reaches each of its scores.

    Args:
        measured: The K of the line's points, ascending.
        line: Means at these K, `[draws, points]`.
        scores: To be reached, `[draws, scores]`.

    Returns:
        `[draws, scores]`: the smallest K where the line begins there or above, infinite where it never gets there.

    Example:
        >>> least_examples([1, 4], np.array([[0.5, 0.7]]), np.array([[0.4, 0.6, 0.8]])).tolist()
        [[1.0, 2.0, inf]]
    """
    log = np.log(np.asarray(measured, dtype=float))
    there = line[:, None, :] >= scores[:, :, None] - EQUAL
    first = there.argmax(axis=2)
    before = np.maximum(first - 1, 0)
    rows = np.arange(len(line))[:, None]
    below, above = line[rows, before], line[rows, first]
    rise = np.where(first > 0, above - below, 1.0)
    part = np.where(first > 0, np.clip((scores - below) / np.where(rise == 0, 1.0, rise), 0, 1), 0.0)
    reached = np.exp(log[before] + part * (log[first] - log[before]))
    return np.where(there.any(axis=2), np.round(reached, 6), np.inf)


def _have_spread(scores: NDArray[np.float64], line: NDArray[np.float64]) -> bool:
    """Whether pairs of seeds differ in how far a score lies from the points of the line, `[pairs, points]`."""
    return bool(np.ptp(scores[:, None] - line, axis=0).max() > EQUAL)


def expanded_tail(confidence: float, seeds: int) -> float:
    """Share of bootstrap numbers beyond either end of an interval, less than (1 - confidence) / 2 for few seeds.

    Example:
        >>> [round(expanded_tail(0.95, seeds), 4) for seeds in (5, 10, 1000)]
        [0.001, 0.0086, 0.0248]
    """
    wider = math.sqrt(seeds / (seeds - 1)) * float(stats.t.ppf((1 + confidence) / 2, seeds - 1))
    return float(stats.norm.sf(wider))


def _middle(drawn: NDArray[np.float64], tail: float) -> tuple[float, float]:
    low = np.quantile(drawn, tail, method="lower")
    return float(low), float(np.quantile(drawn, 1 - tail, method="higher"))


def _saving(shots: int, low: float | None, high: float | None) -> Saving:
    if low is None or high is None:
        return "cannot be told"
    if low > shots:
        return "saves labels"
    return "saves none" if high <= shots else "cannot be told"


def _cannot(independent: int, shared: float) -> str:
    """Why so few seeds, or samples with so much in common, decide nothing; empty where they can."""
    if independent < MIN_SEEDS_FOR_VERDICT:
        return f"it takes {MIN_SEEDS_FOR_VERDICT} independent seeds, and there are {independent}"
    if shared > MAX_SHARED_ROWS:
        return f"samples of the data seeds share {100 * shared:.0f} % of their rows"
    return ""


def told_together(found: list[LabelsNeeded]) -> str:
    """What can be said of two methods over all K, in one or two sentences; empty where nothing was found.

    Example:
        >>> common = ("MetaPT", "PT", 4, 8.0)
        >>> told_together([LabelsNeeded(*common, 6.0, 12.0, (1, 16), 10, 0.95, "saves labels")])
        'PT needs 8 (95 % interval: 6 to 12) for the score of MetaPT at 4 examples a class: MetaPT saves labels.'
    """
    told = [each.sentence for each in found if each.saving != "cannot be told"]
    open_at = [str(each.shots) for each in found if each.saving == "cannot be told"]
    if open_at:
        first = found[0]
        why = next((f": {each.why}" for each in found if each.why), "")
        told.append(
            f"Whether {first.method} saves labels against {first.baseline} cannot be told at {', '.join(open_at)} "
            f"example{'s' * (open_at != ['1'])} a class{why}."
        )
    return " ".join(told)
