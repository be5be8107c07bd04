"""Other label words for the same classes."""

from __future__ import annotations

from typing import Any

import pytest

from metapt_explore.config import LabelsConfig
from metapt_explore.fewshot.word_candidates import other_words


def sets(**labels: Any) -> list[tuple[str, ...]]:
    return [tuple(words.values()) for words in other_words(LabelsConfig(labels=labels))]


@pytest.mark.parametrize(
    ("labels", "among"),
    [
        ({"positive": "positive", "negative": "negative"}, [("good", "bad"), ("great", "terrible")]),
        ({"entailment": "Yes", "contradiction": "No", "neutral": "Maybe"}, [("True", "False", "Neither")]),
        ({"yes": "yes", "no": "no"}, [("Yes", "No"), ("true", "false")]),
        ({"a": {"value": "billing_issue", "word": "billing"}, "b": {"value": "bug", "word": "bug"}},
         [("Billing", "Bug"), ("billing issue", "bug")]),
    ],
)  # fmt: skip
def test_words_for_the_same_answers(labels: dict[str, Any], among: list[tuple[str, ...]]) -> None:
    made = sets(**labels)
    assert set(among) <= set(made) and len(made) == len(set(made))
    own = tuple(LabelsConfig(labels=labels).labels[name].word for name in labels)
    assert own not in made and all(len(set(words)) == len(words) for words in made)


def test_several_words_a_class_and_descriptions_stay() -> None:
    assert sets(a=["x", "y"], b="z") == []
    assert sets(a={"word": "x", "description": "a text of x"}, b="z") == []
    assert sets(a={"value": "0", "word": "X"}, b={"value": "1", "word": "x y"}) == [("x", "x y"), ("X", "X y")]
