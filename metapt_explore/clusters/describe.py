"""What each cluster of a grouping is: its name, keywords, size and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.clusters.names import cluster_name, keywords

#: How texts without a label are counted.
UNLABELLED = "unlabelled"


def describe(
    labels: np.ndarray,
    membership: np.ndarray,
    texts: Sequence[str],
    *,
    given_names: Mapping[int, str] | None = None,
    classes: Sequence[str | None] | None = None,
) -> list[dict[str, Any]]:
    """Describes clusters, in the order of their ids.

    Args:
        labels: ``[rows]`` cluster ids, -1 for outliers.
        membership: ``[rows]`` how firmly a row belongs to its cluster.
        texts: One text a row.
        given_names: Names of clusters by id; a cluster without one is called after its keywords.
        classes: Label of each row, None where it has none; not counted when absent.

    Returns:
        For each cluster ``cluster``, ``name``, ``given_name`` (where it has one), ``rows``, ``keywords``, ``labels``
        (label to number, where `classes` are given) and ``membership`` (mean).

    Example:
        >>> texts, membership = ["a phone", "the phone"], np.array([0.5, 1.0])
        >>> (cluster,) = describe(np.array([0, 0]), membership, texts, given_names={0: "phones"})
        >>> cluster["name"], cluster["rows"], cluster["membership"]
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


def count_labels(clusters: np.ndarray, classes: Sequence[str | None]) -> dict[int, dict[str, int]]:
    """Counts the labels of each cluster's texts.

    Args:
        clusters: ``[rows]`` cluster ids, negative for outliers, which are left out.
        classes: Class name of each row; anything but a name counts as unlabelled.

    Returns:
        For each cluster id its labels with their number of texts, the commonest first.

    Example:
        >>> count_labels(np.array([0, 0, 0, 1, -1]), ["good", None, "good", "bad", "bad"])
        {0: {'good': 2, 'unlabelled': 1}, 1: {'bad': 1}}
    """
    if len(clusters) != len(classes):
        raise ValueError(f"{len(classes)} classes for {len(clusters)} rows")
    names = pd.Series([name if isinstance(name, str) and name else UNLABELLED for name in classes])
    return {
        int(cluster): {str(k): int(v) for k, v in names[np.asarray(clusters) == cluster].value_counts().items()}
        for cluster in sorted(set(np.asarray(clusters).tolist()) - {-1})
    }
