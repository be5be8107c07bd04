"""Vectors of many texts by their words: the numbers of `word_vectors`, with some bytes of memory for each word read.

Words are counted part by part; the decomposition needs products of the weights with a thin matrix only, which are sums
over parts (Halko, Martinsson and Tropp, SIAM Review 53(2), 2011, in scikit-learn's form: five power iterations).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from metapt_explore.clusters.names import stop_words_of
from metapt_explore.clusters.topics import MAX_WORDS, MIN_TEXTS, count_words
from metapt_explore.clusters.word_vectors import MOST_SHARE
from metapt_explore.seeds import derived_seed
from metapt_explore.storage.checkpoint import CheckpointStore
from metapt_explore.storage.shards import shard_rows
from metapt_explore.texts.words import Lexicon

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: Directions beyond those that are kept, and power iterations.
MORE_DIRECTIONS, ITERATIONS = 10, 5
#: Share of the largest square below which a direction is rounding noise.
NOISE = 1e-12


@dataclass(frozen=True)
class WordSpace:
    """What turns any text into its vector.

    Attributes:
        lexicon: What cuts texts into words.
        words: The words that count, in alphabetical order.
        idf: Weight of each word.
        components: ``[words, width]``; one column of zeros where no word counts.
    """

    lexicon: Lexicon
    words: tuple[str, ...]
    idf: np.ndarray
    components: np.ndarray

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of some texts, ``[texts, width]``; rows of length 1, zero for a text without any counted word."""
        from sklearn.preprocessing import normalize

        if not self.words:
            return np.zeros((len(texts), 1), dtype=np.float32)
        weights = _weighted(count_words(texts, self.words, self.lexicon), self.idf)
        unit: np.ndarray = normalize(weights @ self.components).astype(np.float32)
        return unit


def fit_word_space(
    texts: Sequence[str],
    dimensions: int = 50,
    *,
    seed: int = 0,
    record: CheckpointStore | None = None,
    on_part: Callable[[], None] = lambda: None,
) -> WordSpace:
    """Finds the words and directions of many texts; see `word_vectors`.

    Args:
        texts: One text a row, more of them than words.
        dimensions: Width wanted.
        seed: Of the randomised decomposition.
        record: Stores what was found; what is stored is not computed again.
        on_part: Called after each part of the texts; may raise to stop.
    """
    lexicon = Lexicon(texts)
    stored = None if record is None else record.load_checkpoint()
    if stored is not None:
        tensors, meta = stored
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        return WordSpace(lexicon, tuple(meta["words"]), arrays["idf"], arrays["components"])
    words, idf = _words_of(texts, lexicon, on_part)
    if not words:
        return WordSpace(lexicon, (), np.zeros(0), np.zeros((0, 1)))
    counts = []
    for chosen in shard_rows(len(texts)):
        of_part = count_words(texts[chosen.start : chosen.stop], words, lexicon)
        counts.append(of_part.astype(np.uint32))
        on_part()

    def weights() -> Iterator[csr_matrix]:
        for part in counts:
            yield _weighted(part, idf)
            on_part()

    components = _directions(weights, len(words), dimensions, seed)
    space = WordSpace(lexicon, words, idf, components)
    if record is not None:
        import torch

        tensors = {"idf": torch.from_numpy(idf), "components": torch.from_numpy(np.ascontiguousarray(components))}
        record.save_checkpoint(tensors, {"step": 0, "words": list(words)})
    return space


def _words_of(
    texts: Sequence[str], lexicon: Lexicon, on_part: Callable[[], None]
) -> tuple[tuple[str, ...], np.ndarray]:
    """The words that count, as `topics.bag_of_words` and `word_vectors` choose them, and their weights."""
    stop = stop_words_of(texts)
    frequency: Counter[str] = Counter()
    documents: Counter[str] = Counter()
    for chosen in shard_rows(len(texts)):
        for text in texts[chosen.start : chosen.stop]:
            words = [word for word in lexicon.cut(text) if word not in stop]
            frequency.update(words)
            documents.update(set(words))
        on_part()
    known = np.array(sorted(frequency), dtype=object)
    held = np.array([documents[word] for word in known], dtype=np.int64)
    total = np.array([frequency[word] for word in known], dtype=np.int64)
    kept = np.flatnonzero(held >= min(MIN_TEXTS, max(len(texts), 1)))
    if len(kept) > MAX_WORDS:
        kept = np.sort(kept[(-total[kept]).argsort()[:MAX_WORDS]])
    kept = kept[held[kept] <= max(MIN_TEXTS, MOST_SHARE * len(texts))]
    idf = np.log((len(texts) + 1) / (held[kept] + 1)) + 1
    return tuple(map(str, known[kept])), idf


def _weighted(counts: csr_matrix, idf: np.ndarray) -> csr_matrix:
    """TF-IDF with the logarithm of counts; rows of length 1."""
    from sklearn.preprocessing import normalize

    weights: Any = counts.astype(np.float64)
    weights.data = (np.log(weights.data) + 1) * idf[weights.indices]
    return normalize(weights, copy=False)


def _directions(weights: Callable[[], Iterator[csr_matrix]], words: int, dimensions: int, seed: int) -> np.ndarray:
    """Right singular vectors of the weights, ``[words, width]``."""
    from scipy import linalg

    if words <= dimensions:
        square = sum((part.T @ part).toarray() for part in weights())
        return _signed(np.linalg.eigh(square)[1][:, ::-1])
    random = np.random.RandomState(derived_seed(seed, "word vectors") % 2**32)
    base = random.normal(size=(words, min(words, dimensions + MORE_DIRECTIONS)))
    for _ in range(ITERATIONS):
        base = linalg.lu(sum(part.T @ (part @ base) for part in weights()), permute_l=True, check_finite=False)[0]
    product: Any = np.zeros_like(base)
    square = np.zeros((base.shape[1], base.shape[1]))
    for part in weights():
        of_part = part @ base
        product += part.T @ of_part
        square += of_part.T @ of_part
    # The weights in an orthonormal basis of what `base` maps to.
    values, turned = np.linalg.eigh(square)
    real = values > NOISE * values.max()
    thin = (turned[:, real] / np.sqrt(values[real])).T @ product.T
    return _signed(np.linalg.svd(thin, full_matrices=False)[2][:dimensions].T)


def _signed(components: np.ndarray) -> np.ndarray:
    """The largest number of each column is positive."""
    largest = components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])]
    return components * np.where(largest < 0, -1.0, 1.0)
