"""Guesses which column holds what, class names, label words and a template; people only correct."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from metapt_explore.config import Columns
from metapt_explore.texts.normalise import UNSPACED, has_unspaced
from metapt_explore.texts.rows import cell_text, missing_among
from metapt_explore.texts.words import count_words, plain_words

#: Usual column names by role, the clearest first.
CUSTOMARY_NAMES = {
    "text": ("text", "sentence", "review", "content", "body", "comment", "message", "document", "tweet", "title"),
    "label": ("label", "sentiment", "class", "target", "polarity", "category", "rating", "stars", "score", "y"),
    "group": ("group", "domain", "department", "topic", "category", "source", "product", "section", "genre"),
}
#: Names of label columns that do not say what the label is.
UNINFORMATIVE_LABEL_NAMES = ("label", "labels", "class", "target", "y", "gold", "category")
SENTIMENT_LABEL_NAMES = ("sentiment", "polarity", "stars", "rating", "score")
MAX_LABELS = 20
MAX_GROUPS = 500
#: Characters of a script without spaces that make more than a word.
MIN_CHARACTERS_OF_TEXT = 5
#: Rows that are sampled.
SAMPLED_ROWS = 5000
#: Usual values of sentiment labels.
SENTIMENT = {
    "negative": ("0", "-1", "neg", "negative", "n", "bad", "false"),
    "positive": ("1", "2", "pos", "positive", "p", "good", "true"),
}


def guess_columns(table: Mapping[str, Sequence[Any]]) -> Columns:
    """Guesses which column holds the text, the label and the group.

    Args:
        table: Column name to values, as `texts.table_files.read_table` returns.

    Returns:
        The text is the column with the longest values, the label one of few values that come again and again, the group
        one of more; names that say so decide among those that could be it. Label and group are None where none fits.

    Example:
        >>> guess_columns({"id": ["a", "b", "c"], "review": ["good phone", "bad phone", "fine"], "stars": [1, 0, 1]})
        Columns(text='review', text_pair=None, label='stars', group=None)
    """
    looked = {
        # From all over the file: one that is sorted by class has a single label at its beginning.
        name: [value for value in values[:: max(1, len(values) // SAMPLED_ROWS)] if value not in (None, "")]
        for name, values in table.items()
    }
    length = {
        name: sum(_length(str(value)) for value in values) / max(1, len(values)) for name, values in looked.items()
    }
    words = {
        name: any(isinstance(value, str) and _several_words(value) for value in values)
        for name, values in looked.items()
    }
    texts = [name for name in looked if words[name]] or list(looked)
    if not texts:
        return Columns()
    named = [name for name in texts if _name_rank(name, "text") < len(CUSTOMARY_NAMES["text"])]
    longest = max(texts, key=lambda name: length[name])
    if named:
        best = min(named, key=lambda name: _name_rank(name, "text"))
        text = best if not looked[best] or length[best] >= length[longest] / 4 else longest
    else:
        text = longest
    others = [name for name in looked if name != text]
    label = _repeating(looked, others, "label", most=MAX_LABELS)
    group = _repeating(looked, [name for name in others if name != label], "group", most=MAX_GROUPS, only_named=True)
    return Columns(text=text, label=label, group=group)


def _length(value: str) -> int:
    """Letters; a character of a script without spaces says as much as three."""
    return len(value) + 2 * (len(UNSPACED.findall(value)) if has_unspaced(value) else 0)


def _several_words(value: str) -> bool:
    """Whether a value holds a space, or enough characters of a script that has none."""
    return " " in value.strip() or (has_unspaced(value) and count_words(value) >= MIN_CHARACTERS_OF_TEXT)


def _name_rank(column: str, role: str) -> int:
    """Place of a column's name among the customary ones; their number where it is none of them."""
    plain = re.sub(r"[^a-z]", "", column.lower())
    exact = [rank for rank, name in enumerate(CUSTOMARY_NAMES[role]) if plain == name]
    part = [rank for rank, name in enumerate(CUSTOMARY_NAMES[role]) if len(name) > 2 and name in plain]
    return min(exact or part or [len(CUSTOMARY_NAMES[role])])


def _repeating(
    looked: Mapping[str, Sequence[Any]], columns: Sequence[str], role: str, *, most: int, only_named: bool = False
) -> str | None:
    """The column of values that come again and again that is most likely the role's."""
    candidates = []
    for name in columns:
        different = len({str(value) for value in looked[name]})
        if not 2 <= different <= most or different > max(2, len(looked[name]) // 2):
            continue
        rank = _name_rank(name, role)
        if only_named and rank == len(CUSTOMARY_NAMES[role]):
            continue
        candidates.append((rank, different, name))
    return min(candidates)[2] if candidates else None


def guess_labels(values: Sequence[Any], *, keep_missing: bool = False) -> dict[str, dict[str, str]]:
    """Guesses class names and label words of a label column.

    Args:
        values: The column; None and blanks are left out, and words such as "nan" where two labels remain without.
        keep_missing: Whether such words are labels as others are.

    Returns:
        Class name to its ``value`` in the data and a ``word`` that the model could say, the commonest value first. Two
        values that are customary for sentiment are taken for negative and positive; anything else is called by itself.

    Example:
        >>> guess_labels(["0", "1", "1"])
        {'positive': {'value': '1', 'word': 'positive'}, 'negative': {'value': '0', 'word': 'negative'}}
    """
    counts = Counter(written for value in values if (written := cell_text(value)).strip())
    named = set(counts) - (set() if keep_missing else missing_among(set(counts)))
    ordered = sorted(named if len(named) > 1 else counts, key=lambda value: (-counts[value], value))
    meanings = {value: name for name, known in SENTIMENT.items() for value in known}
    meant = [meanings.get(value.lower()) for value in ordered]
    if len(ordered) == 2 and set(meant) == set(SENTIMENT):
        return {str(name): {"value": value, "word": str(name)} for name, value in zip(meant, ordered, strict=True)}
    labels: dict[str, dict[str, str]] = {}
    for value in ordered:
        word = plain_words(value).lower() or value
        labels[value] = {"value": value, "word": word.split()[0] if word.split() else value}
    return labels


def guess_template(columns: Columns, classes: Collection[str]) -> str:
    r"""Guesses how a text is read: by what the label column is called.

    Args:
        columns: Which column holds what; a second text is read behind the first.
        classes: Class names; negative and positive ask for the sentiment, whatever the column is called.

    Example:
        >>> guess_template(Columns(text="text", label="news_topic"), ["sports", "science"])
        '{text}\nNews topic:'
    """
    label = plain_words(columns.label or "")
    if set(classes) == set(SENTIMENT) or label.lower() in SENTIMENT_LABEL_NAMES:
        asked = "Sentiment"
    else:
        asked = "Topic" if label.lower() in UNINFORMATIVE_LABEL_NAMES or not label else label.capitalize()
    text = "{text}\n{text_pair}" if columns.text_pair else "{text}"
    return f"{text}\n{asked}:"


def can_be_said(word: str) -> bool:
    """Whether a label word has a letter: a number is no word that a model would write behind a text.

    Example:
        >>> can_be_said("sports"), can_be_said("3")
        (True, False)
    """
    return re.search(r"[^\W\d_]", word) is not None
