"""What every grouping algorithm reads, and what it returns: which cluster each row belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np

from metapt_explore.clusters.reduce import reduce_embeddings
from metapt_explore.config import ClusteringConfig
from metapt_explore.errors import UserError
from metapt_explore.seeds import stream
from metapt_explore.storage.shards import Vectors

Settings = TypeVar("Settings", bound=ClusteringConfig, covariant=True)


@dataclass(frozen=True, eq=False)
class Inputs(Generic[Settings]):
    """What a grouping algorithm may read; see `cluster`. `seed` is the clustering's own, else the study's."""

    embeddings: Vectors
    config: Settings
    seed: int
    groups: list[str | None] | None = None
    like: np.ndarray | None = None
    like_names: Mapping[int, str] | None = None
    texts: list[str] | None = None

    @cached_property
    def reduced(self) -> np.ndarray:
        """The vectors that are clustered, ``[rows, dimensions]``; see `reduce_embeddings`."""
        return reduce_embeddings(self.embeddings, self.config.dimensions)

    @cached_property
    def sample(self) -> np.ndarray | None:
        """Rows that are fitted, ascending; None where that is all of them (`ClusteringConfig.fitted_rows`)."""
        rows = len(self.embeddings)
        fitted = self.config.fitted_rows(rows)
        if fitted >= rows:
            return None
        drawn = stream(self.seed, "clustering", "fit_rows").choice(rows, fitted, replace=False)
        return np.sort(drawn)

    @property
    def fitted(self) -> np.ndarray:
        """The vectors that are fitted, ``[rows or sample, dimensions]``."""
        return self.reduced if self.sample is None else self.reduced[self.sample]

    def refusal(self, reason: str) -> UserError:
        return UserError(f"Clustering '{self.config.name}': {reason}")

    def check_same(self, again: np.ndarray, labels: np.ndarray) -> None:
        """Refuses to go on where clustering again gave other clusters than those that were found before."""
        if other := int((again != labels).sum()):
            raise self.refusal(
                f"clustered again, {other} of {len(labels)} texts are in another cluster than before, so memberships "
                "would be those of other clusters. Another version of a library, or another machine, has made the "
                "clusters: run the study here, in a new workspace."
            )


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which cluster each row belongs to.

    Attributes:
        labels: ``[rows]`` integers; a cluster id, or -1 for an outlier or a row without a group.
        membership: ``[rows]`` in 0..1, how firmly a row belongs to its cluster; 0 for -1.
        names: Names of clusters by id, where they have one (known groups, edited clusters).
        moved: ``[rows]`` whether a row was an outlier that was given a cluster afterwards; None where none could be.
    """

    labels: np.ndarray
    membership: np.ndarray
    names: Mapping[int, str] | None = None
    moved: np.ndarray | None = None


def ids_by_size(labels: np.ndarray) -> np.ndarray:
    """Ids of clusters, the largest first; ties go to the cluster whose first row comes first.

    Args:
        labels: ``[rows]`` integers; negative entries are in no cluster.

    Example:
        >>> ids_by_size(np.array([7, 3, -1, 3])).tolist()
        [3, 7]
    """
    ids, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    inside = ids >= 0
    order = np.lexsort((first[inside], -sizes[inside]))
    by_size: np.ndarray = ids[inside][order]
    return by_size


def renumber_by_size(labels: np.ndarray) -> np.ndarray:
    """Renumbers clusters so that 0 is the largest; ties go to the cluster whose first row comes first.

    Args:
        labels: ``[rows]`` integers; negative entries become -1.

    Returns:
        ``[rows]`` integers without gaps in the ids.

    Example:
        >>> renumber_by_size(np.array([7, 3, -1, 3])).tolist()
        [1, 0, -1, 0]
    """
    order = ids_by_size(labels)
    if not len(order):
        return np.full(len(labels), -1, dtype=np.int64)
    new_id = np.full(int(order.max()) + 1, -1, dtype=np.int64)
    new_id[order] = np.arange(len(order))
    renumbered: np.ndarray = np.where(labels >= 0, new_id[np.maximum(labels, 0)], -1)
    return renumbered
