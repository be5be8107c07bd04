"""Sentence pairs: does the second sentence follow the first, stand elsewhere in its document, or in another one?

The pair task of PPT (Gu, Han, Liu and Huang, ACL 2022, arXiv 2109.04332), which widens next-sentence prediction
(Devlin et al., NAACL 2019) to three classes and needs no label. It goes with downstream tasks on pairs of texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from metapt_explore.auxiliary_tasks.formats.corpus import Corpus, Document
from metapt_explore.auxiliary_tasks.formats.sentences import first_words, last_words
from metapt_explore.seeds import stream
from metapt_explore.texts.normalise import comparison_key

#: The classes; PPT reads them as yes, maybe and no.
LABELS = ("adjacent", "same_document", "other")
#: Sentences of other documents that each sentence meets, at most.
MOST_ROUNDS = 20
COLUMNS = ("document", "text", "text_pair", "label")


def sentence_pairs(
    documents: Sequence[str],
    *,
    per_document: int,
    min_words: int,
    max_words: int,
    shown_words: int | None = None,
    seed: int,
) -> pd.DataFrame:
    """Makes pairs of sentences of three classes.

    The classes take turns, so that their numbers differ by one at most. `text` is never the last sentence of its
    document and `text_pair` never the opening one of its own, whatever the class, so that neither alone tells it.
    With a `per_document` that three divides, a document's rows depend on other documents only where those lend a
    sentence or hold the same ones.

    Args:
        documents: Raw texts. One of fewer than three sentences, and one that came before, makes no rows.
        per_document: Most rows whose `text` is of one document.
        min_words: Fewest words of a sentence.
        max_words: Most words of a sentence; a longer one is cut into several.
        shown_words: Of longer sentences a row shows this many words, the last of the first and the first of the
            second sentence, so that a model that reads a limited number of tokens sees both; all when absent.
        seed: The study seed.

    Returns:
        A table with the columns document (int, index of the document that `text` is of), text, text_pair and label:
        ``adjacent`` (the next sentence), ``same_document`` (no neighbour) or ``other`` (of another document, in which
        `text` does not stand). No two rows have the same sentences.

    Raises:
        UserError: Where `min_words` and `max_words` do not go together.

    Example:
        >>> texts = ["Tea is hot. I drink it. Then I go.", "Snow fell. Roads closed. We stayed."]
        >>> made = sentence_pairs(texts, per_document=3, min_words=2, max_words=9, seed=0)
        >>> made["label"].tolist()
        ['adjacent', 'same_document', 'other', 'adjacent', 'same_document', 'other']
        >>> made.loc[1, ["text", "text_pair"]].tolist()
        ['Tea is hot.', 'Then I go.']
    """
    corpus = Corpus(documents, fewest=3, min_words=min_words, max_words=max_words, seed=seed)
    rows: list[tuple[int, str, str, str]] = []
    seen: set[tuple[str, str]] = set()
    for document in corpus.documents:
        order = stream(seed, "sentence_pair", document.text)
        draws = {
            "adjacent": _adjacent(document, order),
            "same_document": _apart(document, order),
            "other": _other(document, corpus, order),
        }
        begin = len(rows)
        for _ in range(per_document):
            # The class whose turn it is.
            label = LABELS[len(rows) % len(LABELS)]
            shown = (_shown(texts, shown_words) for texts in draws[label])
            row = next(((texts, keys) for texts, keys in shown if keys not in seen and keys[0] != keys[1]), None)
            if row is None:
                # Whole rounds only, so that the turn is as it was for the next document.
                del rows[len(rows) - (len(rows) - begin) % len(LABELS) :]
                break
            (text, text_pair), keys = row
            seen.add(keys)
            rows.append((document.number, text, text_pair, label))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"document": "int64"})


def _shown(texts: tuple[str, str], words: int | None) -> tuple[tuple[str, str], tuple[str, str]]:
    """Two sentences as a row shows them, and their keys."""
    first, second = texts if words is None else (last_words(texts[0], words), first_words(texts[1], words))
    return (first, second), (comparison_key(first), comparison_key(second))


def _pair(one: Document, first: int, other: Document, second: int) -> tuple[str, str]:
    return one.sentences[first], other.sentences[second]


def _adjacent(document: Document, order: np.random.Generator) -> Iterator[tuple[str, str]]:
    for first in order.permutation(document.followed()).tolist():
        yield _pair(document, int(first), document, int(first) + 1)


def _apart(document: Document, order: np.random.Generator) -> Iterator[tuple[str, str]]:
    # Each sentence meets one other before any meets a second.
    firsts = order.permutation(len(document.sentences) - 1).tolist()
    seconds: dict[int, list[int]] = {}
    while firsts:
        for first in firsts:
            if first not in seconds:
                seconds[first] = order.permutation(document.apart_from(first)).tolist()
            if seconds[first]:
                yield _pair(document, first, document, int(seconds[first].pop()))
        firsts = [first for first in firsts if seconds[first]]


def _other(document: Document, corpus: Corpus, order: np.random.Generator) -> Iterator[tuple[str, str]]:
    # Round after round: a sentence may meet several of other documents.
    for _ in range(MOST_ROUNDS):
        for first in order.permutation(len(document.sentences) - 1).tolist():
            drawn = corpus.draw_elsewhere(document, first, order)
            if drawn is not None:
                yield _pair(document, first, *drawn)
