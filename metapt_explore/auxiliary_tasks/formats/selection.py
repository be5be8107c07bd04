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
from metapt_explore.errors import UserError
from metapt_explore.seeds import stream

#: Fewest and most options; PPT has six.
FEWEST_OPTIONS, MOST_OPTIONS = 2, 10


def option_lines(options: Sequence[str]) -> str:
    """Options as lettered lines.

    Example:
        >>> print(option_lines(["good", "bad"]))
        A. good
        B. bad
    """
    return "\n".join(f"{letter}. {option}" for letter, option in zip(ascii_uppercase, options, strict=False))


def selections(
    documents: Sequence[str], *, options: int, per_document: int, min_words: int, max_words: int, seed: int
) -> pd.DataFrame:
    r"""Makes questions: which option is the next sentence?

    With three options or more one wrong option is of the same document, where it has a sentence that is no neighbour;
    all others are of other documents, each of another one where possible. No option is the opening sentence of its
    document, so that an opening says nothing. The right option's letters are drawn so that their numbers differ by one
    at most.

    Args:
        documents: Raw texts. One of a single sentence, and one that came before, makes no rows.
        options: How many sentences there are to choose from.
        per_document: Most rows whose `text` is of one document.
        min_words: Fewest words of a sentence.
        max_words: Most words of a sentence.
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
            wrong = _wrong_options(document, first, options - 1, corpus=corpus, order=order)
            if wrong is None:
                continue
            if not positions:
                block = len(rows) // options
                positions = stream(seed, "selection positions", block).permutation(options).tolist()
            place = positions.pop()
            choices = [*wrong[:place], document.sentences[first + 1], *wrong[place:]]
            seen.add(keys)
            made += 1
            rows.append((document.number, document.sentences[first], option_lines(choices), ascii_uppercase[place]))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"document": "int64"})


def _wrong_options(
    document: Document, first: int, number: int, *, corpus: Corpus, order: np.random.Generator
) -> list[str] | None:
    """Different sentences that do not follow the given one, in an order that is drawn; None where there are too few."""
    chosen: list[str] = []
    taken = {document.keys[first], document.keys[first + 1]}
    near = [second for second in document.apart_from(first) if document.keys[second] not in taken]
    if number > 1 and near:
        second = near[int(order.integers(len(near)))]
        chosen.append(document.sentences[second])
        taken.add(document.keys[second])
    sources: set[int] = set()
    spare: list[tuple[str, str]] = []
    # Twenty draws for each option: each of another document, as long as there are enough.
    for _ in range(20 * number):
        if len(chosen) == number:
            break
        drawn = corpus.draw_elsewhere(document, first, order)
        if drawn is None:
            break
        other, second = drawn
        if other.keys[second] in taken:
            continue
        if other.number in sources:
            spare.append((other.sentences[second], other.keys[second]))
            continue
        sources.add(other.number)
        taken.add(other.keys[second])
        chosen.append(other.sentences[second])
    for sentence, key in spare:
        if len(chosen) < number and key not in taken:
            taken.add(key)
            chosen.append(sentence)
    if len(chosen) < number:
        return None
    return [chosen[index] for index in order.permutation(number).tolist()]
