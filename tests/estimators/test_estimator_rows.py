"""What estimators take for rows, and how classes are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from metapt_explore.errors import UserError
from metapt_explore.estimators.classes import Reading, read_classes, sorted_classes
from metapt_explore.estimators.engine import merged
from metapt_explore.estimators.rows import read_rows

TEXTS = ["a good book", "a bad pan"]
FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})


@pytest.mark.parametrize(
    "given",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object)[:, None],
        pd.Series(TEXTS, index=[9, 4]),
        pd.DataFrame({"text": TEXTS}),
        pd.DataFrame({"review": TEXTS}),
        {"text": TEXTS},
        Dataset.from_dict({"text": TEXTS}),
        Dataset.from_dict({"text": TEXTS})["text"],
        Dataset.from_dict({"review": TEXTS}),
        (text for text in TEXTS),
    ],
    ids=lambda given: type(given).__name__,
)
def test_texts_come_in_any_container(given: Any) -> None:
    rows = read_rows(given, np.array([1, 0]))
    assert rows.texts == TEXTS and rows.labels == [1, 0] and not rows.pairs


def test_tables_bring_labels_pairs_and_groups() -> None:
    named = read_rows(Dataset.from_dict({"text": TEXTS, "label": [1, 0]}, features=FEATURES))
    assert named.labels == ["yes", "no"]
    table = pd.DataFrame({"text": TEXTS, "text_pair": ["x", None], "label": ["a", None], "group": [1, 2]})
    pairs = read_rows(table)
    assert pairs.pairs and pairs.texts[1] == ("a bad pan", "") and pairs.labels == ["a", None]
    assert pairs.groups == [1, 2]
    assert read_rows(["a"], list(np.array([3]))).labels == [3]
    assert read_rows([["a", "b"]]).texts == [("a", "b")]
    assert read_rows(["a", None, float("nan"), pd.NA, " "]).blank() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("texts", "labels", "said"),
    [
        ("a text", None, "give a list"),
        (["a", 3], None, "Row 2 is 3, which is no text"),
        (["a", ("b", "c")], None, "some are pairs"),
        (["a", "b"], [1], "2 texts and 1 labels"),
        ({"one": ["a"], "two": ["b"]}, None, "no column 'text'"),
        (DatasetDict({"train": Dataset.from_dict({"text": ["a"]})}), None, "several splits"),
    ],
)
def test_what_is_no_text_is_named(texts: Any, labels: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_rows(texts, labels)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a", None], "Row 2 has no label"),
        (["a", "a"], "one class"),
        (["a", 1], "several types"),
        ([0.5, 1.0], "continuous"),
        ([["a"], ["b"]], "The label of row 1"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels: list[Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        sorted_classes(labels)


def test_words_are_given_known_or_guessed() -> None:
    numbers = read_classes([0, 1], None, None, pairs=False)
    assert numbers.guessed and numbers.labels["1"]["words"] == ["positive"] and "Sentiment" in numbers.template
    given = read_classes(["a", "b"], {"a": ["one", "uno"], "b": "two"}, "{text} :", pairs=False)
    assert given.labels["a"]["words"] == ["one", "uno"] and given.template == "{text} :" and not given.guessed
    known = Reading({"a": {"words": ["one"]}, "b": {"words": ["two"]}}, "{text} Is it?")
    assert read_classes(["a", "b"], None, None, pairs=False, known=known).template == "{text} Is it?"
    assert "Is it" not in read_classes(["a", "c"], None, None, pairs=False, known=known).template
    assert "{text_pair}" in read_classes(["a", "b"], None, None, pairs=True).template
    with pytest.raises(UserError, match="'b' has no word"):
        read_classes(["a", "b"], {"a": "one"}, None, pairs=False)
    with pytest.raises(UserError, match="no row has the class 'c'"):
        read_classes(["a", "b"], {"a": "one", "b": "two", "c": "x"}, None, pairs=False)


def test_settings_are_put_into_one_another() -> None:
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}, "d": 4}) == {"a": {"b": 1, "c": 3}, "d": 4}
