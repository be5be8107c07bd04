"""Topics: texts grouped by their words alone, without an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from metapt_explore.clusters.grouping import Grouping, Inputs, ids_by_size, renumber_by_size
from metapt_explore.clusters.names import cut_texts, stop_words_of
from metapt_explore.config.clustering import LdaClustering
from metapt_explore.seeds import derived_seed
from metapt_explore.storage.shards import SHARD
from metapt_explore.texts.words import Lexicon

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: A word counts only where at least so many texts hold it.
MIN_TEXTS = 2
#: Most frequent words that are kept.
MAX_WORDS = 10_000
#: Passes of variational inference over all texts.
PASSES = 20


def bag_of_words(texts: Sequence[str]) -> tuple[csr_matrix | None, list[str]]:
    """Counts the words of each text for topic models.

    Lower case; words of two letters or more of any alphabet (numbers and signs are dropped), of scripts without spaces
    as the texts show them (`texts.words.Lexicon`); no stop word of the texts' language; only words that at least two
    texts hold, and of these the 10,000 most frequent.

    Args:
        texts: One text a row.

    Returns:
        Counts ``[rows, words]`` and the words in alphabetical order; None and none where no word is left.

    Example:
        >>> counts, words = bag_of_words(["The soup, the soup!", "A cold soup", "cold 7"])
        >>> words, counts.toarray().tolist()
        (['cold', 'soup'], [[0, 2], [1, 1], [1, 0]])
    """
    from sklearn.feature_extraction.text import CountVectorizer

    stop = stop_words_of(texts)
    vectorizer = CountVectorizer(
        analyzer=lambda words: [word for word in words if word not in stop],
        min_df=min(MIN_TEXTS, max(len(texts), 1)),
        max_features=MAX_WORDS,
    )
    try:
        counts = vectorizer.fit_transform(cut_texts(texts))
    except ValueError as error:
        if "empty vocabulary" not in str(error) and "no terms remain" not in str(error).lower():
            raise
        return None, []
    return counts, [str(word) for word in vectorizer.get_feature_names_out()]


def count_words(texts: Sequence[str], words: Sequence[str], lexicon: Lexicon) -> csr_matrix:
    """Counts known words of texts, ``[texts, words]``.

    Args:
        texts: One text a row.
        words: The words that are counted, as `bag_of_words` returns them.
        lexicon: What cuts scripts without spaces into words.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=list, vocabulary=list(words))
    return counter.transform([lexicon.cut(text) for text in texts])


def lda(inputs: Inputs[LdaClustering]) -> Grouping:
    """Latent Dirichlet allocation (Blei, Ng and Jordan, 2003), by online variational Bayes (Hoffman et al., 2010).

    `n_clusters` topics over a bag of words (`bag_of_words`); scikit-learn's priors (1 / topics). A text's cluster is
    its largest topic, its membership that topic's share. A text without any counted word is in no cluster. A topic that
    is largest in no text makes no cluster, so there may be fewer clusters than topics. Beyond 200,000 texts words and
    topics are those of a sample; every text gets its shares of them.
    """
    shares, has_words = _shares(inputs)
    labels = renumber_by_size(np.where(has_words, shares.argmax(axis=1), -1))
    return Grouping(labels, np.where(has_words, shares.max(axis=1), 0.0))


def topic_shares(inputs: Inputs[LdaClustering], labels: np.ndarray) -> np.ndarray:
    """Share of each topic in each row, ``[rows, clusters]``.

    Rows sum to less than 1 where a topic made no cluster; a row without any counted word is 0.

    Args:
        inputs: What was clustered; topics are found again.
        labels: ``[rows]`` ids that were found then.

    Raises:
        UserError: Where other topics are found.
    """
    shares, has_words = _shares(inputs)
    largest = np.where(has_words, shares.argmax(axis=1), -1)
    inputs.check_same(renumber_by_size(largest), labels)
    return np.where(has_words[:, None], shares[:, ids_by_size(largest)], 0.0)


def _shares(inputs: Inputs[LdaClustering]) -> tuple[np.ndarray, np.ndarray]:
    """Shares of all topics, ``[rows, topics]``, and whether a row has any counted word."""
    if inputs.texts is None:
        raise ValueError("`texts` must hold the texts of the rows")
    config, rows = inputs.config, len(inputs.texts)
    if rows < config.n_clusters:
        raise inputs.refusal(
            f"{rows} texts cannot make {config.n_clusters} topics. Lower n_clusters or use more texts."
        )
    fitted = inputs.texts if inputs.sample is None else [inputs.texts[row] for row in inputs.sample.tolist()]
    counts, words = bag_of_words(fitted)
    if counts is None:
        raise inputs.refusal(
            f"no word stands in {MIN_TEXTS} of the {len(fitted)} texts (stop words and numbers are left out), so there "
            "are no topics. Use longer or more texts, or kmeans."
        )
    from sklearn.decomposition import LatentDirichletAllocation

    model = LatentDirichletAllocation(
        config.n_clusters,
        learning_method="batch",
        max_iter=PASSES,
        random_state=derived_seed(inputs.seed, "clustering", "lda") % 2**32,
    )
    if inputs.sample is None:
        shares = model.fit_transform(counts)
        return shares, np.asarray(counts.sum(axis=1)).ravel() > 0
    model.fit(counts)
    shares, has_words = np.empty((rows, config.n_clusters), dtype=np.float32), np.empty(rows, dtype=bool)
    lexicon = Lexicon(fitted)
    for first in range(0, rows, SHARD):
        chosen = slice(first, min(first + SHARD, rows))
        of_part = count_words(inputs.texts[chosen], words, lexicon)
        shares[chosen] = model.transform(of_part)
        has_words[chosen] = np.asarray(of_part.sum(axis=1)).ravel() > 0
    return shares, has_words
