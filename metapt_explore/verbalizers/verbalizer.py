"""How the model's words become classes: several words a class, words of several tokens, the whole vocabulary.

The model is read in *runs*. Words of one token need one run. A word of several tokens needs the
probability of each token after the ones before it: an autoregressive model is run again behind the
word's beginning; a masked model is run with as many masks as the word has tokens, which are predicted
side by side (as in PET, Schick & Schütze, EACL 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Protocol

import torch
from torch import Tensor

from metapt_explore.verbalizers.on_device import constant

Token = int
Word = tuple[Token, ...]


@dataclass(frozen=True)
class Run:
    """One way of running the model for a row.

    Attributes:
        inserted: Tokens put behind the place where the answer is read.
        offsets: Positions to read, counted from that place.
    """

    inserted: Word = ()
    offsets: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Term:
    """One token's part in a word's probability: `run` and `place` say where it is read."""

    run: int
    place: int
    token: Token


class Head(Protocol):
    """From hidden states to words."""

    def words(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Logits of some tokens, fp32: `[rows, width]` and `[tokens]` to `[rows, tokens]`."""

    def vocabulary(self, hidden: Tensor) -> Tensor:
        """Logits of the whole vocabulary, fp32: `[rows, width]` to `[rows, vocabulary]`."""


@dataclass(frozen=True)
class Verbalizer:
    """Label words of each class as tokens, and how they are read.

    Attributes:
        runs: Runs of the model that the words need; the first has nothing inserted.
        words: For each class its words, for each word its terms.
        whole_vocabulary: Whether every other token of the vocabulary competes, as in PPT's code.
    """

    runs: tuple[Run, ...]
    words: tuple[tuple[tuple[Term, ...], ...], ...]
    whole_vocabulary: bool = False

    @property
    def simple(self) -> bool:
        """Whether only label words at one position are scored."""
        return not self.whole_vocabulary and all(len(word) == 1 for words in self.words for word in words)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.words)

    @property
    def columns(self) -> int:
        """Columns of `scores`."""
        return 2 * (self.classes + 1) if self.whole_vocabulary else self.classes

    @property
    def longest_insertion(self) -> int:
        """Most tokens that a run puts behind the place where the answer is read."""
        return max(len(run.inserted) for run in self.runs)

    def scores(self, features: Sequence[Tensor], head: Head) -> Tensor:
        """Scores of the classes.

        A class's probability is the mean of its words' probabilities, a word's the product of its tokens'. With the
        whole vocabulary it is the sum, so that classes and everything else make one.

        Args:
            features: For each run the hidden states at its offsets, `[rows, offsets, width]`.
            head: The model's output layer.

        Returns:
            fp32, `[rows, columns]`: a logit for each class. With the whole vocabulary the log-probabilities of the
            classes and of everything else, then the best log-probability of one token for each of them.
        """
        if self.simple:
            tokens = [word[0].token for words in self.words for word in words]
            logits = head.words(features[0][:, 0], constant(tokens, features[0].device))
            return self._by_class(list(logits.unbind(1)))
        needed = {(term.run, term.place) for words in self.words for word in words for term in word}
        spread = {key: head.vocabulary(features[key[0]][:, key[1]]).log_softmax(-1) for key in needed}
        logs = [
            torch.stack([spread[term.run, term.place][:, term.token] for term in word]).sum(0)
            for words in self.words
            for word in words
        ]
        return self._against_all(logs, spread[0, 0]) if self.whole_vocabulary else self._by_class(logs)

    def _by_class(self, words: Sequence[Tensor]) -> Tensor:
        if len(words) == self.classes:
            return torch.stack(list(words), dim=1)
        parts, first = [], 0
        for class_words in self.words:
            together = torch.stack(list(words[first : first + len(class_words)]))
            parts.append(together.logsumexp(0) - log(len(class_words)))
            first += len(class_words)
        return torch.stack(parts, dim=1)

    def _against_all(self, words: Sequence[Tensor], spread: Tensor) -> Tensor:
        sums, bests, first = [], [], 0
        for class_words in self.words:
            together = torch.stack(list(words[first : first + len(class_words)]))
            sums.append(together.logsumexp(0))
            bests.append(together.max(0).values)
            first += len(class_words)
        tokens = [word[0].token for words in self.words for word in words]
        taken = torch.zeros(spread.shape[1], dtype=torch.bool, device=spread.device)
        taken.index_fill_(0, constant(tokens, spread.device), value=True)
        others = spread.masked_fill(taken, float("-inf"))
        columns = [*sums, others.logsumexp(1), *bests, others.max(1).values]
        return torch.stack(columns, dim=1)

    def for_loss(self, scores: Tensor) -> Tensor:
        """The columns whose cross-entropy is the loss: classes, and everything else where that competes."""
        return scores[..., : self.classes + 1] if self.whole_vocabulary else scores

    def for_choice(self, scores: Tensor) -> Tensor:
        """The columns whose largest is the prediction; column `classes` means a word of no class."""
        return scores[..., self.classes + 1 :] if self.whole_vocabulary else scores


def read_onwards(words: Mapping[str, Sequence[Word]], *, whole_vocabulary: bool = False) -> Verbalizer:
    """A verbalizer of a model that writes from left to right: each token follows the ones before it.

    Args:
        words: Label words of each class, as tokens.
        whole_vocabulary: See `Verbalizer`.

    Example:
        >>> verbalizer = read_onwards({"good": [(5,), (6, 7)], "bad": [(8,)]})
        >>> [run.inserted for run in verbalizer.runs]
        [(), (6,)]
    """
    beginnings: dict[Word, int] = {(): 0}
    for word in _all(words):
        for end in range(1, len(word)):
            beginnings.setdefault(word[:end], len(beginnings))
    terms = {
        word: tuple(Term(beginnings[word[:end]], 0, token) for end, token in enumerate(word)) for word in _all(words)
    }
    return _of(tuple(Run(beginning) for beginning in beginnings), terms, words, whole_vocabulary=whole_vocabulary)


def read_masks(words: Mapping[str, Sequence[Word]], mask: Token, *, whole_vocabulary: bool = False) -> Verbalizer:
    """A verbalizer of a masked model: a word of n tokens is read at n masks.

    Args:
        words: Label words of each class, as tokens.
        mask: The mask token.
        whole_vocabulary: See `Verbalizer`.
    """
    lengths = sorted({1} | {len(word) for word in _all(words)})
    runs = tuple(Run((mask,) * (length - 1), tuple(range(length))) for length in lengths)
    terms = {
        word: tuple(Term(lengths.index(len(word)), position, token) for position, token in enumerate(word))
        for word in _all(words)
    }
    return _of(runs, terms, words, whole_vocabulary=whole_vocabulary)


def _all(words: Mapping[str, Sequence[Word]]) -> list[Word]:
    return [word for class_words in words.values() for word in class_words]


def _of(
    runs: tuple[Run, ...],
    terms: Mapping[Word, tuple[Term, ...]],
    words: Mapping[str, Sequence[Word]],
    *,
    whole_vocabulary: bool,
) -> Verbalizer:
    return Verbalizer(
        runs, tuple(tuple(terms[word] for word in class_words) for class_words in words.values()), whole_vocabulary
    )
