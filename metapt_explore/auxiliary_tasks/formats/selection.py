"""Selection: which of several sentences continues this one?

PPT's multiple-choice task, next sentence selection (Gu, Han, Liu and Huang, ACL 2022, arXiv 2109.04332): a query, the
true next sentence, one of the same document and others of other documents. No label is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

import numpy as np
import pandas as pd

from metapt_explore.auxiliary_tasks.formats.corpus import Corpus, Document
from metapt_explore.auxiliary_tasks.formats.sentence_pair import COLUMNS
from metapt_explore.auxiliary_tasks.formats.sentences import first_words, last_words
from metapt_explore.errors import UserError
from metapt_explore.seeds import stream
from metapt_explore.texts.normalise import comparison_key

#: Fewest and most options; PPT has six.
FEWEST_OPTIONS, MOST_OPTIONS = 2, 10
#: Words that an option shows. With three options the whole row is about 60 tokens of English.
OPTION_WORDS = 8


def option_lines(options: Sequence[str]) -> str:
    """Options as lettered lines.

    Example:
        >>> print(option_lines(["good", "bad"]))
        A. good
        B. bad
    """
    return "\n".join(f"{letter}. {option}" for letter, option in zip(ascii_uppercase, options, strict=False))


def selections(
    documents: Sequence[str],
    *,
    options: int,
    per_document: int,
    min_words: int,
    max_words: int,
    option_words: int = OPTION_WORDS,
    seed: int,
) -> pd.DataFrame:
    r"""Makes questions: which option is the next sentence?

    With three options or more one wrong option is of the same document, where it has a sentence that is no neighbour;
    all others are of other documents, each of another one where possible. No option is the opening sentence of its
    document, so that an opening says nothing. The right option's letters are drawn so that their numbers differ by one
    at most. Long options are shown by their first words, and a long text by its last ones, twice as many: a model that
    reads a limited number of tokens must see all options.

    Args:
        documents: Raw texts. One of a single sentence, and one that came before, makes no rows.
        options: How many sentences there are to choose from.
        per_document: Most rows whose `text` is of one document.
        min_words: Fewest words of a sentence.
        max_words: Most words of a sentence.
        option_words: Most words that an option shows.
        seed: The study seed.

    Returns:
        A table with the columns document (int, index of the document that `text` is of), text (a sentence), text_pair
        (the options as lines that begin with ``A. ``, ``B. `` …) and label (the letter of the right one). No two rows
        have the same text and next sentence.

    Raises:
        UserError: Where there are too few or too many options, or `min_words` and `max_words` do not go together.

    Example:
        >>> texts = ["Tea is hot. I drink it.", "Snow fell. Roads closed."]
        >>> row = selections(texts, options=2, per_document=1, min_words=2, max_words=9, seed=0).iloc[0]
        >>> row["text"], sorted(line[3:] for line in row["text_pair"].split("\n"))
        ('Tea is hot.', ['I drink it.', 'Roads closed.'])
    """
    if not FEWEST_OPTIONS <= options <= MOST_OPTIONS:
        raise UserError(f"options is {options}; it must be a number from {FEWEST_OPTIONS} to {MOST_OPTIONS}.")
    corpus = Corpus(documents, fewest=2, min_words=min_words, max_words=max_words, seed=seed)
    rows: list[tuple[int, str, str, str]] = []
    seen: set[tuple[str, str]] = set()
    positions: list[int] = []
    for document in corpus.documents:
        order = stream(seed, "selection", document.text)
        made = 0
        for first in order.permutation(document.followed()).tolist():
            keys = (document.keys[first], document.keys[first + 1])
            if made == per_document or keys in seen:
                continue
            shown = _Options(document, first, option_words)
            if not shown.add_wrong(options - 1, corpus=corpus, order=order):
                continue
            if not positions:
                block = len(rows) // options
                positions = stream(seed, "selection positions", block).permutation(options).tolist()
            place = positions.pop()
            choices = [*shown.wrong[:place], shown.right, *shown.wrong[place:]]
            seen.add(keys)
            made += 1
            text = last_words(document.sentences[first], 2 * option_words)
            rows.append((document.number, text, option_lines(choices), ascii_uppercase[place]))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"document": "int64"})


class _Options:
    """The right option of a sentence, and wrong ones that all look different."""

    def __init__(self, document: Document, first: int, words: int) -> None:
        self.document, self.first, self.words = document, first, words
        self.right = first_words(document.sentences[first + 1], words)
        self.wrong: list[str] = []
        self._taken = {document.keys[first], comparison_key(self.right)}

    def _add(self, document: Document, place: int) -> bool:
        """Adds a sentence as it is shown; nothing where another looks like it."""
        option = first_words(document.sentences[place], self.words)
        key = comparison_key(option)
        if key in self._taken:
            return False
        self._taken.add(key)
        self.wrong.append(option)
        return True

    def add_wrong(self, number: int, *, corpus: Corpus, order: np.random.Generator) -> bool:
        """Draws wrong options, in an order that is drawn, too; False where there are too few."""
        keys = self.document.keys
        near = [
            second
            for second in self.document.apart_from(self.first)
            if (keys[self.first], keys[second]) not in corpus.adjacent
        ]
        if number > 1 and near:
            self._add(self.document, near[int(order.integers(len(near)))])
        sources: set[int] = set()
        spare: list[tuple[Document, int]] = []
        # Twenty draws for each option: each of another document, as long as there are enough.
        for _ in range(20 * number):
            if len(self.wrong) == number:
                break
            drawn = corpus.draw_elsewhere(self.document, self.first, order)
            if drawn is None:
                break
            if drawn[0].number in sources:
                spare.append(drawn)
            elif self._add(*drawn):
                sources.add(drawn[0].number)
        for drawn in spare:
            if len(self.wrong) < number:
                self._add(*drawn)
        self.wrong = [self.wrong[index] for index in order.permutation(len(self.wrong)).tolist()]
        return len(self.wrong) == number
