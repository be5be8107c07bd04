"""Rows of a format that a study asks for, made of texts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from metapt_explore.auxiliary_tasks.formats.selection import OPTION_WORDS, selections
from metapt_explore.auxiliary_tasks.formats.sentence_pair import sentence_pairs
from metapt_explore.auxiliary_tasks.formats.unified import with_options
from metapt_explore.config.task_formats import SelectionFormat, SentencePairFormat, SentencesFormat


def sentence_rows(asked: SentencesFormat, texts: Sequence[str], *, room: int | None = None, seed: int) -> pd.DataFrame:
    """Makes the rows of a format of sentences.

    Args:
        asked: The format, with its sizes.
        texts: Raw texts.
        room: Tokens that the model reads of a row (`model.max_text_tokens`); `unified` leaves its options room.
        seed: The study seed.

    Returns:
        A table with the columns document, text, text_pair and label.

    Example:
        >>> asked = SentencePairFormat(format="sentence_pair", min_words=2)
        >>> texts = ["Tea is hot. I drink it. Then I go.", "Snow fell. Roads closed. We stayed."]
        >>> sentence_rows(asked, texts, seed=0)["label"].value_counts().tolist()
        [2, 2, 2]
    """
    sizes = {"per_document": asked.per_document, "min_words": asked.min_words, "max_words": asked.max_words}
    if isinstance(asked, SelectionFormat):
        return selections(texts, options=asked.options, option_words=asked.option_words, seed=seed, **sizes)
    assert isinstance(asked, SentencePairFormat)
    made = sentence_pairs(texts, shown_words=asked.shown_words, seed=seed, **sizes)
    if asked.unified:
        return with_options(made, asked.words, pair_words=2 * OPTION_WORDS, room=room, seed=seed)
    return made
