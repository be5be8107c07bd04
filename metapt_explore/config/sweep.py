"""Sweeps over the number of clusters: one entry of a study stands for several.

``n_clusters: [4, 8]`` of a clustering makes two of it, named with ``-4`` and ``-8``; whatever is built on it (a random
control that is `like` it, a method that learns from it) is made twice likewise. This happens before a study is
validated, so that everything after sees plain clusterings and methods, and so does the YAML that is kept of it.
"""

from __future__ import annotations

from typing import Any

#: Algorithms that are told how many clusters to make.
COUNTED = ("kmeans", "minibatch_kmeans", "lda")


def expand_sweeps(tree: Any) -> Any:
    """Writes out the clusterings whose `n_clusters` is a list, and what is built on them.

    Args:
        tree: A study as plain values; it is left as it is. What is not a study is returned unchanged, for validation
            to refuse.

    Raises:
        ValueError: Where a list of numbers of clusters is empty, holds one twice or stands where none is told, or a
            method joins two sweeps.

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
    clusterings = tree.get("clusterings") if isinstance(tree, dict) else None
    if not isinstance(clusterings, list):
        return tree
    swept: dict[str, list[int]] = {}
    written: list[Any] = []
    for entry in clusterings:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            written.append(entry)
            continue
        like = entry.get("like")
        if isinstance(entry.get("n_clusters"), list):
            swept[name] = _counts(entry)
            written += [{**entry, "name": f"{name}-{count}", "n_clusters": count} for count in swept[name]]
        elif isinstance(like, str) and like in swept:
            swept[name] = swept[like]
            written += [{**entry, "name": f"{name}-{count}", "like": f"{like}-{count}"} for count in swept[name]]
        else:
            written.append(entry)
    if not swept:
        return tree
    methods = tree.get("methods")
    if isinstance(methods, list):
        methods = [made for entry in methods for made in _methods(entry, swept)]
    return {**tree, "clusterings": written, **({"methods": methods} if methods is not None else {})}


def _counts(clustering: dict[str, Any]) -> list[int]:
    name, counts = clustering["name"], clustering["n_clusters"]
    if clustering.get("algorithm") not in COUNTED:
        raise ValueError(f"clustering '{name}': several `n_clusters` go with {', '.join(COUNTED)}")
    if not counts or not all(isinstance(count, int) and not isinstance(count, bool) for count in counts):
        raise ValueError(f"clustering '{name}': n_clusters must be a number or a list of numbers")
    if len(set(counts)) != len(counts):
        raise ValueError(f"clustering '{name}': a number of clusters stands twice in n_clusters")
    return list(counts)


def _methods(method: Any, swept: dict[str, list[int]]) -> list[Any]:
    named = method.get("clustering") if isinstance(method, dict) else None
    topics = method.get("topics") if isinstance(method, dict) else None
    told_apart = topics.get("clustering") if isinstance(topics, dict) else None
    parts, of_topics = _listed(named), _listed(told_apart)
    sweeps = [part for part in [*parts, *of_topics] if isinstance(part, str) and part in swept]
    if not sweeps:
        return [method]
    if len({tuple(swept[part]) for part in sweeps}) > 1:
        raise ValueError(
            f"method '{method.get('name')}': {' and '.join(sweeps)} are swept over different n_clusters; name the "
            "clusterings that belong together"
        )
    made = []
    for count in swept[sweeps[0]]:
        own = {**method, "name": f"{method.get('name')}-{count}"}
        if named is not None:
            own["clustering"] = _with_count(named, sweeps, count)
        if isinstance(topics, dict) and told_apart is not None:
            own["topics"] = {**topics, "clustering": _with_count(told_apart, sweeps, count)}
        made.append(own)
    return made


def _listed(named: Any) -> list[Any]:
    return named if isinstance(named, list) else [named]


def _with_count(named: Any, sweeps: list[str], count: int) -> Any:
    chosen = [f"{part}-{count}" if part in sweeps else part for part in _listed(named)]
    return chosen if isinstance(named, list) else chosen[0]
