"""Vectors of texts by their words alone: for a quick look, where no model may be loaded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metapt_explore.clusters.topics import MIN_TEXTS, bag_of_words
from metapt_explore.seeds import derived_seed

#: Share of the texts in which a word tells nothing.
MOST_SHARE = 0.5


def word_vectors(texts: Sequence[str], dimensions: int = 50, *, seed: int = 0) -> np.ndarray:
    """Latent semantic analysis (Deerwester et al., 1990): singular vectors of TF-IDF weighted words.

    Words are those of topic models (`topics.bag_of_words`), without those that more than half of the texts hold. Two
    thousand short texts take about a second.

    Args:
        texts: One text a row.
        dimensions: Width wanted; less where there are fewer words or texts.
        seed: Of the randomised decomposition.

    Returns:
        ``[rows, width]``, rows of length 1; a text without any counted word is zero.

    Example:
        >>> vectors = word_vectors(["soup and bread", "bread with soup", "a train", "the train"], 2)
        >>> (vectors @ vectors.T).round(1).tolist()[0]
        [1.0, 1.0, 0.0, 0.0]
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.preprocessing import normalize

    rows = len(texts)
    counts, _ = bag_of_words(texts)
    if counts is not None:
        counts = counts[:, np.asarray((counts > 0).sum(axis=0)).ravel() <= max(MIN_TEXTS, MOST_SHARE * rows)]
    if counts is None or not counts.shape[1]:
        return np.zeros((rows, 1))
    weights = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    width = min(dimensions, *weights.shape)
    if min(weights.shape) <= width:  # the decomposition wants fewer dimensions than rows and words
        dense: np.ndarray = weights.toarray()
        left, values, _ = np.linalg.svd(dense, full_matrices=False)
        vectors = left[:, :width] * values[:width]
    else:
        state = derived_seed(seed, "word vectors") % 2**32
        vectors = TruncatedSVD(width, random_state=state).fit_transform(weights)
    # Rounding noise of an empty row must not become a direction.
    vectors[np.asarray(weights.sum(axis=1)).ravel() == 0] = 0.0
    unit: np.ndarray = normalize(vectors)
    return unit
