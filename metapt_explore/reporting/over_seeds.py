"""Methods that differ in a clustering seed or an order of examples only are one method, run under several seeds.

A sweep over seeds (`config/sweep.py`) writes out a method for each. Questions are asked of all of them together, so
that no answer hangs on the luck of one clustering, and the variance is split by these seeds as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class OverSeeds:
    """A study whose methods under several seeds are one each.

    Attributes:
        results: Scores; those of such methods under one name, with columns ``clustering_seed`` and ``order_seed`` where
            they vary.
        study: The study's settings, with one method in the place of several.
        stands_for: The new name to those of the study.
    """

    results: pd.DataFrame
    study: dict[str, Any]
    stands_for: dict[str, list[str]] = field(default_factory=dict)


def over_seeds(results: pd.DataFrame, study: Mapping[str, Any]) -> OverSeeds:
    """Puts together what differs in seeds only: of clusterings that name a seed of their own, or are like such a one.

    Args:
        results: Scores, one row for each method, task and pair of seeds.
        study: The study's settings as plain values.

    Example:
        >>> clusterings = [{"name": f"k-s{s}", "algorithm": "kmeans", "seed": s} for s in (0, 1)]
        >>> methods = [{"name": f"MetaPT-s{s}", "kind": "metapt", "clustering": f"k-s{s}"} for s in (0, 1)]
        >>> scores = pd.DataFrame({"method": ["MetaPT-s0", "MetaPT-s1"], "accuracy": [0.6, 0.7]})
        >>> found = over_seeds(scores, {"clusterings": clusterings, "methods": methods})
        >>> found.stands_for, found.results["clustering_seed"].tolist()
        ({'MetaPT': ['MetaPT-s0', 'MetaPT-s1']}, [0, 1])
    """
    clusterings = {clustering["name"]: clustering for clustering in study["clusterings"]}
    groups: dict[str, list[dict[str, Any]]] = {}
    seeds: dict[str, tuple[int | None, int | None]] = {}
    for method in study["methods"]:
        alike, seeds[method["name"]] = _without_seeds(method, clusterings)
        groups.setdefault(alike, []).append(method)
    methods: list[dict[str, Any]] = []
    stands_for: dict[str, list[str]] = {}
    taken = {method["name"] for method in study["methods"]}
    for members in groups.values():
        names = [method["name"] for method in members]
        # Where two are the same question under the same seeds it is not seeds that tell them apart.
        if len(names) < 2 or len({seeds[name] for name in names}) < len(names):
            methods += members
            continue
        label = _label(names, taken - set(names))
        stands_for[label] = names
        methods.append({**members[0], "name": label, "tuning": _tuning(members[0])[0]})
    if not stands_for:
        return OverSeeds(results, dict(study))
    called = {name: label for label, names in stands_for.items() for name in names}
    joined = results.assign(method=results["method"].map(lambda name: called.get(name, name)))
    for place, column in enumerate(("clustering_seed", "order_seed")):
        varies = [label for label, names in stands_for.items() if len({seeds[name][place] for name in names}) > 1]
        if varies:
            own = results["method"].map(lambda name, place=place: seeds.get(name, (None, None))[place])
            joined[column] = own.where(joined["method"].isin(varies)).astype("Int64")
    return OverSeeds(joined, {**study, "methods": methods}, stands_for)


def _without_seeds(
    method: Mapping[str, Any], clusterings: Mapping[str, Mapping[str, Any]]
) -> tuple[str, tuple[int | None, int | None]]:
    """Everything of a method but its name and seeds, as a key; and the clustering and order seeds."""
    named = method.get("clustering")
    parts = [named] if isinstance(named, str) else list(named or [])
    found = [_clustering(part, clusterings) for part in parts]
    tuning, order = _tuning(method)
    rest = {key: value for key, value in method.items() if key not in ("name", "clustering", "tuning")}
    key = json.dumps([rest, tuning, [alike for alike, _ in found]], sort_keys=True, default=str)
    return key, (next((seed for _, seed in found if seed is not None), None), order)


def _clustering(name: str, clusterings: Mapping[str, Mapping[str, Any]]) -> tuple[Any, int | None]:
    own = clusterings.get(name)
    if own is None:
        return name, None
    like, seed = own.get("like"), own.get("seed")
    of_like, seed_of_like = _clustering(like, clusterings) if like else (None, None)
    if seed is None and seed_of_like is None:
        return name, None  # by its name: another clustering with the same settings is another one
    alike = {key: value for key, value in own.items() if key not in ("name", "seed", "like")}
    return [alike, of_like], seed if seed is not None else seed_of_like


def _tuning(method: Mapping[str, Any]) -> tuple[dict[str, Any] | None, int | None]:
    """A method's tuning without the order of its examples, None where nothing is left of it; and the order."""
    tuning = {key: value for key, value in (method.get("tuning") or {}).items() if value is not None}
    order = tuning.pop("order_seed", None)
    return tuning or None, order


def _label(names: list[str], taken: set[str]) -> str:
    labels = {re.sub(r"(-[so]\d+)+$", "", name) for name in names}  # as sweeps call them
    label = labels.pop()
    return label if not labels and label not in taken else f"{names[0]} and {len(names) - 1} seeds more"
