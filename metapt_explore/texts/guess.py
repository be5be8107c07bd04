"""Guesses which column holds what, class names, label words and a template; people only correct."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from metapt_explore.config import Columns
from metapt_explore.texts.guess_pairs import YES_NO, asked_for, guess_pair, pair_question, pair_words, spelled
from metapt_explore.texts.normalise import UNSPACED, has_unspaced
from metapt_explore.texts.rows import cell_text, missing_among
from metapt_explore.texts.words import count_words, plain_words

#: Usual column names by role, the clearest first.
CUSTOMARY_NAMES = {
    "text": ("text", "sentence", "review", "content", "body", "comment", "message", "document", "tweet", "title"),
    "label": ("label", "sentiment", "class", "target", "polarity", "category", "rating", "stars", "score", "y"),
    "group": ("group", "domain", "department", "topic", "category", "source", "product", "section", "genre"),
}
SENTIMENT_LABEL_NAMES = ("sentiment", "polarity", "stars", "rating", "score")
MAX_LABELS = 20
MAX_GROUPS = 500
#: Characters of a script without spaces that make more than a word.
MIN_CHARACTERS_OF_TEXT = 5
#: Rows that are sampled.
SAMPLED_ROWS = 5000
#: Usual values of sentiment labels.
SENTIMENT = {
    "negative": ("0", "-1", "neg", "negative", "n", "bad"),
    "positive": ("1", "2", "pos", "positive", "p", "good"),
}
#: What a value that denies the other begins with: spam, not_spam.
DENIALS = ("not", "non", "no")


def guess_columns(table: Mapping[str, Sequence[Any]]) -> Columns:
    """Guesses which columns hold the text (or the two texts of a pair), the label and the group.

    Args:
        table: Column name to values, as `texts.table_files.read_table` returns.

    Returns:
        The text is the column with the longest values, the label one of few values that come again and again, the group
        one of more; names that say so decide among those that could be it. Label and group are None where none fits.
        Two texts are a pair where their names say so (`guess_pairs.guess_pair`).

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
    if pair := guess_pair(texts):
        others = [name for name in looked if name not in pair]
        label = _repeating(looked, others, "label", most=MAX_LABELS)
        return Columns(text=pair[0], text_pair=pair[1], label=label)
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


def guess_labels(
    values: Sequence[Any], columns: Columns | None = None, *, keep_missing: bool = False
) -> dict[str, dict[str, str]]:
    """Guesses class names and label words of a label column.

    Args:
        values: The column; None and blanks are left out, and words such as "nan" where two labels remain without.
        columns: Which column holds what, where that is known: names tell what 0 and 1 mean.
        keep_missing: Whether such words are labels as others are.

    Returns:
        Class name to its ``value`` in the data and a ``word`` that the model could say, the commonest value first. Two
        values that are customary for sentiment are taken for negative and positive, two that answer a question (true
        and false, spam and not_spam, 0 and 1 of a column such as ``toxic``) for yes and no; entailment and its like are
        Yes, Maybe and No. Anything else is called by itself, and said by its first word that no other class has.

    Example:
        >>> guess_labels(["0", "1", "1"])
        {'positive': {'value': '1', 'word': 'positive'}, 'negative': {'value': '0', 'word': 'negative'}}
        >>> guess_labels(["0", "1", "1"], Columns(text="text", label="toxic"))
        {'yes': {'value': '1', 'word': 'yes'}, 'no': {'value': '0', 'word': 'no'}}
    """
    counts = Counter(written for value in values if (written := cell_text(value)).strip())
    named = set(counts) - (set() if keep_missing else missing_among(set(counts)))
    ordered = sorted(named if len(named) > 1 else counts, key=lambda value: (-counts[value], value))
    column = (columns.label if columns else None) or ""
    if columns is not None and columns.text_pair is not None:
        said = pair_words((columns.text, columns.text_pair), column, ordered)
        return _called(said) if said else _by_themselves(ordered)
    if _means_sentiment(ordered, column):
        meanings = {value: name for name, known in SENTIMENT.items() for value in known}
        names = [meanings.get(value.strip().lower()) or _truth(value) for value in ordered]
        return {str(name): {"value": value, "word": str(name)} for name, value in zip(names, ordered, strict=True)}
    return _called(answers) if (answers := _yes_or_no(ordered, column)) else _by_themselves(ordered)


def _means_sentiment(values: Sequence[str], column: str) -> bool:
    """Whether two values are negative and positive: by their own words, or as numbers that no column says more of."""
    plain = {value.strip().lower() for value in values}
    of_sentiment = spelled(column) in SENTIMENT_LABEL_NAMES
    if plain == {"true", "false"}:
        return of_sentiment
    sides = [name for value in plain for name, known in SENTIMENT.items() if value in known]
    if len(values) != 2 or set(sides) != set(SENTIMENT):
        return False
    return any(map(can_be_said, plain)) or of_sentiment or not asked_for(column)


def _truth(value: str) -> str:
    return "positive" if value.strip().lower() == "true" else "negative"


def _yes_or_no(values: Sequence[str], column: str) -> dict[str, str] | None:
    """Value to yes or no, where two values answer a question."""
    if len(values) != 2:
        return None
    known = YES_NO | ({"1": "yes", "0": "no"} if asked_for(column) else {})
    said = {value: known.get(spelled(value), "") for value in values}
    if set(said.values()) == {"yes", "no"}:
        return said
    for affirmed, denied in (values, values[::-1]):
        first, _, rest = spelled(denied).partition(" ")
        if first in DENIALS and rest == spelled(affirmed):
            return {value: "yes" if value == affirmed else "no" for value in values}
    return None


def _called(words: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Classes of known words: called by their value where that says something, else by their word."""
    return {
        (word if spelled(value) in YES_NO or not can_be_said(value) else value): {"value": value, "word": word}
        for value, word in words.items()
    }


def _by_themselves(values: Sequence[str]) -> dict[str, dict[str, str]]:
    """Classes that are called by their values, and said by the first word that no other has; else by all of it."""
    parts = {value: (plain_words(value).lower() or value).split() or [value] for value in values}
    known = Counter(word for words in parts.values() for word in set(words))
    labels = {}
    for value, words in parts.items():
        telling = [word for word in words if known[word] == 1 and can_be_said(word)]
        word = telling[0] if telling and can_be_said(words[0]) else " ".join(words)
        labels[value] = {"value": value, "word": word}
    return labels


def guess_template(columns: Columns, classes: Collection[str]) -> str:
    r"""Guesses how a text is read: by what the label column is called.

    Args:
        columns: Which column holds what; a second text is read behind the first.
        classes: Class names; negative and positive ask for the sentiment, whatever the column is called, and yes and no
            for an answer.

    Example:
        >>> guess_template(Columns(text="text", label="news_topic"), ["sports", "science"])
        '{text}\nNews topic:'
        >>> guess_template(Columns(text="mail", label="label"), ["spam", "not_spam"])
        '{text}\nSpam:'
    """
    label = columns.label or ""
    asked = asked_for(label)
    if set(classes) == set(SENTIMENT) or spelled(label) in SENTIMENT_LABEL_NAMES:
        asked = "Sentiment"
    elif columns.text_pair is not None:
        return pair_question((columns.text, columns.text_pair), label, classes)
    elif (answers := _yes_or_no(list(classes), "")) is not None and not asked:
        affirmed = spelled(next(value for value, word in answers.items() if word == "yes"))
        asked = "Answer" if affirmed in YES_NO else affirmed.capitalize()
    text = "{text}\n{text_pair}" if columns.text_pair else "{text}"
    return f"{text}\n{asked or 'Topic'}:"


def can_be_said(word: str) -> bool:
    """Whether a label word has a letter: a number is no word that a model would write behind a text.

    Example:
        >>> can_be_said("sports"), can_be_said("3")
        (True, False)
    """
    return re.search(r"[^\W\d_]", word) is not None
