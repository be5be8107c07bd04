"""Maps of the texts in two dimensions: principal components, t-SNE and UMAP."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from metapt_explore.clusters.reduce import project, reduce_embeddings
from metapt_explore.errors import UserError
from metapt_explore.seeds import derived_seed
from metapt_explore.storage.shards import Vectors

#: Principal components that t-SNE and UMAP read.
DIMENSIONS = 50
#: Neighbours of a text on a UMAP map, and the perplexity of a t-SNE map (both packages' defaults).
NEIGHBOURS, PERPLEXITY = 15, 30
#: Fewer texts than this have too few neighbours for either: they lie on their principal components.
FEWEST = 10
#: What installs UMAP.
UMAP_EXTRA = "pip install 'metapt-explore[maps]'"


@dataclass(frozen=True)
class Projection:
    """A way to lay texts out on a map.

    Attributes:
        title: What people call it.
        axes: What stands at the two axes.
        reading: How far its distances can be trusted, for people.
        place: (embeddings, seed) -> ``[rows, 2]``.
        package: The module that it needs beside the ones that are always there.
    """

    title: str
    axes: tuple[str, str]
    reading: str
    place: Callable[[Vectors, int], np.ndarray]
    package: str | None = None

    @property
    def installed(self) -> bool:
        """Whether its package is there; imports nothing."""
        return self.package is None or find_spec(self.package) is not None


def pca(embeddings: Vectors, seed: int) -> np.ndarray:
    """The first two principal components; draws nothing."""
    return project(embeddings)


def tsne(embeddings: Vectors, seed: int) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton, 2008) by the Barnes-Hut approximation, from the principal components.

    Args:
        embeddings: ``[rows, width]``.
        seed: Of the study.

    Returns:
        ``[rows, 2]`` in float64; equal for equal arguments on one machine.
    """
    points = reduce_embeddings(embeddings, DIMENSIONS)
    if len(points) < FEWEST:
        return project(embeddings)
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    model = TSNE(perplexity=perplexity, init="pca", random_state=derived_seed(seed, "tsne") % 2**32)
    return np.asarray(model.fit_transform(points), dtype=np.float64)


def umap(embeddings: Vectors, seed: int) -> np.ndarray:
    """UMAP (McInnes et al., 2018) over exact nearest neighbours.

    The neighbours come from scikit-learn: the package's own search is approximate, draws random numbers, and costs more
    to compile than it saves on the numbers of texts that a study has.

    Args:
        embeddings: ``[rows, width]``.
        seed: Of the study.

    Returns:
        ``[rows, 2]`` in float64; equal for equal arguments on one machine.

    Raises:
        UserError: Where umap-learn is not installed.
    """
    require("umap")
    points = reduce_embeddings(embeddings, DIMENSIONS)
    if len(points) < FEWEST:
        return project(embeddings)
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBOURS, len(points) - 1)
    # Row itself included, as UMAP counts.
    distances, neighbours = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points).kneighbors(points)
    with warnings.catch_warnings():
        # About one thread, which a seed asks for, and about placing texts later, which nobody does.
        warnings.simplefilter("ignore", UserWarning)
        from umap import UMAP

        model = UMAP(
            n_neighbors=count,
            random_state=derived_seed(seed, "umap") % 2**32,
            n_jobs=1,
            precomputed_knn=(neighbours, distances.astype(np.float32)),
        )
        return np.asarray(model.fit_transform(points), dtype=np.float64)


_NEAR = "Texts that lie side by side are alike; how far apart groups are, and how large, says little."
PROJECTIONS: dict[str, Projection] = {
    "pca": Projection(
        "PCA",
        ("first principal component (embedding units)", "second principal component (embedding units)"),
        "It shows two of many dimensions: clusters that overlap here can still be apart.",
        pca,
    ),
    "tsne": Projection("t-SNE", ("t-SNE 1", "t-SNE 2"), _NEAR, tsne),
    "umap": Projection("UMAP", ("UMAP 1", "UMAP 2"), _NEAR, umap, package="umap"),
}


def require(name: str) -> None:
    """Checks that a projection's package is there.

    Raises:
        UserError: With the line that installs it.
    """
    projection = PROJECTIONS[name]
    if not projection.installed:
        raise UserError(
            f"The {projection.title} map needs the package umap-learn, which is not installed: {UMAP_EXTRA}. PCA and "
            "t-SNE need nothing more."
        )
