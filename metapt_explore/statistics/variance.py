"""Where the variance of a method's scores comes from: the few-shot sample, the pre-training, other crossed choices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

#: Columns that may hold a source of variance, and what it is called.
SOURCES = {
    "data_seed": "few-shot sample",
    "init_seed": "pre-training",
    "clustering_seed": "clustering",
    "order_seed": "order",
}


def variance_sources(results: pd.DataFrame, method: str, metric: str = "accuracy") -> pd.DataFrame:
    """Splits the variance of a method's scores by source, for each task and pooled over tasks.

    Analysis of variance of a complete layout without replication, main effects by the method of moments (Searle,
    Casella and McCulloch, 1992): with N scores and a factor of L levels, its component is `(MS - MS_rest) L / N`.
    Interactions are in the rest. A component that comes out negative is an estimate of one that is small: it is 0.

    Args:
        results: Columns method, task, `metric`, and those of `SOURCES` that vary.
        method: The method.
        metric: The score.

    Returns:
        Columns task (``all tasks`` for the mean of the components), source (``the rest`` among them), variance, share
        (of the sum) and note. Where seeds are paired, not crossed, sources cannot be told apart: variance and share
        are missing and the note says why.

    Example:
        >>> rows = [
        ...     {"method": "m", "task": "t", "data_seed": d, "init_seed": i, "accuracy": 0.7 + 0.1 * d}
        ...     for d in range(3) for i in range(3)
        ... ]
        >>> variance_sources(pd.DataFrame(rows), "m").query("task == 't'").set_index("source")["share"].to_dict()
        {'few-shot sample': 1.0, 'pre-training': 0.0, 'the rest': 0.0}
    """
    own = results[results["method"] == method]
    rows = []
    for task, cells in own.groupby("task", sort=False):
        rows += [{"task": str(task), **record} for record in _components(cells, metric)]
    table = pd.DataFrame(rows, columns=["task", "source", "variance", "note"])
    pooled = table.groupby("source", sort=False)["variance"].agg(lambda values: values.mean(skipna=False)).reset_index()
    notes = table.groupby("source", sort=False)["note"].first()
    pooled = pooled.assign(task="all tasks", note=pooled["source"].map(notes))
    table = pd.concat([pooled[table.columns], table], ignore_index=True)
    total = table.groupby("task")["variance"].transform("sum")
    table["share"] = (table["variance"] / total.where(total > 0)).where(table["variance"].notna())
    return table[["task", "source", "variance", "share", "note"]]


def _components(cells: pd.DataFrame, metric: str) -> list[dict[str, object]]:
    factors = [column for column in SOURCES if column in cells and cells[column].nunique() > 1]
    names = [SOURCES[factor] for factor in factors]
    single = [SOURCES[c] for c in SOURCES if c in cells and cells[c].nunique() == 1]
    reason = _cannot(cells, factors)
    if reason:
        return [{"source": name, "variance": np.nan, "note": reason} for name in [*names, "the rest"]]
    values = cells[metric].to_numpy(dtype=float)
    squares, df = {}, {}
    for factor in factors:
        means = cells.groupby(factor)[metric].transform("mean").to_numpy(dtype=float)
        squares[factor], df[factor] = float(((means - values.mean()) ** 2).sum()), cells[factor].nunique() - 1
    rest_df = len(values) - 1 - sum(df.values())
    rest = (float(((values - values.mean()) ** 2).sum()) - sum(squares.values())) / rest_df
    rest = max(rest, 0.0)
    note = f"{', '.join(single)}: one only, not a source here" if single else ""
    found: list[dict[str, object]] = []
    for factor, name in zip(factors, names, strict=True):
        component = (squares[factor] / df[factor] - rest) * cells[factor].nunique() / len(values)
        # Rounding leaves tiny amounts of either sign.
        found.append({"source": name, "variance": component if component > 1e-15 else 0.0, "note": note})
    return [*found, {"source": "the rest", "variance": rest if rest > 1e-15 else 0.0, "note": note}]


def _cannot(cells: pd.DataFrame, factors: Sequence[str]) -> str:
    if len(factors) < 2:
        return "fewer than two sources vary"
    if len(cells) != np.prod([cells[factor].nunique() for factor in factors]):
        return "seeds are paired (or scores are missing): each pre-training met one few-shot sample only"
    return ""
