"""Documents as sentences, and draws of sentences from the same or another document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from metapt_explore.auxiliary_tasks.formats.sentences import split_sentences
from metapt_explore.seeds import derived_seed
from metapt_explore.texts.normalise import comparison_key

#: Draws of a sentence of another document before giving up: all others may hold the same sentences.
MOST_DRAWS = 200


@dataclass(frozen=True, eq=False)
class Document:
    """A document's sentences.

    Attributes:
        number: Its index among all documents.
        text: The whole document.
        sentences: As `split_sentences` makes them.
        keys: The spelling by which sentences are compared, for each.
    """

    number: int
    text: str
    sentences: list[str]
    keys: list[str]

    @cached_property
    def key_set(self) -> frozenset[str]:
        """All keys."""
        return frozenset(self.keys)

    @cached_property
    def neighbours(self) -> frozenset[tuple[str, str]]:
        """Keys of all sentences that stand side by side, in either order."""
        pairs = list(pairwise(self.keys))
        return frozenset(pairs) | frozenset((second, first) for first, second in pairs)

    def followed(self) -> list[int]:
        """Sentences that a different one follows."""
        return [place for place in range(len(self.keys) - 1) if self.keys[place] != self.keys[place + 1]]

    def apart_from(self, first: int) -> list[int]:
        """Sentences that differ from the given one and nowhere are its neighbours; never the opening one.

        Neighbours never have the opening sentence as the second one either: its looks must not tell the class.
        """
        key = self.keys[first]
        return [
            second
            for second in range(1, len(self.keys))
            if self.keys[second] != key and (key, self.keys[second]) not in self.neighbours
        ]


class Corpus:
    """Different documents of enough sentences.

    Args:
        documents: Raw texts.
        fewest: Sentences that a document needs.
        min_words: Fewest words of a sentence.
        max_words: Most words of a sentence.
        seed: Seed of the order in which other documents are drawn.

    Attributes:
        documents: Those that are used, in the order given; of equal ones the first.
        adjacent: Keys of all sentences of which the second follows the first in some document.

    Example:
        >>> corpus = Corpus(["It rains. I stay.", "Yes."], fewest=2, min_words=1, max_words=9, seed=0)
        >>> [document.sentences for document in corpus.documents]
        [['It rains.', 'I stay.']]
    """

    def __init__(self, documents: Sequence[str], *, fewest: int, min_words: int, max_words: int, seed: int) -> None:
        self.documents: list[Document] = []
        seen: set[str] = set()
        for number, text in enumerate(documents):
            if text in seen:
                continue
            seen.add(text)
            sentences = split_sentences(text, min_words=min_words, max_words=max_words)
            if len(sentences) >= fewest:
                self.documents.append(Document(number, text, sentences, [comparison_key(line) for line in sentences]))
        self.adjacent = {pair for document in self.documents for pair in pairwise(document.keys)}
        # Each document has a place that depends on its text alone, and a draw takes the next place: a document more or
        # less changes only the draws that meet it.
        places = np.array([derived_seed(seed, "place", document.text) for document in self.documents], dtype=np.int64)
        self._order = np.argsort(places, kind="stable")
        self._places = places[self._order]

    def draw_elsewhere(self, document: Document, first: int, order: np.random.Generator) -> tuple[Document, int] | None:
        """Draws a sentence of another document, never its opening one.

        Args:
            document: The document to leave out.
            first: One of its sentences, which must not stand in the other document.
            order: Random numbers.

        Returns:
            The other document and the sentence's index in it, which stands nowhere in `document` and follows the given
            sentence in no document; None where none was found.
        """
        if len(self.documents) < 2:
            return None
        for _ in range(MOST_DRAWS):
            place = int(np.searchsorted(self._places, order.integers(2**63)))
            other = self.documents[self._order[place % len(self._order)]]
            second = 1 + int(order.integers(len(other.sentences) - 1))
            if other is document or document.keys[first] in other.key_set:
                continue
            if other.keys[second] in document.key_set or (document.keys[first], other.keys[second]) in self.adjacent:
                continue
            return other, second
        return None
