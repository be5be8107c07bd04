"""Topics: texts grouped by their words alone, without an encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from metapt_explore.clusters.grouping import Grouping, Inputs, renumber_by_size
from metapt_explore.clusters.names import stop_words_of
from metapt_explore.config.clustering import LdaClustering
from metapt_explore.seeds import derived_seed
from metapt_explore.storage.shards import row_slices
from metapt_explore.texts.words import Lexicon

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import LatentDirichletAllocation

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

    stop, lexicon = stop_words_of(texts), Lexicon(texts)
    vectorizer = CountVectorizer(
        analyzer=lambda words: [word for word in words if word not in stop],
        min_df=min(MIN_TEXTS, max(len(texts), 1)),
        max_features=MAX_WORDS,
    )
    try:
        counts = vectorizer.fit_transform(lexicon.cut(text) for text in texts)
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


def find_topics(counts: csr_matrix, topics: int, random_state: int) -> LatentDirichletAllocation:
    """Fits topics to counts of words, ``[texts, words]``."""
    from sklearn.decomposition import LatentDirichletAllocation

    return LatentDirichletAllocation(topics, learning_method="batch", max_iter=PASSES, random_state=random_state).fit(
        counts
    )


def lda(inputs: Inputs[LdaClustering]) -> Grouping:
    """Latent Dirichlet allocation (Blei, Ng and Jordan, 2003), by online variational Bayes (Hoffman et al., 2010).

    `n_clusters` topics over a bag of words (`bag_of_words`); scikit-learn's priors (1 / topics). A text's cluster is
    its largest topic, its membership that topic's share. A text without any counted word is in no cluster. A topic that
    is largest in no text makes no cluster, so there may be fewer clusters than topics. Beyond 200,000 texts words and
    topics are those of a sample; every text gets its shares of them.
    """
    fitted = _fit(inputs)
    largest, share = np.empty(len(fitted), dtype=np.int64), np.empty(len(fitted))
    for chosen, shares, has_words in fitted.parts():
        largest[chosen] = np.where(has_words, shares.argmax(axis=1), -1)
        share[chosen] = np.where(has_words, shares.max(axis=1), 0.0)
    return Grouping(renumber_by_size(largest), share)


def topic_shares(inputs: Inputs[LdaClustering], labels: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Share of each topic in each row, ``[rows, clusters]``, a part of the rows at a time.

    Rows sum to less than 1 where a topic made no cluster; a row without any counted word is 0.

    Args:
        inputs: What was clustered; topics are found again.
        labels: ``[rows]`` ids that were found then.

    Raises:
        UserError: Where other topics are found; after the last part.
    """
    fitted = _fit(inputs)
    topics = _topics_of(fitted, labels)
    cluster_of = np.full(inputs.config.n_clusters, -2, dtype=np.int64)  # no cluster's topic
    cluster_of[topics] = np.arange(len(topics))
    again = np.empty(len(labels), dtype=np.int64)
    for chosen, shares, has_words in fitted.parts():
        again[chosen] = np.where(has_words, cluster_of[shares.argmax(axis=1)], -1)
        yield chosen, np.where(has_words[:, None], shares[:, topics], 0.0)
    inputs.check_same(again, labels)


def _topics_of(fitted: _Topics, labels: np.ndarray) -> np.ndarray:
    """The topic of each cluster: the largest one of its first row."""
    ids, first = np.unique(labels, return_index=True)
    first = first[ids >= 0]
    shares, _ = fitted.shares(first)
    largest: np.ndarray = shares.argmax(axis=1)
    return largest


@dataclass(frozen=True, eq=False)
class _Topics:
    """Topics that were found, and the shares that rows have of them.

    Attributes:
        model: Fitted.
        texts: One text a row.
        counts: ``[rows, words]`` where all rows were fitted.
        words: What is counted.
        lexicon: What cuts texts that were not fitted.
    """

    model: LatentDirichletAllocation
    texts: Sequence[str]
    counts: csr_matrix | None
    words: Sequence[str]
    lexicon: Lexicon

    def __len__(self) -> int:
        return len(self.texts)

    def shares(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shares of all topics, ``[rows, topics]``, and whether a row has any counted word."""
        if self.counts is not None:
            counts = self.counts[rows]
            shares = self.model.transform(counts)
        else:
            counts = count_words([self.texts[row] for row in rows.tolist()], self.words, self.lexicon)
            shares = self.model.transform(counts).astype(np.float32)
        return shares, np.asarray(counts.sum(axis=1)).ravel() > 0

    def parts(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """The same for all rows, a part at a time, and which rows these are."""
        for chosen in row_slices(len(self)):
            yield chosen, *self.shares(np.arange(chosen.start, chosen.stop))


def _fit(inputs: Inputs[LdaClustering]) -> _Topics:
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
    model = find_topics(counts, config.n_clusters, derived_seed(inputs.seed, "clustering", "lda") % 2**32)
    return _Topics(model, inputs.texts, counts if inputs.sample is None else None, words, Lexicon(fitted))
