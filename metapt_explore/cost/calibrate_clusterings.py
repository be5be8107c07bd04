"""A short calibration of a clustering: some thousand vectors, more while that takes less than a second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from metapt_explore.config import ClusteringConfig
from metapt_explore.cost.calibrate_topics import calibrate_topics
from metapt_explore.cost.clusterings import AROUND_S, Law, clusters_of, law_of
from metapt_explore.errors import UserError

#: Rows of the first fit, and seconds from which the last one is long enough to go by.
FIRST, ENOUGH_S = 2_000, 1.0
#: Rows that are assigned to the last fit.
ASSIGNED = 2_000
#: Algorithms that read words, not vectors.
OF_WORDS = ("lda",)


def calibrate_clustering(
    config: ClusteringConfig, vectors: np.ndarray, rows: int, texts: Sequence[str] = ()
) -> Law | None:
    """The law of a clustering with its constants as this machine has them; None where nothing is fitted.

    Args:
        config: The clustering.
        vectors: ``[some thousand, width]`` of the study, or like them.
        rows: Texts that it shall be predicted for.
        texts: Some thousand texts of the study, or like them, for algorithms that read words; their rough constants are
            taken where there are none.
    """
    law = law_of(config, rows)
    if law is None or config.algorithm in OF_WORDS:
        return law if law is None else calibrate_topics(config, texts, law)
    mini = config.in_mini_batches(rows) or config.algorithm == "minibatch_kmeans"
    points = _reduced(vectors, config.dimensions)
    # Mini-batches of few rows are over at once: rows are repeated, and moved a little.
    points = _more(points, 8) if mini else points
    size, seconds = min(FIRST, len(points)), 0.0
    # The first fit of a process loads libraries and wakes threads; counted, it would be taken for slow fitting.
    _fit_seconds(config, points[:size], mini=mini)
    while True:
        seconds = _fit_seconds(config, points[:size], mini=mini)
        if seconds >= ENOUGH_S or 2 * size > len(points):
            break
        size *= 2
    if not seconds:
        return law
    measured = replace(law, fit=seconds / Law(1.0, law.exponent).fit_seconds(size, 8))
    # The constant is of 8 clusters.
    measured = replace(measured, fit=measured.fit / (clusters_of(config) / 8) ** law.per_cluster)
    if config.algorithm == "hdbscan" and config.fitted_rows(rows) < rows:
        measured = _with_assignment(config, points[:size], measured)
    return measured


def _reduced(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    from metapt_explore.clusters.reduce import reduce_embeddings

    return reduce_embeddings(vectors, dimensions)


def _more(points: np.ndarray, times: int) -> np.ndarray:
    noise = np.random.default_rng(0).normal(scale=0.2 * points.std(axis=0), size=(times * len(points), points.shape[1]))
    return (np.tile(points, (times, 1)) + noise).astype(np.float32)


def _fit_seconds(config: ClusteringConfig, points: np.ndarray, *, mini: bool) -> float:
    """Seconds of a fit of all these points; 0 where they make no clusters."""
    from metapt_explore.clusters.algorithms import group_rows
    from metapt_explore.clusters.grouping import Inputs

    kind = "minibatch_kmeans" if mini else config.algorithm
    settings = {**config.model_dump(), "algorithm": kind, "fit_rows": len(points)}
    whole = ClusteringConfig.model_validate(settings)
    inputs = Inputs(points, whole, 0)
    inputs.__dict__["reduced"] = points  # principal components are counted apart
    began = time.perf_counter()
    try:
        group_rows(inputs)
    except UserError:
        return 0.0
    return time.perf_counter() - began


def _with_assignment(config: ClusteringConfig, points: np.ndarray, law: Law) -> Law:
    """Seconds of a row that is assigned: products with the fitted rows, and a walk through the tree of them."""
    from hdbscan import HDBSCAN

    from metapt_explore.clusters.density_many import assign

    times = []
    sizes = (len(points) // 4, len(points))
    for size in sizes:
        fitted = HDBSCAN(
            min_cluster_size=int(getattr(config, "min_cluster_size", 15)), core_dist_n_jobs=1, prediction_data=True
        ).fit(points[:size])
        began = time.perf_counter()
        assign(fitted, points[-ASSIGNED:])
        times.append((time.perf_counter() - began) / len(points[-ASSIGNED:]))
    exponent = float(np.clip(np.log(times[1] / times[0]) / np.log(sizes[1] / sizes[0]), 0.0, 1.0))
    return replace(law, assigned=times[1] * (10_000 / sizes[1]) ** exponent, assigned_exponent=exponent)


def seconds_around(vectors: np.ndarray, rows: int) -> float:
    """Seconds a row of what every clustering does: principal components of vectors, twice, beside words and quality."""
    from metapt_explore.clusters.reduce import normalise, principal_components
    from metapt_explore.clusters.reduce_many import components_of_many
    from metapt_explore.config import limits

    began = time.perf_counter()
    if rows > limits.MANY_TEXTS:
        components_of_many(vectors, 50, unit=True)
    else:
        principal_components(normalise(vectors), 50)
    of_components = (time.perf_counter() - began) / len(vectors)
    return 2 * of_components + AROUND_S / 2


def likely_vectors(rows: int, width: int) -> np.ndarray:
    """Random vectors of a like shape as sentence embeddings: some dozens of groups, variance that falls off."""
    random = np.random.default_rng(0)
    spread = np.arange(1, width + 1) ** -0.35
    centres = 1.5 * random.normal(size=(60, width)) * spread
    return (centres[random.integers(60, size=rows)] + random.normal(size=(rows, width)) * spread).astype(np.float32)


def likely_texts(rows: int) -> list[str]:
    """Made-up sentences of 6 to 19 words whose frequencies fall as in language (Zipf, 1949)."""
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(random.choice(letters, size=size)) for size in random.integers(2, 9, size=30_000)])
    shares = np.arange(1, len(words) + 1) ** -1.05
    drawn = words[random.choice(len(words), size=20 * rows, p=shares / shares.sum())].reshape(rows, 20)
    sizes = random.integers(6, 20, size=rows)
    return [" ".join(row[:size]) for row, size in zip(drawn.tolist(), sizes.tolist(), strict=True)]
