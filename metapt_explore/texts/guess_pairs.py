"""Guesses pairs of texts and what is asked of them: entailment, a question about a passage, the same meaning."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from metapt_explore.texts.words import plain_words

#: Customary names of the two columns; the first text is read first.
PREMISES, HYPOTHESES = ("premise", "evidence"), ("hypothesis", "claim")
PASSAGES, QUESTIONS = ("passage", "context", "paragraph"), ("question", "query")
#: A question with one sentence, as in QNLI: does the sentence answer it?
ANSWERS = ("sentence", "answer", "response")
#: Two columns of one name, numbered: sentence1 and sentence2, text_a and text_b.
NUMBERED = re.compile(r"(sentence|sent|text|question|document|doc|input|sequence|utterance|phrase|s|q)([12ab])")
SECOND = {"1": "2", "a": "b"}

#: What a row of each value says, in a word; spaces stand for any of "_", "-" and " ".
ENTAILMENT = {
    "entailment": "Yes", "entails": "Yes", "entailed": "Yes", "supports": "Yes", "supported": "Yes",
    "neutral": "Maybe", "not enough info": "Maybe", "unknown": "Maybe",
    "contradiction": "No", "contradicts": "No", "refutes": "No", "refuted": "No",
    "not entailment": "No", "non entailment": "No", "not entailed": "No",
}  # fmt: skip
SAME = {
    "duplicate": "Yes", "equivalent": "Yes", "paraphrase": "Yes", "same": "Yes",
    "not duplicate": "No", "not equivalent": "No", "not paraphrase": "No", "non paraphrase": "No", "different": "No",
}  # fmt: skip
YES_NO = {"yes": "yes", "no": "no", "true": "yes", "false": "no", "y": "yes", "n": "no", "t": "yes", "f": "no"}
#: Names of label columns that say that 1 is "the same".
SAME_NAMES = ("duplicate", "paraphrase", "equivalent", "same", "similar")


def guess_pair(columns: Sequence[str]) -> tuple[str, str] | None:
    """The two columns of a pair, where their names say that there is one.

    Args:
        columns: Columns that hold texts.

    Example:
        >>> guess_pair(["question", "passage"]), guess_pair(["sentence2", "sentence1"]), guess_pair(["title", "text"])
        (('passage', 'question'), ('sentence1', 'sentence2'), None)
    """
    named = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in reversed(columns)}
    for firsts, seconds in ((PREMISES, HYPOTHESES), (PASSAGES, QUESTIONS), (ANSWERS, QUESTIONS)):
        for first in firsts:
            for second in seconds:
                if first in named and second in named:
                    return named[first], named[second]
    for name, column in named.items():
        numbered = NUMBERED.fullmatch(name)
        if numbered and numbered[2] in SECOND and (other := f"{numbered[1]}{SECOND[numbered[2]]}") in named:
            return column, named[other]
    return None


def spelled(value: str) -> str:
    """A label value with its separators as spaces, in lower case.

    Example:
        >>> spelled("not_entailment"), spelled("Non-Paraphrase")
        ('not entailment', 'non paraphrase')
    """
    return plain_words(value).lower()


def pair_words(pair: tuple[str, str], label: str, values: Collection[str]) -> dict[str, str] | None:
    """The word of each label value of pairs; None where values do not say what they mean (0 and 1 of two sentences).

    Args:
        pair: Names of the two columns.
        label: Name of the label column.
        values: The label column's different values.

    Example:
        >>> pair_words(("premise", "hypothesis"), "label", ["entailment", "not_entailment"])
        {'entailment': 'Yes', 'not_entailment': 'No'}
        >>> pair_words(("passage", "question"), "answer", ["1", "0"])
        {'1': 'yes', '0': 'no'}
        >>> pair_words(("sentence1", "sentence2"), "label", ["1", "0"])
    """
    known: dict[str, str] = YES_NO
    if set(map(spelled, values)) == {"0", "1"} and _numbers_are_told(pair, label):
        known = {"1": "yes", "0": "no"}
    for words in (ENTAILMENT, SAME, known):
        said = {value: words.get(spelled(value), "") for value in values}
        if all(said.values()) and len(set(said.values())) == len(said):
            return said
    return None


def _numbers_are_told(pair: tuple[str, str], label: str) -> bool:
    """Whether 1 is known to mean yes: questions about a passage, and label columns that ask for sameness."""
    first, second = (re.sub(r"[^a-z0-9]", "", column.lower()) for column in pair)
    if first in PASSAGES and second in QUESTIONS:
        return True
    return any(name in label.lower() for name in SAME_NAMES) or (first, second) == ("question1", "question2")


def pair_question(pair: tuple[str, str], label: str, classes: Collection[str]) -> str:
    r"""How a pair is read, up to where the label word comes.

    Args:
        pair: Names of the two columns.
        label: Name of the label column; it is asked for where nothing says more.
        classes: Class names, as in the data where those say what they mean.

    Example:
        >>> pair_question(("premise", "hypothesis"), "label", ["entailment", "neutral", "contradiction"])
        '{text}\nDoes it follow that: {text_pair}\nYes, no or maybe?\nAnswer:'
        >>> pair_question(("passage", "question"), "label", ["yes", "no"])
        '{text}\nQuestion: {text_pair}\nAnswer:'
    """
    first, second = (re.sub(r"[^a-z0-9]", "", column.lower()) for column in pair)
    spellings = set(map(spelled, classes))
    choice = "Yes, no or maybe?" if len(spellings) > 2 else "Yes or no?"
    if second in QUESTIONS:
        if first in ANSWERS:
            return "{text}\nQuestion: {text_pair}\nDoes the text answer the question? Yes or no?\nAnswer:"
        return "{text}\nQuestion: {text_pair}\nAnswer:"
    if spellings <= set(ENTAILMENT) or second in HYPOTHESES:
        return f"{{text}}\nDoes it follow that: {{text_pair}}\n{choice}\nAnswer:"
    if spellings <= set(SAME) or any(name in label.lower() for name in SAME_NAMES) or first == "question1":
        return "{text}\n{text_pair}\nDo both say the same? Yes or no?\nAnswer:"
    return f"{{text}}\n{{text_pair}}\n{asked_for(label) or 'Answer'}:"


#: Names of label columns that do not say what the label is.
UNINFORMATIVE_LABEL_NAMES = ("label", "labels", "class", "target", "y", "gold", "category", "answer")


def asked_for(label: str) -> str:
    """What a label column's name asks for, as a template says it; "" where the name says nothing.

    Example:
        >>> asked_for("news_topic"), asked_for("label")
        ('News topic', '')
    """
    plain = plain_words(label)
    return "" if plain.lower() in UNINFORMATIVE_LABEL_NAMES else plain.capitalize()
