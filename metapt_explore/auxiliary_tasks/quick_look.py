"""How many auxiliary tasks different numbers of clusters would give: a quick look before a study is made.

The study clusters sentence embeddings; no model is loaded here, so texts are clustered by their words. What comes
out is near in kind, not the same: labels that are topics make pure clusters either way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metapt_explore.clusters.algorithms import cluster
from metapt_explore.clusters.word_vectors import word_vectors
from metapt_explore.config import ClusteringConfig
from metapt_explore.errors import UserError
from metapt_explore.seeds import stream

#: Numbers of clusters that are tried.
COUNTS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
#: Texts that are looked at; of more a random sample.
MOST_TEXTS = 3000
#: What the fewest clusters must reach of the best number's score to be recommended in its place.
NEARLY = 0.75
#: Characters of a text that are read, about as many as a sentence encoder reads.
MOST_CHARACTERS = 1500
#: Purity (share of texts with the commonest label of their cluster) from which clusters say the label. Labels that have
#: nothing to do with the clusters reach 0.65 where two are as frequent and clusters hold `PURE_ROWS`.
PURE, PURE_ROWS = 0.85, 8


@dataclass(frozen=True)
class TaskCount:
    """What a number of clusters gives.

    Attributes:
        n_clusters: How many clusters.
        tasks: Those that are usable as auxiliary tasks.
        used: Share of the labelled texts (all texts where none has a label) that lie in them.
    """

    n_clusters: int
    tasks: int
    used: float

    @property
    def score(self) -> float:
        """More tasks are better, ever less so; texts that are left out count against them."""
        return math.log2(1 + self.tasks) * self.used if self.tasks > 1 else 0.0

    def __str__(self) -> str:
        tasks = f"{self.tasks or 'no'} usable task{'s' * (self.tasks != 1)}"
        return f"{self.n_clusters} clusters give {tasks}" + (
            f" with {self.used * 100:.0f} % of the texts" if self.tasks else ""
        )


class QuickLook:
    """Rows of every label in the clusters of any number of clusters.

    Args:
        vectors: ``[looked, width]`` of the texts that are clustered.
        ids: ``[looked]`` place of each text's label, negative where it has none.
        labels: How many labels there are; 1 where clusters are to be classes.
        rows: Texts that the study will take. Those that are looked at are a sample of them, or of more.
        seed: Of k-means.
    """

    def __init__(self, vectors: np.ndarray, ids: np.ndarray, *, labels: int, rows: int, seed: int = 0) -> None:
        self.vectors, self.ids, self.labels, self.rows, self.seed = vectors, ids, labels, rows, seed
        self._clusters: dict[int, np.ndarray | None] = {}

    def of_classes(self) -> QuickLook:
        """The same clusters of all texts, labelled or not: what clusters as classes are made of."""
        whole = QuickLook(self.vectors, np.zeros_like(self.ids), labels=1, rows=self.rows, seed=self.seed)
        whole._clusters = self._clusters
        return whole

    def table(self, n_clusters: int) -> np.ndarray | None:
        """Rows ``[clusters, labels]``; None where the texts are too few, or too alike, for so many clusters."""
        if n_clusters not in self._clusters:
            config = ClusteringConfig(name="quick look", algorithm="kmeans", n_clusters=n_clusters)
            try:
                if len(self.vectors) < n_clusters or not np.ptp(self.vectors, axis=0).any():
                    raise UserError("The texts are too few, or have the same words.")
                self._clusters[n_clusters] = cluster(self.vectors, config, self.seed).labels
            except UserError:
                self._clusters[n_clusters] = None
        clusters = self._clusters[n_clusters]
        if clusters is None:
            return None
        table = np.zeros((n_clusters, self.labels), dtype=np.int64)
        np.add.at(table, (clusters[self.ids >= 0], self.ids[self.ids >= 0]), 1)
        return table

    def count(self, n_clusters: int, *, min_size: int, min_per_label: int) -> TaskCount | None:
        """Usable tasks at a number of clusters, under these bounds; None where there are no such clusters.

        Args:
            n_clusters: How many.
            min_size: Labelled rows that a cluster needs.
            min_per_label: Rows of each label that it needs.

        Example:
            >>> vectors = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
            >>> look = QuickLook(vectors, np.array([0, 1, 0, 0]), labels=2, rows=4)
            >>> print(look.count(2, min_size=2, min_per_label=1))
            2 clusters give 1 usable task with 50 % of the texts
        """
        table = self.table(n_clusters)
        if table is None:
            return None
        # A sample stands for all: its clusters have so many times its rows.
        whole = table * (self.rows / max(1, len(self.vectors)))
        usable = (whole.sum(axis=1) >= min_size) & (whole >= min_per_label).all(axis=1)
        share = float(table[usable].sum() / max(1, table.sum()))
        return TaskCount(n_clusters, int(usable.sum()), share)

    def counts(self, *, min_size: int, min_per_label: int) -> list[TaskCount]:
        """Usable tasks at every number of `COUNTS` that the texts allow, under these bounds (see `count`)."""
        counted = (self.count(number, min_size=min_size, min_per_label=min_per_label) for number in COUNTS)
        return [count for count in counted if count is not None]

    def purity(self, n_clusters: int) -> float:
        """Share of labelled texts that have the commonest label of their cluster; 0 without clusters."""
        table = self.table(n_clusters)
        return 0.0 if table is None else float(table.max(axis=1).sum() / max(1, table.sum()))

    @property
    def purest(self) -> tuple[int, float]:
        """The number of clusters (of `PURE_ROWS` or more on average) that says the label best, and its purity."""
        large = [number for number in COUNTS if self.labels <= number <= len(self.vectors) / PURE_ROWS]
        return max(((number, self.purity(number)) for number in large), key=lambda each: each[1], default=(0, 0.0))

    @property
    def is_pure(self) -> bool:
        """Whether clusters nearly say the label: an encoder, which tells topics apart better, will say it then."""
        return self.labels > 1 and self.purest[1] >= PURE


def recommended(counts: Sequence[TaskCount]) -> int | None:
    """The fewest clusters that give nearly as many tasks, with nearly as many texts in them, as any number does.

    Args:
        counts: What each number gives.

    Returns:
        The number of clusters; None where no number gives two tasks.

    Example:
        >>> recommended([TaskCount(2, 2, 1.0), TaskCount(8, 8, 0.97), TaskCount(16, 9, 0.6)])
        8
    """
    best = max((count.score for count in counts), default=0.0)
    if not best:
        return None
    return min(count.n_clusters for count in counts if count.score >= NEARLY * best)


def quick_look(
    texts: Sequence[str],
    classes: Sequence[str | None] | None,
    label_names: Sequence[str],
    *,
    rows: int | None = None,
    seed: int = 0,
) -> QuickLook:
    """Reads texts by their words; clusters are made as numbers of them are asked for.

    Args:
        texts: One text a row.
        classes: The label name of each row, None for an unlabelled one; None where clusters are to be classes.
        label_names: The labels of the auxiliary tasks.
        rows: Texts that the study will take, where they are fewer.
        seed: Of the sample and of k-means.

    Example:
        >>> look = quick_look(["warm soup", "cold soup", "a train", "the train"], None, [])
        >>> look.table(2).tolist()
        [[2], [2]]
    """
    looked = np.arange(len(texts))
    if len(looked) > MOST_TEXTS:
        looked = np.sort(stream(seed, "quick look").permutation(len(looked))[:MOST_TEXTS])
    chosen = looked.tolist()
    vectors = word_vectors([texts[row][:MOST_CHARACTERS] for row in chosen], seed=seed)
    if classes is None:
        ids = np.zeros(len(chosen), dtype=np.int64)
    else:
        order: dict[str | None, int] = {name: place for place, name in enumerate(label_names)}
        ids = np.array([order.get(classes[row], -1) for row in chosen], dtype=np.int64)
    labels = 1 if classes is None else len(label_names)
    whole = len(texts) if rows is None else min(rows, len(texts))
    return QuickLook(vectors, ids, labels=labels, rows=whole, seed=seed)
