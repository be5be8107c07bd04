"""Clusters edited by hand: merged, split, left out, renamed, or gathered from single texts.

Edits are lines of the study file. The clustering that they start from does not change; the edited one is another
clustering with its own id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metapt_explore.clusters.centroids import cosine_to_own
from metapt_explore.clusters.grouping import Grouping, Inputs
from metapt_explore.clusters.reduce import normalise, reduce_embeddings
from metapt_explore.config import ClusterEdit, EditedClustering
from metapt_explore.errors import UserError
from metapt_explore.seeds import derived_seed
from metapt_explore.storage.shards import Vectors

#: Cuts the given rows into so many parts: (rows, parts, position of the edit) -> ``[len(rows)]`` part of each.
Cut = Callable[[np.ndarray, int, int], np.ndarray]


@dataclass(frozen=True, eq=False)
class Edited:
    """Clusters after some edits.

    Attributes:
        labels: ``[rows]`` cluster ids, -1 for rows in none. Ids stay the same between edits: a merged cluster has the
            first of its ids, the largest part of a split one keeps its id.
        names: Names that clusters were given, by id.
        excluded: How many rows were left out by hand.
    """

    labels: np.ndarray
    names: dict[int, str]
    excluded: int

    def without_gaps(self) -> Edited:
        """The same clusters with ids from 0 up, in their order."""
        ids = np.unique(self.labels[self.labels >= 0])
        new_ids = {int(old): new for new, old in enumerate(ids)}
        labels = np.array([new_ids.get(int(label), -1) for label in self.labels], dtype=np.int64)
        return Edited(labels, {new_ids[old]: name for old, name in self.names.items() if old in new_ids}, self.excluded)


def apply_edits(
    labels: np.ndarray, edits: Sequence[ClusterEdit], cut: Cut, *, names: Mapping[int, str] | None = None
) -> Edited:
    """Applies edits one after the other; each refers to the clusters that the edits before it left.

    Args:
        labels: ``[rows]`` cluster ids, -1 for rows in none.
        edits: What to do.
        cut: Splits rows, see `Cut`.
        names: Names that clusters were given before, by id.

    Raises:
        UserError: Where an edit names a cluster that is not there, or splits one that is too small; it says which edit.

    Example:
        >>> made = apply_edits(np.array([0, 1, 2, 2]), [ClusterEdit(merge=[1, 2]), ClusterEdit(exclude=[0])], None)
        >>> made.labels.tolist(), made.excluded
        ([-1, 1, 1, 1], 1)
    """
    labels = np.asarray(labels, dtype=np.int64).copy()
    named, excluded = dict(names or {}), 0
    for position, edit in enumerate(edits):
        _check(edit, position, labels)
        if edit.merge is not None:
            first, *others = edit.merge
            labels[np.isin(labels, others)] = first
            named = {cluster: name for cluster, name in named.items() if cluster not in others}
        elif edit.split is not None:
            labels = _split(labels, edit, position, cut=cut)
            named.pop(edit.split, None)
        elif edit.exclude is not None:
            gone = np.isin(labels, edit.exclude)
            excluded += int(gone.sum())
            labels[gone] = -1
            named = {cluster: name for cluster, name in named.items() if cluster not in edit.exclude}
        elif edit.rename is not None:
            named |= edit.rename
        elif edit.gather is not None:
            labels, named = _gather(labels, edit, position, names=named)
    return Edited(labels, named, excluded)


def _check(edit: ClusterEdit, position: int, labels: np.ndarray) -> None:
    known = set(np.unique(labels[labels >= 0]).tolist())
    for cluster in edit.clusters:
        if cluster not in known:
            raise UserError(
                f"edit {position + 1} ({edit}): there is no cluster {cluster} at that point; there are "
                f"{', '.join(map(str, sorted(known))) or 'none'}."
            )
    if edit.exclude is not None and known <= set(edit.exclude):
        raise UserError(f"edit {position + 1} ({edit}): no cluster would be left.")


def _gather(
    labels: np.ndarray, edit: ClusterEdit, position: int, *, names: dict[int, str]
) -> tuple[np.ndarray, dict[int, str]]:
    """The rows as a cluster with the next free id; clusters that lose all their rows are gone, and their names."""
    rows = edit.rows
    if rows[-1] >= len(labels):
        raise UserError(
            f"edit {position + 1}: there is no row {rows[-1]}: the study has {len(labels)} texts, rows 0 to "
            f"{len(labels) - 1}."
        )
    labels = labels.copy()
    labels[rows] = next_id(labels)
    left = set(labels.tolist())
    return labels, {cluster: name for cluster, name in names.items() if cluster in left}


def next_id(labels: np.ndarray) -> int:
    """The id that the next new cluster gets."""
    return int(labels.max(initial=-1)) + 1


def _split(labels: np.ndarray, edit: ClusterEdit, position: int, *, cut: Cut) -> np.ndarray:
    cluster, into = edit.split, edit.into
    rows = np.flatnonzero(labels == cluster)
    if len(rows) < into:
        raise UserError(
            f"edit {position + 1}: cluster {cluster} has {len(rows)} texts and cannot be split into {into}."
        )
    parts = np.asarray(cut(rows, into, position))
    ids, first, sizes = np.unique(parts, return_index=True, return_counts=True)
    if len(ids) < into:
        raise UserError(
            f"edit {position + 1}: the texts of cluster {cluster} have only {len(ids)} different embeddings and cannot "
            f"be split into {into}."
        )
    order = ids[np.lexsort((first, -sizes))]
    labels = labels.copy()
    first_new = next_id(labels)
    for number, part in enumerate(order[1:]):
        labels[rows[parts == part]] = first_new + number
    return labels


def kmeans_cut(embeddings: Vectors, dimensions: int, seed: int) -> Cut:
    """Splits by k-means on the principal components of the rows' own embeddings.

    Args:
        embeddings: ``[rows, width]`` of all texts.
        dimensions: Principal components.
        seed: Of the clustering; the position of the edit is added to it.
    """

    def cut(rows: np.ndarray, into: int, position: int) -> np.ndarray:
        from sklearn.cluster import KMeans

        if len(np.unique(normalise(embeddings[rows]), axis=0)) < into:
            return np.zeros(len(rows), dtype=np.int64)
        reduced = reduce_embeddings(embeddings[rows], dimensions)
        state = derived_seed(seed, "clustering", "split", position) % 2**32
        parts: np.ndarray = KMeans(n_clusters=into, n_init=4, random_state=state).fit(reduced).labels_
        return parts

    return cut


def edited(inputs: Inputs[EditedClustering]) -> Grouping:
    """Another clustering, edited by hand.

    Membership is the cosine similarity of a row with the mean of its cluster, as in k-means.
    """
    if inputs.like is None:
        raise ValueError(f"`like` must hold the labels of clustering '{inputs.config.like}'")
    cut = kmeans_cut(inputs.embeddings, inputs.config.dimensions, inputs.seed)
    try:
        made = apply_edits(inputs.like, inputs.config.edits, cut, names=inputs.like_names).without_gaps()
    except UserError as error:
        raise inputs.refusal(str(error)) from None
    return Grouping(made.labels, cosine_to_own(inputs.embeddings, made.labels), made.names or None)
