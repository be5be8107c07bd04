"""What the clusterings of a study cost, measured on this machine where that is worth it, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from metapt_explore.config.embeddings import FileEmbeddings
from metapt_explore.cost.calibrate_clusterings import (
    OF_WORDS,
    calibrate_clustering,
    likely_texts,
    likely_vectors,
    seconds_around,
)
from metapt_explore.cost.clusterings import WIDTH, WORTH_S, ClusteringCost, clustering_cost
from metapt_explore.errors import UserError
from metapt_explore.progress.state import format_time
from metapt_explore.stages.clusters import Clusters
from metapt_explore.stages.embeddings import Embeddings
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.vectors import read_vectors_of
from metapt_explore.texts.open_rows import open_rows
from metapt_explore.texts.row_source import Irregular
from metapt_explore.texts.rows import texts_of, written_out
from metapt_explore.texts.scan_cost import is_large

if TYPE_CHECKING:
    from metapt_explore.study.study import Study

#: Vectors, and texts, that calibrations draw from.
DRAWN = 16_384


def clustering_costs(study: Study, rows: int, read: Artifact | None = None) -> dict[str, ClusteringCost]:
    """What each clustering that is not there yet costs on this machine, by its name.

    Those that take long are calibrated: some thousand vectors are clustered, of the study where they are there or in a
    file of one's own, else random ones of a like shape. Topics are calibrated on texts.

    Args:
        study: The study.
        rows: Its texts.
        read: The texts, where they were read.
    """
    costs: dict[str, ClusteringCost] = {}
    vectors: np.ndarray | None = None
    texts: list[str] = []
    around = 0.0
    for config in study.config.clusterings:
        if Clusters(study, config.name).is_there:
            continue
        rough = clustering_cost(config, rows)
        if max(rough.seconds, rough.whole_seconds or 0.0) < WORTH_S:
            costs[config.name] = rough
            continue
        if vectors is None:
            vectors = _some_vectors(study)
            around = seconds_around(vectors, rows)
        if config.algorithm in OF_WORDS and not texts:
            texts = _some_texts(study, read)
        law = calibrate_clustering(config, vectors, rows, texts)
        costs[config.name] = clustering_cost(config, rows, width=vectors.shape[1], law=law, around=around)
    return costs


def _some_vectors(study: Study) -> np.ndarray:
    """Some of the study's vectors, else of its file of vectors, else random ones."""
    width = WIDTH
    try:
        made = Embeddings(study)
        if made.is_there:
            stored = read_vectors_of(made.artifact)
            return np.asarray(stored[np.arange(0, len(stored), max(1, len(stored) // DRAWN))][:DRAWN])
        if isinstance(study.config.embeddings, FileEmbeddings):
            from metapt_explore.clusters.own_vectors import read_vectors

            own = read_vectors(study.config.embeddings).vectors
            return np.nan_to_num(np.asarray(own[:: max(1, len(own) // DRAWN)][:DRAWN], dtype=np.float32))
    except UserError:  # the check says what is wrong
        pass
    return likely_vectors(DRAWN, width)


def _some_texts(study: Study, read: Artifact | None) -> list[str]:
    """Some of the study's texts, else the first ones of its file, else made-up ones."""
    if read is not None:
        table = read.table("texts")
        return texts_of(table.iloc[:: max(1, len(table) // DRAWN)][:DRAWN])
    texts: list[str] = []
    try:
        batches = open_rows(study.config.texts).batches() if is_large(study.config.texts) else iter(())
        while len(texts) < DRAWN and (batch := next(batches, None)) is not None:
            texts += written_out(batch.inputs)
    except (UserError, Irregular, OSError, ValueError):  # the check says what is wrong
        pass
    return texts[:DRAWN] or likely_texts(DRAWN)


def about(seconds: float) -> str:
    """A long or short time in words.

    Example:
        >>> about(40), about(360), about(216_000)
        ('40 s', '6 min 00 s', '2.5 days')
    """
    return f"{seconds / 86_400:.1f} days" if seconds > 2 * 86_400 else format_time(seconds)


def format_clustering(name: str, cost: ClusteringCost) -> str:
    """One line of a plan: how long, and where the wall is.

    Example:
        >>> cost = ClusteringCost(360.0, 1700.0, 1_000_000, 50_000, "hdbscan", 216_000.0, 3_000.0)
        >>> format_clustering("dense", cost).partition(": ")[2]
        'hdbscan on 1,000,000 texts: about 2.5 days; on a sample of 50,000: about 6 min 00 s, 1.7 GiB.'
    """
    all_texts = f"Clustering '{name}': {cost.algorithm} on {cost.rows:,} texts: about "
    own = f"about {about(cost.seconds)}, {cost.mib / 1024:.1f} GiB."
    if cost.whole_seconds is None:
        return all_texts + own.removeprefix("about ")
    return f"{all_texts}{about(cost.whole_seconds)}; on a sample of {cost.fitted:,}: {own}"
