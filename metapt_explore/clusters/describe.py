"""What each cluster of a grouping is: its name, keywords, size and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metapt_explore.clusters.label_counts import count_labels
from metapt_explore.clusters.names import cluster_name, keywords


def describe(
    labels: np.ndarray,
    membership: np.ndarray,
    texts: Sequence[str],
    given_names: Mapping[int, str] | None = None,
    classes: Sequence[str | None] | None = None,
) -> list[dict[str, Any]]:
    """Describes clusters, in the order of their ids.

    Args:
        labels: ``[rows]`` cluster ids, -1 for outliers.
        membership: ``[rows]`` how firmly a row belongs to its cluster.
        texts: One text a row.
        given_names: What clusters are called that have a name of their own; others are called after their keywords.
        classes: Label of each row, None where it has none; not counted when absent.

    Returns:
        For each cluster ``cluster``, ``name``, ``given_name`` (where it has one), ``rows``, ``keywords``, ``labels``
        (label to number, where `classes` are given) and ``membership`` (mean).

    Example:
        >>> found = describe(np.array([0, 0]), np.array([0.5, 1.0]), ["a phone", "the phone"], {0: "phones"})
        >>> found[0]["name"], found[0]["rows"], found[0]["membership"]
        ('0: phones', 2, 0.75)
    """
    words = keywords(texts, labels)
    labels_of = count_labels(labels, list(classes)) if classes is not None else {}
    clusters = []
    for cluster in sorted(set(labels.tolist()) - {-1}):
        members = labels == cluster
        given = (given_names or {}).get(cluster)
        clusters.append(
            {
                "cluster": int(cluster),
                "name": f"{cluster}: {given}" if given else cluster_name(cluster, words.get(cluster, [])),
                **({"given_name": given} if given else {}),
                "rows": int(members.sum()),
                "keywords": words.get(cluster, []),
                **({"labels": labels_of[cluster]} if classes is not None else {}),
                "membership": float(np.mean(membership[members])),
            }
        )
    return clusters
