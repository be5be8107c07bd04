"""The texts that are most like one text."""

from __future__ import annotations

import numpy as np

from metapt_explore.clusters.reduce import normalise


def nearest(embeddings: np.ndarray, row: int, count: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """The rows whose embeddings have the largest cosine similarity with a row's, most similar first.

    Args:
        embeddings: ``[rows, width]``.
        row: Whose neighbours; not among them itself.
        count: How many at most.

    Returns:
        Rows and similarities, each ``[min(count, rows - 1)]``; of equal similarities the lower row comes first. A text
        without an embedding (zeros) has similarity 0 with all.

    Example:
        >>> rows, similarity = nearest(np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]]), 0)
        >>> rows.tolist(), similarity.tolist()
        ([2, 1], [0.6, 0.0])
    """
    own = normalise(embeddings[row : row + 1])[0]
    lengths = np.linalg.norm(embeddings, axis=1)
    products = np.asarray(embeddings @ own.astype(embeddings.dtype), dtype=np.float64)
    similarity = np.divide(products, lengths, out=np.zeros(len(embeddings)), where=lengths > 0)
    order = np.argsort(-similarity, kind="stable")
    order = order[order != row][:count]
    return order, similarity[order]
