"""Principal components and means of many vectors, a part at a time: what `reduce.py` does, without copies of them all.

Sums are kept in float64, parts and results in float32: a million vectors of 384 numbers take 0.2 GB for their 50
components, where copies in float64 would take 3 GB each.
"""

from __future__ import annotations

import numpy as np

from metapt_explore.errors import UserError
from metapt_explore.storage.shards import Vectors, parts


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1 in float32; a row of zeros stays zero.

    Example:
        >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).round(2).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    # In float64: squares of large numbers overflow in float32.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, None].astype(np.float32)
    unit: np.ndarray = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit


def components_of_many(vectors: Vectors, dimensions: int, *, unit: bool) -> np.ndarray:
    """Projects rows on their first principal components, as `reduce.principal_components` does.

    Args:
        vectors: ``[rows, width]``; more rows than width.
        dimensions: Components wanted.
        unit: Whether rows are scaled to length 1 first.

    Returns:
        ``[rows, min(dimensions, width)]`` in float32, centred on zero.

    Raises:
        UserError: Where a vector is not a finite number.
    """
    rows, width = vectors.shape
    dimensions = min(dimensions, width)
    shift, sums, products = np.zeros(width, np.float32), np.zeros(width), np.zeros((width, width))
    broken = 0
    for chosen, part in parts(vectors):
        broken += int((~np.isfinite(part).all(axis=1)).sum())
        part = unit_rows(part) if unit else part
        if chosen.start == 0:  # near the mean, so that its square takes no digits from the variance
            shift = part.mean(axis=0)
        part = part - shift
        sums += part.sum(axis=0, dtype=np.float64)
        products += part.T @ part
    if broken:
        raise UserError(not_finite(broken, rows))
    mean = sums / rows
    _, axes = np.linalg.eigh(products / rows - np.outer(mean, mean))
    axes = axes[:, ::-1][:, :dimensions]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(dimensions)]
    axes = (axes * np.where(largest < 0, -1.0, 1.0)).astype(np.float32)
    centre = (shift + mean).astype(np.float32)
    out = np.empty((rows, dimensions), dtype=np.float32)
    for chosen, part in parts(vectors):
        out[chosen] = ((unit_rows(part) if unit else part) - centre) @ axes
    return out


def not_finite(broken: int, rows: int) -> str:
    """What is wrong with vectors that are not finite, and what to do."""
    return (
        f"{broken} of {rows} embeddings hold values that are not finite numbers. "
        "Use another encoder, or encode the texts again."
    )


def means_of_many(vectors: Vectors, labels: np.ndarray, *, unit: bool) -> np.ndarray:
    """Mean of each cluster's rows, ``[clusters, width]`` in float64.

    Args:
        vectors: ``[rows, width]``.
        labels: ``[rows]`` cluster ids without gaps, negative for rows that are left out.
        unit: Whether rows are scaled to length 1 first.
    """
    from scipy.sparse import csr_matrix

    clusters = int(labels.max()) + 1
    sums = np.zeros((clusters, vectors.shape[1]))
    for chosen, part in parts(vectors):
        here = labels[chosen]
        inside = np.flatnonzero(here >= 0)
        ones = np.ones(len(inside), dtype=np.float32)
        members = csr_matrix((ones, (here[inside], inside)), shape=(clusters, len(here)))
        sums += members @ (unit_rows(part) if unit else part)
    counts = np.bincount(labels[labels >= 0], minlength=clusters)
    means: np.ndarray = sums / np.maximum(counts, 1)[:, None]
    return means
