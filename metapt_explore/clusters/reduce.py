"""Principal components: the vectors that are clustered and measured, and the map that texts lie on."""

from __future__ import annotations

import numpy as np

from metapt_explore.clusters.reduce_many import components_of_many, not_finite
from metapt_explore.config import limits
from metapt_explore.errors import UserError
from metapt_explore.storage.shards import Vectors


def normalise(vectors: np.ndarray) -> np.ndarray:
    """Scales every row to length 1; a row of zeros (an empty text) stays zero.

    Args:
        vectors: ``[rows, width]``.

    Returns:
        ``[rows, width]`` in float64.
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: np.ndarray = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit


def principal_components(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """Projects rows on their first principal components, with a sign that does not change.

    The sign of a principal component is arbitrary; here the coordinate with the largest absolute
    loading is positive, so that a map is not mirrored between machines or library versions.

    Args:
        vectors: ``[rows, width]``.
        dimensions: Components wanted; no more than rows or width are returned.

    Returns:
        ``[rows, min(dimensions, rows, width)]`` in float64, centred on zero.
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    rows, width = vectors.shape
    dimensions = min(dimensions, rows, width)
    if rows < 2 or dimensions == 0:  # one row is its own mean
        return np.zeros((rows, dimensions))
    from sklearn.decomposition import PCA

    # Both solvers are exact and draw no random numbers; the first is the fast one for many rows.
    solver = "covariance_eigh" if rows > width else "full"
    pca = PCA(n_components=dimensions, svd_solver=solver).fit(vectors)
    loadings = pca.components_
    largest = loadings[np.arange(len(loadings)), np.abs(loadings).argmax(axis=1)]
    reduced: np.ndarray = pca.transform(vectors) * np.where(largest < 0, -1.0, 1.0)
    return reduced


def reduce_embeddings(embeddings: Vectors, dimensions: int) -> np.ndarray:
    """Returns the vectors that kmeans and hdbscan see: L2-normalised, then principal components.

    On vectors of length 1 the Euclidean distance orders pairs as the cosine similarity does, which
    is what sentence encoders are trained for.

    Args:
        embeddings: ``[rows, width]``.
        dimensions: Principal components, `ClusteringConfig.dimensions`.

    Returns:
        ``[rows, min(dimensions, rows, width)]`` in float64; in float32 for more than 200,000 rows.

    Raises:
        UserError: Where an embedding is not a finite number.

    Example:
        >>> reduce_embeddings(np.eye(3), 2).shape
        (3, 2)
    """
    if len(embeddings) > limits.MANY_TEXTS:
        return components_of_many(embeddings, dimensions, unit=True)
    embeddings = np.asarray(embeddings)
    broken = int((~np.isfinite(embeddings).all(axis=1)).sum())
    if broken:
        raise UserError(not_finite(broken, len(embeddings)))
    return principal_components(normalise(embeddings), dimensions)


def project(vectors: Vectors) -> np.ndarray:
    """Projects rows on their first two principal components.

    A linear map keeps distant texts apart but may draw clusters over each other. It is exact, deterministic and takes
    seconds for 100,000 rows. The sign of each axis is fixed (see
    `principal_components`).

    Args:
        vectors: ``[rows, width]``, embeddings or reduced embeddings.

    Returns:
        ``[rows, 2]`` in float64 (float32 for more than 200,000 rows), in the units of the vectors and centred on zero;
        an axis that the vectors do not have (a width or number of rows below 2) is zero.

    Example:
        >>> project(np.array([[0.0, 0.0], [2.0, 0.0]]))[:, 0].tolist()
        [-1.0, 1.0]
    """
    if len(vectors) > limits.MANY_TEXTS:
        components = components_of_many(vectors, 2, unit=False)
    else:
        components = principal_components(np.asarray(vectors), 2)
    return np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
