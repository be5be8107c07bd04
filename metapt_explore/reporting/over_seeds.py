"""Methods that differ in a clustering seed or an order of examples only are one method, run under several seeds.

A sweep over seeds (`config/sweep.py`) writes out a method for each. Questions are asked of all of them together, so
that an answer hangs less on the luck of one draw, and the variance is split by these seeds as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from metapt_explore.config import tuning_terms

#: Of each clustering of a method its seed, and those of what it is like.
Seeds = tuple[tuple[int | None, ...], ...]


@dataclass(frozen=True)
class OverSeeds:
    """A study whose methods under several seeds are one each.

    Attributes:
        results: Scores; those of such methods under one name, with columns ``clustering_seed`` (which draw, from 0) and
            ``order_seed`` where they vary.
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
    clusterings = {clustering["name"]: clustering for clustering in study.get("clusterings", [])}
    groups: dict[str, dict[str, tuple[Seeds, int | None]]] = {}
    entries = {method["name"]: method for method in study.get("methods", [])}
    for method in study.get("methods", []):
        alike, drawn, order = _without_seeds(method, clusterings)
        groups.setdefault(alike, {})[method["name"]] = drawn, order
    methods: list[dict[str, Any]] = []
    stands_for: dict[str, list[str]] = {}
    taken = {*entries, *map(str, results["method"])}
    called: dict[str, str] = {}
    levels: dict[str, dict[str, int | None]] = {"clustering_seed": {}, "order_seed": {}}
    for members in groups.values():
        names = list(members)
        # Where two are the same question under the same seeds it is not seeds that tell them apart.
        if len(names) < 2 or len(set(members.values())) < len(names):
            methods += [entries[name] for name in names]
            continue
        label = _label(names, taken)
        taken.add(label)
        stands_for[label] = names
        called |= dict.fromkeys(names, label)
        methods.append({**entries[names[0]], "name": label, "tuning": tuning_terms(entries[names[0]].get("tuning"))})
        draws = list(dict.fromkeys(drawn for drawn, _ in members.values()))
        if len(draws) > 1:
            levels["clustering_seed"] |= {name: draws.index(drawn) for name, (drawn, _) in members.items()}
        if len({order for _, order in members.values()}) > 1:
            levels["order_seed"] |= {name: order for name, (_, order) in members.items()}
    if not stands_for:
        return OverSeeds(results, dict(study))
    joined = results.assign(method=[called.get(name, name) for name in results["method"]])
    for column, of in levels.items():
        if of:
            joined[column] = pd.array([of.get(name) for name in results["method"]], dtype="Int64")
    return OverSeeds(joined, {**study, "methods": methods}, stands_for)


def _without_seeds(
    method: Mapping[str, Any], clusterings: Mapping[str, Mapping[str, Any]]
) -> tuple[str, Seeds, int | None]:
    """Everything of a method but its name and seeds, as a key; the seeds of its clusterings; and that of its order."""
    topics = method.get("topics")
    of_clusterings = [_clustering(name, clusterings) for name in _listed(method.get("clustering"))]
    of_topics = [_clustering(name, clusterings) for name in _listed((topics or {}).get("clustering"))]
    rest = {key: value for key, value in method.items() if key not in ("name", "clustering", "topics", "tuning")}
    if topics:
        rest["topics"] = {**topics, "clustering": [alike for alike, _ in of_topics]}
    tuning = method.get("tuning") or {}
    # A method whose order comes with its initialisation seed is not one of those whose order is drawn apart.
    order = tuning.get("order_seed")
    parts = [rest, tuning_terms(tuning), order is None, [alike for alike, _ in of_clusterings]]
    key = json.dumps(parts, sort_keys=True, default=str)
    return key, tuple(seeds for _, seeds in [*of_clusterings, *of_topics]), order


def _listed(named: Any) -> list[str]:
    return [named] if isinstance(named, str) else list(named or [])


def _clustering(name: str, clusterings: Mapping[str, Mapping[str, Any]]) -> tuple[Any, tuple[int | None, ...]]:
    """A clustering without its seeds, and these: its own, and those of what it is like."""
    settings = clusterings.get(name, {})
    like, seed = settings.get("like"), settings.get("seed")
    of_like, seeds = _clustering(like, clusterings) if like else (None, ())
    if seed is None and not any(other is not None for other in seeds):
        return name, ()  # by its name: another clustering with the same settings is another one
    alike = {key: value for key, value in settings.items() if key not in ("name", "seed", "like")}
    return [alike, of_like], (seed, *seeds)


def _label(names: list[str], taken: set[str]) -> str:
    labels = {re.sub(r"(-[so]\d+)+$", "", name) for name in names}  # as sweeps call them
    label = labels.pop()
    return label if not labels and label not in taken else f"{names[0]} and {len(names) - 1} more"
