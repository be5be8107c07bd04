"""A short calibration of topics (LDA): words of some thousand texts are counted, topics of some hundred are found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from metapt_explore.config import ClusteringConfig
from metapt_explore.cost.clusterings import Law, clusters_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import LatentDirichletAllocation

#: Texts of the smallest fit, and seconds from which the last one is long enough to go by.
FIRST, ENOUGH_S = 500, 1.0
#: Texts whose shares are found to time that.
ASSIGNED = 1_000


def calibrate_topics(config: ClusteringConfig, texts: Sequence[str], law: Law) -> Law:
    """The law of topics with its constants as this machine and these texts have them.

    Time grows with texts, a little more than linearly (of few texts topics are soon sharp, and shares of them found in
    few steps), and by a part that no text adds to (topics × words, each pass): two fits tell that part from the rest.
    Words are counted over all texts that are given, because of few texts most words stand in one alone, and would not
    count.

    Args:
        config: The clustering.
        texts: Some thousand texts of the study, or like them.
        law: With its rough constants.
    """
    from metapt_explore.clusters.topics import bag_of_words, count_words, find_topics
    from metapt_explore.texts.words import Lexicon

    began = time.perf_counter()
    counts, words = bag_of_words(texts)
    of_words = (time.perf_counter() - began) / max(1, len(texts))
    if counts is None or len(texts) < FIRST:
        return law
    topics = clusters_of(config)
    model = find_topics(counts[:50], topics, 0)  # the first fit of a process loads libraries
    size, seconds = FIRST // 2, 0.0
    while seconds < ENOUGH_S and 2 * size <= len(texts):
        size *= 2
        seconds, model = _timed_fit(counts[:size], topics)
    smaller, _ = _timed_fit(counts[: size // 4], topics)
    each = max((seconds - smaller) / (size - size // 4), 0.1 * seconds / size)
    began = time.perf_counter()
    model.transform(count_words(texts[:ASSIGNED], words, Lexicon(texts[:ASSIGNED])))
    assigned = (time.perf_counter() - began) / len(texts[:ASSIGNED])
    fixed = max(0.0, seconds - size * each)
    each *= (10_000 / size) ** (law.exponent - 1)  # as many texts as the constant is of
    of_clusters = (topics / 8) ** law.per_cluster  # the constant is of 8 clusters
    return replace(law, fit=10_000 * (each + of_words) / of_clusters, fixed=fixed, assigned=assigned)


def _timed_fit(counts: csr_matrix, topics: int) -> tuple[float, LatentDirichletAllocation]:
    """Seconds of a fit and of the shares of the same texts, and the fit."""
    from metapt_explore.clusters.topics import find_topics

    began = time.perf_counter()
    model = find_topics(counts, topics, 0)
    model.transform(counts)
    return time.perf_counter() - began, model
