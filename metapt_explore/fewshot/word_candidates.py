"""Other label words for the classes of a task: written otherwise, or the customary words for the same answers."""

from __future__ import annotations

from collections.abc import Mapping

from metapt_explore.config import LabelsConfig
from metapt_explore.texts.words import plain_words

#: Words that answer alike, each list in the order of its first.
CUSTOMARY = (
    (("negative", "positive"), ("bad", "good"), ("terrible", "great")),
    (("no", "yes"), ("No", "Yes"), ("false", "true"), ("wrong", "right")),
    (("No", "Maybe", "Yes"), ("no", "maybe", "yes"), ("False", "Neither", "True")),
)

Words = dict[str, str]


def other_words(labels: LabelsConfig) -> list[Words]:
    """Sets of words that could stand for the same classes; those of `labels` are not among them.

    Args:
        labels: Template and classes; sets are made only where each class has one word and no description.

    Returns:
        Class name to word: customary words for the same answers, words in lower case, with a capital, and the whole
        value of the data.

    Example:
        >>> labels = {"no": {"value": "0", "word": "no"}, "yes": {"value": "1", "word": "yes"}}
        >>> other_words(LabelsConfig(labels=labels))[:2]
        [{'no': 'No', 'yes': 'Yes'}, {'no': 'false', 'yes': 'true'}]
    """
    if any(len(label.words) != 1 or label.description for label in labels.labels.values()):
        return []
    own = {name: label.word for name, label in labels.labels.items()}
    made = _customary(own)
    made += [{name: word.lower() for name, word in own.items()}, {name: _capital(word) for name, word in own.items()}]
    values = {name: plain_words(label.value).lower() for name, label in labels.labels.items()}
    if all(any(map(str.isalpha, value)) for value in values.values()):
        made += [values, {name: _capital(value) for name, value in values.items()}]
    distinct = {tuple(words.items()): words for words in made if len(set(words.values())) == len(words)}
    return [words for words in distinct.values() if words != own]


def _customary(own: Mapping[str, str]) -> list[Words]:
    """The words of a list in `CUSTOMARY` whose first words are the task's own (some of three answers, or all)."""
    for first, *others in CUSTOMARY:
        places = {word.lower(): place for place, word in enumerate(first)}
        if {word.lower() for word in own.values()} <= set(places) and len(own) >= min(2, len(first)):
            return [{name: words[places[word.lower()]] for name, word in own.items()} for words in (first, *others)]
    return []


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]
