"""One grouping of texts from beginning to end: clusters, their map, names and quality."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.clusters.algorithms import group_rows
from metapt_explore.clusters.describe import describe
from metapt_explore.clusters.fit_words import fit_facts
from metapt_explore.clusters.grouping import Inputs
from metapt_explore.clusters.outliers import count_moved
from metapt_explore.clusters.quality import agreement, cluster_quality
from metapt_explore.clusters.reduce import project
from metapt_explore.config import ClusteringConfig, limits
from metapt_explore.seeds import stream
from metapt_explore.storage.shards import Vectors

#: Rows that an agreement with known groups is measured on, where there are many.
AGREEMENT_ROWS = 50_000
#: What is done, and up to which share of all of it.
STEPS = {"principal components": 0.08, "clusters": 0.75, "map": 0.8, "words": 0.92, "quality": 1.0}


@dataclass(frozen=True, eq=False)
class ClusterJob:
    """What a grouping is made from.

    Attributes:
        vectors: ``[rows, width]``.
        config: The clustering.
        seed: The study's.
        texts: One text a row.
        groups: The known group of each row, None where there is none.
        classes: Label of each row; not counted when absent.
        like: Labels of the clustering that is copied or edited.
        names: Names that its clusters were given.
    """

    vectors: Vectors
    config: ClusteringConfig
    seed: int
    texts: list[str]
    groups: list[str | None]
    classes: Sequence[str | None] | None = None
    like: np.ndarray | None = None
    names: Mapping[int, str] | None = None


def make_clusters(
    job: ClusterJob, begin: Callable[[str], None] = lambda step: None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Groups texts, draws their map and measures the groups.

    Args:
        job: What it is made from.
        begin: Called with each of `STEPS` as it begins; may raise to stop.

    Returns:
        Table with row, cluster, membership, x, y (and moved, where outliers could be), and the summary.

    Raises:
        UserError: Where the rows cannot be grouped as asked.
    """
    config, inputs = job.config, inputs_of(job)
    if len(job.vectors) > limits.MANY_TEXTS:
        begin("principal components")
        inputs.reduced  # noqa: B018
    begin("clusters")
    grouping = group_rows(inputs)
    begin("map")
    reduced, position = inputs.reduced, project(job.vectors)
    begin("words")
    labels = grouping.labels
    clusters = describe(labels, grouping.membership, job.texts, given_names=grouping.names, classes=job.classes)
    table = pd.DataFrame(
        {
            "row": np.arange(len(labels)),
            "cluster": labels,
            "membership": grouping.membership,
            "x": position[:, 0],
            "y": position[:, 1],
            **({} if grouping.moved is None else {"moved": grouping.moved}),
        }
    )
    begin("quality")
    moved = count_moved(config.model_dump(), labels, grouping.moved)
    fit = fit_facts(config, len(labels), len(np.unique(labels[labels >= 0])))
    summary = {
        "clusters": clusters,
        "outliers": int((labels == -1).sum()),
        **({"moved": moved} if moved else {}),
        **({"fit": fit} if fit else {}),
        "quality": cluster_quality(reduced, labels, job.seed),
        "agreement": _agreement(labels, job.groups, job.seed),
    }
    return table, summary


def inputs_of(job: ClusterJob) -> Inputs[Any]:
    """What its algorithm reads."""
    seed = job.seed if job.config.own_seed is None else job.config.own_seed
    return Inputs(job.vectors, job.config, seed, job.groups, job.like, job.names, job.texts)


def _agreement(labels: np.ndarray, groups: list[str | None], seed: int) -> dict[str, Any] | None:
    if len(labels) <= limits.MANY_TEXTS:
        return agreement(labels, groups)
    both = np.flatnonzero((labels >= 0) & np.array([group is not None for group in groups]))
    chosen = both
    if len(both) > AGREEMENT_ROWS:  # at random: every k-th row would miss groups that take turns in the data
        drawn = stream(seed, "clustering", "agreement").choice(len(both), AGREEMENT_ROWS, replace=False)
        chosen = both[np.sort(drawn)]
    return agreement(labels[chosen], [groups[row] for row in chosen.tolist()])
