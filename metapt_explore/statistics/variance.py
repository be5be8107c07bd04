"""Where the spread over seeds comes from: few-shot sample, pre-training, clustering, order of the examples."""

from __future__ import annotations

from itertools import combinations
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.statistics.units import NO_INIT, OTHER_SEEDS, UNIT, check_scores, with_plain_seeds

#: What a seed column stands for.
SOURCES = {
    "data_seed": "few-shot sample",
    "init_seed": "pre-training",
    "clustering_seed": "clustering",
    "order_seed": "order",
}
#: A seed whose levels mean something else at every level of another: the first order of one few-shot sample has nothing
#: in common with the first of another.
NESTED, WITHIN = "order_seed", "data_seed"
REST = "interaction and rest"
TOTAL = "total"
POOLED = "all tasks"


class VariancePart(TypedDict):
    """A row of the table: what one source brings to a task's scores; None where it is not known."""

    task: str
    source: str
    factor: str
    levels: int | None
    variance: float | None
    deviation: float | None
    share: float | None
    note: str


COLUMNS = list(VariancePart.__annotations__)


def variance_sources(results: pd.DataFrame, method: str, metric: str = "accuracy") -> pd.DataFrame:
    """Splits the variance of a score over seeds into what each seed brings.

    Crossed random effects without replication, by the method of moments (Searle, Casella and McCulloch 1992, ch. 4):
    the mean squares of the analysis of variance are set equal to their expectations. Any set of seed columns that
    are crossed with one another: `init_seed`, `data_seed`, and where they are there `clustering_seed` and
    `order_seed`. All interactions and what no seed explains are one source, since a cell holds one score. Orders are
    nested in few-shot samples: what both do together is the orders' part.

    Args:
        results: The results table.
        method: A name in its column `method`.
        metric: A column of scores in 0..1.

    Returns:
        A row for each task and source, and for `all tasks` (mean of the tasks' estimates): factor (its column),
        levels, variance, deviation (its square root, in the unit of the score), share of the total, and a note: an
        estimate that was negative and set to 0, or why there is none (variance and share are None then).

    Raises:
        UserError: Where a column or the method is missing, or a cell stands twice.

    Example:
        >>> rows = [("PT", "mr", data, init, 0.6 + 0.1 * data + 0.02 * init) for data in (0, 1) for init in (0, 1)]
        >>> table = pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "accuracy"])
        >>> found = variance_sources(table, "PT").set_index(["task", "source"])["deviation"]
        >>> round(found["mr", "few-shot sample"], 4), round(found["mr", "pre-training"], 4)
        (0.0707, 0.0141)
    """
    check_scores(results, [metric])
    scores = results[results["method"] == method]
    if scores.empty:
        raise UserError(f"The results have no method '{method}'. {did_you_mean(method, results['method'].unique())}")
    scores = with_plain_seeds(scores, method).dropna(subset=[metric])
    if scores.empty:
        raise UserError(f"Method '{method}' has no `{metric}`.")
    factors = [
        name for name in ("data_seed", "init_seed", *OTHER_SEEDS) if name in scores and scores[name].notna().any()
    ]
    if (scores["init_seed"] == NO_INIT).all():
        factors.remove("init_seed")
    if scores.duplicated(["task", *UNIT, *(name for name in factors if name not in UNIT)]).any():
        raise UserError(f"Method '{method}' has two scores for the same task and seeds; keep one row of each.")
    records: list[VariancePart] = []
    estimates: list[dict[str, float]] = []
    tasks = list(dict.fromkeys(scores["task"]))
    levels = {name: int(scores[name].nunique()) for name in factors}
    reasons: dict[str, str] = {}
    for task in tasks:
        rows = scores[scores["task"] == task]
        split, note, reason = _split(rows, factors, metric)
        counts = {name: int(rows[name].nunique()) for name in factors}
        if split is None:
            reasons = reasons or reason
            records += _unknown(str(task), factors, counts, reasons=reason, scores=rows[metric])
        else:
            estimates.append(split)
            records += _known(str(task), factors, counts, split=split, note=note)
    if estimates:
        mean = {name: float(np.mean([split[name] for split in estimates])) for name in estimates[0]}
        skipped = len(tasks) - len(estimates)
        note = f"mean of {len(estimates)} tasks' estimates"
        note += f"; {skipped} tasks could not be split" if skipped else ""
        records += _known(POOLED, factors, levels, split=mean, note=note)
    elif tasks:
        within = scores[metric] - scores.groupby("task")[metric].transform("mean")
        records += _unknown(POOLED, factors, levels, reasons=reasons, scores=within, degrees=len(scores) - len(tasks))
    table = pd.DataFrame(records, columns=COLUMNS)
    for column in ("variance", "deviation", "share"):
        table[column] = table[column].astype(object).where(table[column].notna(), None)
    return table.astype({"levels": "Int64"})


def _split(rows: pd.DataFrame, factors: list[str], metric: str) -> tuple[dict[str, float] | None, str, dict[str, str]]:
    """Estimates by factor and of the rest, not cut at 0; or None and the reason for each factor."""
    single = [name for name in factors if rows[name].nunique() < 2]
    varying = [name for name in factors if name not in single]
    reasons = {name: f"only one {name}" for name in single}
    if single:
        for name in varying:
            reasons[name] = f"only one {' and one '.join(single)}: not told from the rest"
        return None, "", reasons
    complete = _complete(rows, factors)
    if complete.empty:
        reason = f"{' and '.join(factors)} change together: which of them it is cannot be told"
        if len(factors) == 1:
            reason = f"{factors[0]} is the only seed: not told from the rest"
        return None, "", dict.fromkeys(factors, reason)
    note = f"{len(rows) - len(complete)} scores left out for a complete grid" if len(complete) < len(rows) else ""
    sorted_rows = complete.sort_values(factors)
    shape = [complete[name].nunique() for name in factors]
    return _moments(sorted_rows[metric].to_numpy(dtype=float).reshape(shape), factors), note, {}


def _complete(rows: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """A complete grid with two levels of each factor or more, dropping the emptiest level first; else empty."""
    grid = rows
    while len(factors) > 1:
        counts = {name: grid[name].value_counts() for name in factors}
        if any(len(count) < 2 for count in counts.values()):
            break
        cells = int(np.prod([len(count) for count in counts.values()]))
        if len(grid) == cells:
            return grid
        # How full a level is, of what it could hold; ties go to the later seed, so that runs agree.
        fullness = [
            (int(count.loc[level]) * len(count) / cells, factors.index(name), level)
            for name, count in counts.items()
            for level in sorted(count.index, reverse=True)
        ]
        _, factor_index, level = min(fullness, key=lambda entry: entry[0])
        grid = grid[grid[factors[factor_index]] != level]
    return rows.iloc[:0]


def _moments(grid: NDArray[np.float64], factors: list[str]) -> dict[str, float]:
    """Variance components of a complete grid with one score a cell: one for each factor, and the rest."""
    axes = range(grid.ndim)
    subsets = [frozenset(chosen) for size in range(1, grid.ndim + 1) for chosen in combinations(axes, size)]
    means = {
        subset: grid.mean(axis=tuple(axis for axis in axes if axis not in subset), keepdims=True)
        for subset in [frozenset[int](), *subsets]
    }
    mean_squares = {}
    for subset in subsets:
        effect = sum((-1.0) ** (len(subset) - len(part)) * mean for part, mean in means.items() if part <= subset)
        df = np.prod([grid.shape[axis] - 1 for axis in subset])
        mean_squares[subset] = float((np.broadcast_to(effect, grid.shape) ** 2).sum() / df)
    components: dict[frozenset[int], float] = {}
    for subset in sorted(subsets, key=len, reverse=True):
        above = sum(_repeats(grid, other) * value for other, value in components.items() if subset < other)
        components[subset] = (mean_squares[subset] - above) / _repeats(grid, subset)
    parts = {name: components[frozenset([axis])] for axis, name in enumerate(factors)}
    both = frozenset(axis for axis, name in enumerate(factors) if name in (NESTED, WITHIN))
    nested = both if len(both) == 2 else frozenset[int]()
    if nested:
        parts[NESTED] += components[nested]
    parts[REST] = sum(value for subset, value in components.items() if len(subset) > 1 and subset != nested)
    return parts


def _repeats(grid: NDArray[np.float64], subset: frozenset[int]) -> float:
    return float(np.prod([grid.shape[axis] for axis in range(grid.ndim) if axis not in subset]))


def _known(
    task: str, factors: list[str], levels: dict[str, int], *, split: dict[str, float], note: str
) -> list[VariancePart]:
    total = sum(max(value, 0.0) for value in split.values())
    records = []
    for name in [*factors, REST]:
        value = max(split[name], 0.0)
        remarks = [note] if note else []
        if split[name] < 0:
            remarks.append(f"estimate {split[name]:.2g} is negative, set to 0")
        records.append(
            _record(
                task,
                name,
                levels.get(name),
                variance=value,
                share=value / total if total > 0 else None,
                note="; ".join(remarks),
            )
        )
    records.append(_record(task, TOTAL, None, variance=total, share=1.0 if total > 0 else None, note=note))
    return records


def _unknown(
    task: str,
    factors: list[str],
    levels: dict[str, int],
    *,
    reasons: dict[str, str],
    scores: pd.Series,
    degrees: int | None = None,
) -> list[VariancePart]:
    """No split: each source with the reason; the total is there as long as there are two scores."""
    records = [
        _record(task, name, levels[name], variance=None, share=None, note=reasons.get(name, "")) for name in factors
    ]
    records.append(_record(task, REST, None, variance=None, share=None, note="not told from the seeds"))
    df = len(scores) - 1 if degrees is None else degrees
    total = float(((scores - scores.mean()) ** 2).sum() / df) if df > 0 else None
    records.append(_record(task, TOTAL, None, variance=total, share=None, note="variance over all rows"))
    return records


def _record(
    task: str, name: str, levels: int | None, *, variance: float | None, share: float | None, note: str
) -> VariancePart:
    return {
        "task": task,
        "source": SOURCES.get(name, name),
        "factor": name if name in SOURCES else "",
        "levels": levels,
        "variance": variance,
        "deviation": None if variance is None else float(np.sqrt(variance)),
        "share": share,
        "note": note,
    }
