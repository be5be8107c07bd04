"""What clusters are about: the words that stand out in each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from metapt_explore.config import limits
from metapt_explore.texts.language import guess_language, stop_words
from metapt_explore.texts.words import Lexicon

# Heads and tails of "don't", "we've" …: left over when a text is cut at the apostrophe, and not in
# scikit-learn's list of stop words.
CONTRACTIONS = frozenset(
    {"ain", "aren", "couldn", "didn", "doesn", "don", "hadn", "hasn", "haven", "isn", "ll", "mustn"}
    | {"needn", "shan", "shouldn", "ve", "wasn", "weren", "wouldn"}
)
#: A share of words that only English has: texts with fewer of its stop words are taken to be in another language.
ENGLISH = 0.15
#: Texts from which words that are everywhere can be told from others.
MIN_TEXTS = 50
#: Texts that are read of very many, and the fewest of each cluster.
WORD_TEXTS, LEAST_OF_CLUSTER = 100_000, 200
#: A word is everywhere that this share of texts holds, and of every cluster's at least half as many.
COMMON, EVEN = 0.02, 0.5


def keywords(texts: Sequence[str], labels: np.ndarray, top: int = 6) -> dict[int, list[str]]:
    """Finds the words that are frequent in a cluster and rare elsewhere, by class-based TF-IDF.

    A word's weight is its count in the cluster times log(1 + mean words per cluster / its count in
    all clusters) (c-TF-IDF; Grootendorst, 2022). Outliers and the stop words of the texts' language are left out
    (`stop_words_of`); of texts that are not English, also words that are as frequent in every cluster ("und", "非常").
    Words of scripts without spaces are those that the texts show (`texts.words.Lexicon`). Of more than 200,000 texts
    some of each cluster are read, 100,000 in all.

    Args:
        texts: One text a row.
        labels: ``[rows]`` cluster ids, negative for outliers.
        top: Words wanted of each cluster.

    Returns:
        For each cluster id the words, best first, equal weights in alphabetical order; fewer than
        `top`, or none, where a cluster has too few words.

    Example:
        >>> keywords(["cheap phone", "phone", "warm soup"], np.array([0, 0, 1]), top=1)
        {0: ['phone'], 1: ['soup']}
    """
    labels = np.asarray(labels)
    if len(texts) != len(labels):
        raise ValueError(f"{len(labels)} labels for {len(texts)} texts")
    inside = np.flatnonzero(labels >= 0)
    if len(inside) > limits.MANY_TEXTS:
        inside = _some_of_each(labels, inside)
    ids, row_cluster = np.unique(labels[inside], return_inverse=True)
    if not len(ids):
        return {}
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import CountVectorizer

    inside_texts = [texts[row] for row in inside.tolist()]
    rows = cut_texts(inside_texts)
    stop = stop_words_of(inside_texts)
    vectorizer = CountVectorizer(analyzer=lambda words: [word for word in words if word not in stop])
    try:
        counts = vectorizer.fit_transform(rows)
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        return {int(cluster_id): [] for cluster_id in ids}
    members = csr_matrix((np.ones(len(inside)), (row_cluster, np.arange(len(inside)))))
    frequency = (members @ counts).toarray()  # [clusters, words]
    if len(ids) > 1 and len(inside) >= MIN_TEXTS and not _in_english(rows):
        holding = (members @ (counts > 0)).toarray()
        share = holding / np.bincount(row_cluster)[:, None]
        of_all = holding.sum(axis=0) / len(inside)
        telling = (of_all < COMMON) | (share.min(axis=0) < EVEN * of_all)
        if ((frequency[:, telling] > 0).sum(axis=1) >= top).all():
            frequency[:, ~telling] = 0
    weights = frequency * np.log1p(frequency.sum() / len(ids) / np.maximum(frequency.sum(axis=0), 1))
    words = vectorizer.get_feature_names_out()  # alphabetical, so a stable sort breaks ties by it
    best = np.argsort(-weights, axis=1, kind="stable")[:, :top]
    return {
        int(cluster_id): [str(words[word]) for word in best[index] if frequency[index, word] > 0]
        for index, cluster_id in enumerate(ids)
    }


def _some_of_each(labels: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """At most so many rows of each cluster, evenly spread: words of a million texts would fill the memory."""
    order = inside[np.argsort(labels[inside], kind="stable")]
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    most = max(LEAST_OF_CLUSTER, WORD_TEXTS // len(starts))
    chosen = [rows[:: -(-len(rows) // most)] for rows in np.split(order, starts[1:])]
    return np.sort(np.concatenate(chosen))


def cut_texts(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text, in lower case; those of scripts without spaces as all the texts together show them."""
    lexicon = Lexicon(texts)
    return [lexicon.cut(text) for text in texts]


def stop_words_of(texts: Sequence[str]) -> frozenset[str]:
    """Stop words of the language that the texts are in; English ones where that is not certain or has no list.

    Args:
        texts: One text a row.

    Example:
        >>> german = stop_words_of(["Das Paket kam beschädigt an, bitte schicken Sie mir ein neues."] * 10)
        >>> "das" in german, "paket" in german, "the" in stop_words_of(["a phone"])
        (True, False, True)
    """
    language = guess_language(texts)
    known = stop_words(language.code) if language is not None and language.code != "en" else frozenset()
    return known or _english()


@lru_cache(maxsize=1)
def _english() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS | CONTRACTIONS)


def _in_english(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the words are those of English texts, by the share of its stop words."""
    written = sum(map(len, rows))
    return sum(word in _english() for row in rows for word in row) >= ENGLISH * max(written, 1)


def cluster_name(cluster_id: int, words: Sequence[str]) -> str:
    """Names a cluster by its id and its first three words.

    Example:
        >>> cluster_name(0, ["battery", "charger", "phone", "screen"])
        '0: battery, charger, phone'
        >>> cluster_name(-1, [])
        'outliers'
    """
    if cluster_id < 0:
        return "outliers"
    return f"{cluster_id}: {', '.join(words[:3])}" if words else str(cluster_id)
