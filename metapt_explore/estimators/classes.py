"""Classes of an estimator: their names, the words that stand for them, and the template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metapt_explore.config.task import Columns
from metapt_explore.errors import UserError, did_you_mean, shortened
from metapt_explore.texts.guess import can_be_said, guess_labels, guess_template

#: What labels may be: what JSON can say, so that a loaded estimator answers with the same.
PLAIN = (str, int, float, bool)
Words = Mapping[Any, str | Sequence[str]]


@dataclass(frozen=True)
class Reading:
    """How classes are read.

    Attributes:
        labels: Class name to its ``value`` in written rows and its ``words``, as in a task file.
        template: How a text is read.
        guessed: Whether numbers were given words that nobody named.
    """

    labels: dict[str, dict[str, Any]]
    template: str
    guessed: bool = False


def sorted_classes(labels: Iterable[Any]) -> list[Any]:
    """The classes among labels, in the order of `classes_`.

    Raises:
        UserError: Where a label is missing or no plain value, or there is one class only.

    Example:
        >>> sorted_classes(["good", "bad", "good"])
        ['bad', 'good']
    """
    seen: dict[Any, None] = {}
    for number, label in enumerate(labels, 1):
        if label is None:
            raise UserError(f"Row {number} has no label; leave the row out, or label it.")
        if not isinstance(label, PLAIN):
            raise UserError(f"The label of row {number} is {shortened(repr(label))}; labels are texts or numbers.")
        seen.setdefault(label)
    if len({type(label) for label in seen}) > 1:
        raise UserError(f"Labels are of several types ({_listed(seen)}); make them all texts, or all numbers.")
    if len(seen) < 2:
        raise UserError(f"All rows have one class ({_listed(seen)}); a classifier needs rows of at least two.")
    ordered = sorted(seen)
    if any(isinstance(label, float) and not label.is_integer() for label in ordered):
        raise UserError(f"Labels are continuous numbers ({_listed(ordered)}); a classifier needs classes.")
    return ordered


def read_classes(
    classes: Sequence[Any], words: Words | None, template: str | None, *, pairs: bool, known: Reading | None = None
) -> Reading:
    r"""Words of each class and the template: those that were given, else the prompt's that is begun from, else guesses.

    Args:
        classes: The classes.
        words: Class to its word, or words.
        template: How a text is read, with ``{text}`` (and ``{text_pair}``); the label word comes next.
        pairs: Whether rows are two texts.
        known: How the prompt that is begun from reads classes.

    Raises:
        UserError: Where a class has no word, or a word has no class.

    Example:
        >>> reading = read_classes([0, 1], {0: "bad", 1: "good"}, None, pairs=False)
        >>> reading.labels["1"], reading.template
        ({'value': '1', 'words': ['good']}, '{text}\nTopic:')
        >>> read_classes(["negative", "positive"], None, None, pairs=False).template
        '{text}\nSentiment:'
    """
    names = [str(each) for each in classes]
    if known is not None and set(known.labels) != set(names):
        known = None
    guessed = False
    if words is not None:
        said = _given(classes, words)
    elif known is not None:
        said = {name: list(known.labels[name]["words"]) for name in names}
    else:
        made = guess_labels(names, keep_missing=True)
        said = {str(entry["value"]): [entry["word"]] for entry in made.values()}
        guessed = not all(map(can_be_said, names))
    columns = Columns(text="text", label=None, text_pair="text_pair" if pairs else None)
    asked = template or (known.template if known is not None else None)
    if asked is None:
        asked = guess_template(columns, [said[name][0] for name in names])
    labels = {name: {"value": name, "words": said[name]} for name in names}
    return Reading(labels, asked, guessed)


def _given(classes: Sequence[Any], words: Words) -> dict[str, list[str]]:
    # A column of 0 and 1 with a gap is read as 0.0 and 1.0: the same classes.
    same = {key: next((str(each) for each in classes if each == key), str(key)) for key in words}
    by_name = {same[key]: value for key, value in words.items()}
    names = [str(each) for each in classes]
    for name in by_name:
        if name not in names:
            raise UserError(f"label_words: no row has the class '{shortened(name)}'. {did_you_mean(name, names)}")
    for name in names:
        if name not in by_name:
            raise UserError(f"label_words: the class '{shortened(name)}' has no word; give one for each class.")
    said = {name: by_name[name] for name in names}
    return {name: [given] if isinstance(given, str) else [*given] for name, given in said.items()}


def _listed(labels: Iterable[Any]) -> str:
    return shortened(", ".join(map(repr, labels)))
