"""What clusters are about: the words that stand out in each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Heads and tails of "don't", "we've" …: left over when a text is cut at the apostrophe, and not in
# scikit-learn's list of stop words.
CONTRACTIONS = frozenset(
    {"ain", "aren", "couldn", "didn", "doesn", "don", "hadn", "hasn", "haven", "isn", "ll", "mustn"}
    | {"needn", "shan", "shouldn", "ve", "wasn", "weren", "wouldn"}
)
TOKEN = r"(?u)\b[^\W\d_]{2,}\b"  # two letters or more, of any alphabet


def keywords(texts: Sequence[str], labels: np.ndarray, top: int = 6) -> dict[int, list[str]]:
    """Finds the words that are frequent in a cluster and rare elsewhere, by class-based TF-IDF.

    A word's weight is its count in the cluster times log(1 + mean words per cluster / its count in
    all clusters) (c-TF-IDF; Grootendorst, 2022). English stop words and outliers are left out.

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
    ids, row_cluster = np.unique(labels[inside], return_inverse=True)
    if not len(ids):
        return {}
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

    vectorizer = CountVectorizer(stop_words=sorted(ENGLISH_STOP_WORDS | CONTRACTIONS), token_pattern=TOKEN)
    try:
        counts = vectorizer.fit_transform([texts[row] for row in inside.tolist()])
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        return {int(cluster_id): [] for cluster_id in ids}
    members = csr_matrix((np.ones(len(inside)), (row_cluster, np.arange(len(inside)))))
    frequency = (members @ counts).toarray()  # [clusters, words]
    weights = frequency * np.log1p(frequency.sum() / len(ids) / frequency.sum(axis=0))
    words = vectorizer.get_feature_names_out()  # alphabetical, so a stable sort breaks ties by it
    best = np.argsort(-weights, axis=1, kind="stable")[:, :top]
    return {
        int(cluster_id): [str(words[word]) for word in best[index] if frequency[index, word] > 0]
        for index, cluster_id in enumerate(ids)
    }


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
