"""Sweeps: one entry of a study stands for several, which are written out before the study is validated.

``n_clusters: [4, 8]`` of a clustering makes two of it, named with ``-4`` and ``-8``, and ``seed: [0, 1]`` two with
``-s0`` and ``-s1``; whatever is built on it (a random control that is `like` it, a method that learns from it) is made
twice likewise. ``tuning: {order_seed: [0, 1]}`` of a method makes two of it with ``-o0`` and ``-o1``. Everything after
sees plain clusterings and methods, and so does the YAML that is kept of the study.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metapt_explore.config.clustering_base import ClusteringConfig
from metapt_explore.config.limits import MOST_ENTRIES


def expand_sweeps(tree: Any) -> Any:
    """Writes out the clusterings and methods that stand for several, and what is built on them.

    Args:
        tree: A study as plain values; it is left as it is. What is not a study is returned unchanged, for validation
            to refuse.

    Raises:
        ValueError: Where a list of numbers of clusters or of seeds is empty, holds one twice or stands at an algorithm
            that takes none, or a method joins two sweeps.

    Example:
        >>> study = {
        ...     "clusterings": [{"name": "kmeans", "algorithm": "kmeans", "n_clusters": [4, 8]}],
        ...     "methods": [{"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}],
        ... }
        >>> [clustering["name"] for clustering in expand_sweeps(study)["clusterings"]]
        ['kmeans-4', 'kmeans-8']
        >>> [(method["name"], method["clustering"]) for method in expand_sweeps(study)["methods"]]
        [('MetaPT-4', 'kmeans-4'), ('MetaPT-8', 'kmeans-8')]
    """
    clusterings = tree.get("clusterings", []) if isinstance(tree, dict) else None
    if not isinstance(clusterings, list):
        return tree
    swept: dict[str, list[str]] = {}
    written: list[Any] = []
    for entry in clusterings:
        variants = _variants(entry, swept) if isinstance(entry, dict) and isinstance(entry.get("name"), str) else {}
        if not variants:
            written.append(entry)
            continue
        swept[entry["name"]] = list(variants)
        _few_enough("clusterings", len(written) + len(variants))
        written += [{**entry, "name": entry["name"] + ending, **settings} for ending, settings in variants.items()]
    expanded = {**tree, "clusterings": written} if swept else tree
    methods = tree.get("methods")
    if isinstance(methods, list):
        made = []
        for entry in methods:
            for ordered in _in_orders(entry):
                made += _methods(ordered, swept)
                _few_enough("methods", len(made))
        if made != methods:
            expanded = {**expanded, "methods": made}
    return expanded


def _few_enough(kind: str, count: int) -> None:
    if count > MOST_ENTRIES:
        raise ValueError(f"{kind}: more than {MOST_ENTRIES:,} of them, each entry of a sweep counted")


def _variants(clustering: dict[str, Any], swept: Mapping[str, list[str]]) -> dict[str, dict[str, Any]]:
    """Variants of a clustering: ending of the name to settings; empty where it is no sweep."""
    like = clustering.get("like")
    variants: dict[str, dict[str, Any]] = {"": {}}
    if isinstance(like, str) and like in swept:
        variants = {ending: {"like": like + ending} for ending in swept[like]}
    if isinstance(clustering.get("n_clusters"), list):
        counts = _counts(clustering)
        _few_enough("clusterings", len(variants) * len(counts))
        variants = {
            f"{e}-{count}": {**settings, "n_clusters": count} for e, settings in variants.items() for count in counts
        }
    if isinstance(clustering.get("seed"), list):
        seeds = _seeds(clustering["seed"], f"clustering '{clustering['name']}': seed")
        _few_enough("clusterings", len(variants) * len(seeds))
        variants = {f"{e}-s{seed}": {**settings, "seed": seed} for e, settings in variants.items() for seed in seeds}
    return {} if list(variants) == [""] else variants


def _counts(clustering: dict[str, Any]) -> list[int]:
    name, counts = clustering["name"], clustering["n_clusters"]
    counted = [tag for tag, kind in ClusteringConfig.kinds.items() if kind.counted]
    if clustering.get("algorithm") not in counted:
        raise ValueError(f"clustering '{name}': several `n_clusters` go with {', '.join(counted)}")
    if not counts or not all(isinstance(count, int) and not isinstance(count, bool) for count in counts):
        raise ValueError(f"clustering '{name}': n_clusters must be a number or a list of numbers")
    if len(set(counts)) != len(counts):
        raise ValueError(f"clustering '{name}': a number of clusters stands twice in n_clusters")
    return list(counts)


def _seeds(seeds: list[Any], where: str) -> list[int]:
    if not seeds or not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds):
        raise ValueError(f"{where} must be a whole number or a list of whole numbers")
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"{where}: a seed stands twice")
    return list(seeds)


def _in_orders(method: Any) -> list[Any]:
    """A method once for each order of its few-shot examples."""
    tuning = method.get("tuning") if isinstance(method, dict) else None
    orders = tuning.get("order_seed") if isinstance(tuning, dict) else None
    if not isinstance(orders, list) or not isinstance(tuning, dict):
        return [method]
    seeds = _seeds(orders, f"method '{method.get('name')}': tuning.order_seed")
    return [
        {**method, "name": f"{method.get('name')}-o{seed}", "tuning": {**tuning, "order_seed": seed}} for seed in seeds
    ]


def _methods(method: Any, swept: Mapping[str, list[str]]) -> list[Any]:
    """A method once for each variant of the clusterings that it is built on."""
    named = method.get("clustering") if isinstance(method, dict) else None
    topics = method.get("topics") if isinstance(method, dict) else None
    told_apart = topics.get("clustering") if isinstance(topics, dict) else None
    parts, of_topics = _listed(named), _listed(told_apart)
    sweeps = [part for part in [*parts, *of_topics] if isinstance(part, str) and part in swept]
    if not sweeps:
        return [method]
    if len({tuple(swept[part]) for part in sweeps}) > 1:
        raise ValueError(
            f"method '{method.get('name')}': {' and '.join(sweeps)} are swept over different n_clusters or seeds; "
            "name the clusterings that belong together"
        )
    made = []
    for ending in swept[sweeps[0]]:
        variant = {**method, "name": f"{method.get('name')}{ending}"}
        if named is not None:
            variant["clustering"] = _with_ending(named, sweeps, ending)
        if isinstance(topics, dict) and told_apart is not None:
            variant["topics"] = {**topics, "clustering": _with_ending(told_apart, sweeps, ending)}
        made.append(variant)
    return made


def _listed(named: Any) -> list[Any]:
    return named if isinstance(named, list) else [named]


def _with_ending(named: Any, sweeps: list[str], ending: str) -> Any:
    chosen = [f"{part}{ending}" if part in sweeps else part for part in _listed(named)]
    return chosen if isinstance(named, list) else chosen[0]
