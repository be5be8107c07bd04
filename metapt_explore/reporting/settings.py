"""Settings in which the methods of a study differ: what a sweep varied, written by hand or by `n_clusters: [4, 8]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from metapt_explore.statistics.importance import FEWEST

#: Stands where a method leaves a setting at its default.
DEFAULT = "default"
#: What is no setting.
NAMES = ("name", "kind", "clustering", "like", "without", "only", "edits")


def swept_settings(study: Mapping[str, Any], methods: Sequence[str]) -> pd.DataFrame:
    """Settings of the meta-learned methods that at least two of them have at different values.

    Args:
        study: The study's settings as plain values.
        methods: Methods that have scores.

    Returns:
        A row for each method, a column for each setting (those of its clustering named ``clusters …``); empty where
        there is no sweep: fewer than four methods, or nothing in which they differ.

    Example:
        >>> study = {
        ...     "clusterings": [{"name": f"k-{k}", "algorithm": "kmeans", "n_clusters": k} for k in (2, 4, 8, 16)],
        ...     "methods": [{"name": f"M{k}", "kind": "metapt", "clustering": f"k-{k}"} for k in (2, 4, 8, 16)],
        ... }
        >>> swept_settings(study, ["M2", "M4", "M8", "M16"])["clusters n clusters"].tolist()
        [2, 4, 8, 16]
    """
    clusterings = {entry["name"]: entry for entry in study.get("clusterings", [])}
    rows: dict[str, dict[str, Any]] = {}
    for method in study.get("methods", []):
        if method["kind"] != "metapt" or method["name"] not in methods:
            continue
        named = method.get("clustering") or []
        of = [clusterings.get(name, {}) for name in ([named] if isinstance(named, str) else named)]
        row = _flat(method)
        if len(of) == 1:
            row |= {f"clusters {key}": value for key, value in _flat(of[0]).items()}
        elif of:
            row["clusters algorithm"] = " and ".join(str(entry.get("algorithm", "?")) for entry in of)
        rows[method["name"]] = row
    table = pd.DataFrame.from_dict(rows, orient="index")
    if len(table) < FEWEST:
        return pd.DataFrame()
    varied = {name: _filled(table[name]) for name in table if len({*map(str, _filled(table[name]))}) > 1}
    return pd.DataFrame(varied, index=table.index)


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Settings of settings beside the others; lists as words."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{before}{key}".replace("_", " ")
        if not before and key in NAMES:
            continue
        if isinstance(value, Mapping):
            found |= _flat(value, f"{name} ")
        else:
            found[name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return found


def _filled(column: pd.Series) -> list[Any]:
    """Numbers stay numbers where every method has one."""
    values = [DEFAULT if value is None or pd.isna(value) else value for value in column]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return [int(value) if float(value).is_integer() else float(value) for value in numbers]
    return [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
