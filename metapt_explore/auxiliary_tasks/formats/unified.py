"""One format for all: any labelled row as a choice among lettered options.

Unified PPT (Gu, Han, Liu and Huang, ACL 2022, arXiv 2109.04332) writes single texts and pairs as multiple choice, so
that one prompt pre-trained by selection serves them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase

import pandas as pd

from metapt_explore.auxiliary_tasks.formats.selection import MOST_OPTIONS, option_lines
from metapt_explore.auxiliary_tasks.formats.sentences import count_words, first_words
from metapt_explore.errors import UserError, did_you_mean, shortened
from metapt_explore.seeds import stream

#: Tokens of a word, with its punctuation: more than most English words have (1.3), so that few options are cut.
WORD_TOKENS = 2
#: Tokens of an option beside its words: line break, letter, full stop.
OPTION_TOKENS = 3
#: Words that a text keeps, however much room its options take.
FEWEST_WORDS = 4


def with_options(
    rows: pd.DataFrame,
    words: Mapping[str, str],
    *,
    pair_words: int | None = None,
    room: int | None = None,
    seed: int,
) -> pd.DataFrame:
    r"""Writes labelled rows as choices among their label words.

    Args:
        rows: A table with the columns text and label, and text_pair where rows are pairs. It is not changed.
        words: The word of each label, all different: two labels or more, ten at most.
        pair_words: Most words that a second text shows; all of them when absent.
        room: Tokens that the model reads of a row (`model.max_text_tokens`). Texts are shortened as far as it takes
            that the options, at the end of the row, are read; by an estimate of `WORD_TOKENS` tokens a word.
        seed: The study seed.

    Returns:
        The same rows and columns (text_pair is added where it is missing). text_pair holds the second text, where the
        row has any, and below it the words as lines ``A. …``, ``B. …`` in an order that is drawn for each row; it
        depends on the row's own texts only. label is the letter of the right word.

    Raises:
        UserError: Where words are equal, too few or too many, or a row's label has no word.

    Example:
        >>> reviews = pd.DataFrame({"text": ["Fine film.", "A bore."], "label": ["pos", "neg"]})
        >>> made = with_options(reviews, {"neg": "bad", "pos": "good"}, seed=0)
        >>> made["text_pair"].tolist(), made["label"].tolist()
        (['A. good\nB. bad', 'A. good\nB. bad'], ['A', 'B'])
    """
    labels = list(words)
    if not 2 <= len(labels) <= MOST_OPTIONS:
        raise UserError(
            f"A choice needs 2 to {MOST_OPTIONS} label words; there are {len(labels)}. Leave out `unified`, or take "
            "other labels."
        )
    if len(set(words.values())) < len(labels):
        raise UserError("Two labels have the same word, so a choice between them says nothing: give each its own word.")
    pairs = rows["text_pair"] if "text_pair" in rows.columns else pd.Series([None] * len(rows), index=rows.index)
    needed = _option_tokens(list(words.values()))
    texts, options, letters = [], [], []
    for text, pair, label in zip(rows["text"], pairs, rows["label"], strict=True):
        if label not in words:
            raise UserError(f"No word is given for the label '{shortened(str(label))}'. {did_you_mean(label, words)}")
        second = "" if pd.isna(pair) else str(pair)
        order = stream(seed, "unified", str(text), second).permutation(len(labels)).tolist()
        lines = option_lines([words[labels[index]] for index in order])
        second = second if pair_words is None else first_words(second, pair_words)
        if room is not None:
            text, second = _shortened(str(text), second, needed=needed, room=room)
        texts.append(text)
        options.append(f"{second}\n{lines}" if second.strip() else lines)
        letters.append(ascii_uppercase[order.index(labels.index(label))])
    return rows.assign(text=texts, text_pair=options, label=letters)


def _option_tokens(words: Sequence[str]) -> int:
    return sum(OPTION_TOKENS + WORD_TOKENS * count_words(word) for word in words)


def _shortened(text: str, second: str, *, needed: int, room: int) -> tuple[str, str]:
    """Both texts, so short that `needed` tokens of options fit behind them.

    A model's layout (`models/layout.py`) cuts the longer of the two parts, and the second one, with its options, never
    below half of the room. So the second text gets what the options leave of that, and the first is shortened only
    where the options, with a few words of the second text, take more than half.
    """
    least = needed + (FEWEST_WORDS * WORD_TOKENS if second.strip() else 0)
    if least > room // 2:
        text = first_words(text, max(FEWEST_WORDS, (room - least) // WORD_TOKENS))
    of_second = max(room // 2, room - WORD_TOKENS * count_words(text))
    return text, first_words(second, max(FEWEST_WORDS, (of_second - needed) // WORD_TOKENS))
