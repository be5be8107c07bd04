"""How well separated clusters are, and how far they agree with groups that are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from metapt_explore.seeds import stream

SILHOUETTE_ROWS = 5000  # every pair of rows is measured: 25 million distances at most
DBCV_ROWS = 3000  # likewise, with a spanning tree for each cluster


def cluster_quality(reduced: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, Any]:
    """Measures a grouping by the distances between its rows; outliers are left out.

    All but `dbcv` favour round clusters of equal density, which kmeans makes by construction:
    compare runs of one algorithm with them rather than two algorithms.

    Args:
        reduced: ``[rows, dimensions]`` vectors, see `reduce_embeddings`.
        labels: ``[rows]`` cluster ids, negative for outliers.
        seed: The study seed; it draws the rows for the silhouette where there are over 5000, and for
            `dbcv` where there are over 3000.

    Returns:
        ``silhouette`` (-1..1, higher is better; Rousseeuw, 1987), ``davies_bouldin`` (from 0, lower
        is better; 1979), ``calinski_harabasz`` (higher is better; 1974), each None where fewer than
        two clusters, or only clusters of one row, leave nothing to measure; ``silhouette_rows``,
        ``outlier_share`` (0..1), ``n_clusters``, ``sizes`` (cluster id to rows), ``dbcv`` and ``dbcv_rows``
        (see `density_validity`).

    Example:
        >>> points = np.array([[0.0], [0.1], [9.0], [9.1]])
        >>> round(cluster_quality(points, np.array([0, 0, 1, 1]), seed=0)["silhouette"], 2)
        0.99
    """
    labels = np.asarray(labels)
    inside = np.flatnonzero(labels >= 0)
    ids, sizes = np.unique(labels[inside], return_counts=True)
    sample = inside
    if len(inside) > SILHOUETTE_ROWS:
        chosen = stream(seed, "quality", "silhouette").choice(len(inside), SILHOUETTE_ROWS, replace=False)
        sample = inside[np.sort(chosen)]
    silhouette = davies_bouldin = calinski_harabasz = None
    if _measurable(labels[inside]):
        from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

        measured = reduced if len(inside) == len(reduced) else reduced[inside]
        davies_bouldin = float(davies_bouldin_score(measured, labels[inside]))
        calinski_harabasz = float(calinski_harabasz_score(measured, labels[inside]))
        if _measurable(labels[sample]):  # a sample may miss small clusters
            silhouette = float(silhouette_score(reduced[sample], labels[sample], metric="euclidean"))
    return {
        "silhouette": silhouette,
        "silhouette_rows": len(sample) if silhouette is not None else 0,
        **_density(reduced, labels, seed),
        "davies_bouldin": davies_bouldin,
        "calinski_harabasz": calinski_harabasz,
        "outlier_share": 1.0 - len(inside) / len(labels) if len(labels) else 0.0,
        "n_clusters": len(ids),
        "sizes": {int(cluster_id): int(size) for cluster_id, size in zip(ids, sizes, strict=True)},
    }


def _density(reduced: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, Any]:
    rows = np.arange(len(labels))
    if len(rows) > DBCV_ROWS:
        rows = np.sort(stream(seed, "quality", "dbcv").choice(len(rows), DBCV_ROWS, replace=False))
    validity = density_validity(reduced[rows], labels[rows])
    return {"dbcv": validity, "dbcv_rows": len(rows) if validity is not None else 0}


def density_validity(vectors: np.ndarray, labels: np.ndarray) -> float | None:
    """Density-based clustering validation (DBCV; Moulavi et al., SDM 2014).

    For each cluster: the density on the sparsest inner edge of its spanning tree against the density between it and
    its nearest cluster. Clusters of any shape can score well, which no other measure here allows. The mean over
    clusters is weighted by their share of all rows, so outliers lower it. With many dimensions nearly every clustering
    of texts is below 0; compare values only on the same vectors.

    Args:
        vectors: ``[rows, dimensions]``; every pair inside a cluster, and between two, is measured.
        labels: ``[rows]`` cluster ids, negative for outliers. A cluster of one row counts as an outlier.

    Returns:
        -1..1, higher is better; None where there are fewer than two clusters, or the density of one is not a finite
        number (all of its rows are equal, say).

    Example:
        >>> points = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]])
        >>> density_validity(points, np.array([0, 0, 0, 1, 1, 1])) > 0.9
        True
    """
    labels = np.asarray(labels)
    ids, sizes = np.unique(labels[labels >= 0], return_counts=True)
    measured = ids[sizes > 1]
    if len(measured) < 2:
        return None
    from hdbscan.validity import validity_index

    numbered = np.full(len(labels), -1, dtype=np.int64)
    for number, cluster_id in enumerate(measured):
        numbered[labels == cluster_id] = number
    try:
        with np.errstate(all="ignore"):
            validity = float(validity_index(np.ascontiguousarray(vectors, dtype=np.float64), numbered))
    # Raised for clusters that it cannot measure.
    except (AssertionError, ValueError, FloatingPointError, ZeroDivisionError):
        return None
    return validity if np.isfinite(validity) else None


def _measurable(labels: np.ndarray) -> bool:
    """Two clusters, and at least one of more than one row, is what the measures are defined for."""
    return 2 <= len(np.unique(labels)) < len(labels)


def agreement(labels: np.ndarray, groups: list[str | None] | None) -> dict[str, Any] | None:
    """Compares clusters with known groups, over the rows that have both.

    Both measures are corrected for chance: about 0 for unrelated groupings, 1 for equal ones
    whatever the ids (Hubert and Arabie, 1985; Vinh, Epps and Bailey, 2010).

    Args:
        labels: ``[rows]`` cluster ids, negative for outliers.
        groups: The known group of each row, None where there is none.

    Returns:
        ``adjusted_rand_index``, ``adjusted_mutual_information`` and ``rows`` (rows compared), or
        None where fewer than two rows have both a cluster and a group.

    Example:
        >>> agreement(np.array([1, 1, 0, -1]), ["a", "a", "b", "b"])["adjusted_rand_index"]
        1.0
    """
    if groups is None:
        return None
    pairs = [
        (int(label), group) for label, group in zip(labels, groups, strict=True) if label >= 0 and group is not None
    ]
    if len(pairs) < 2:
        return None
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    known, clusters = [group for _, group in pairs], [label for label, _ in pairs]
    return {
        "adjusted_rand_index": float(adjusted_rand_score(known, clusters)),
        "adjusted_mutual_information": float(adjusted_mutual_info_score(known, clusters)),
        "rows": len(pairs),
    }
