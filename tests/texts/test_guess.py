"""Guessed columns and labels of files as people have them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.config import Columns
from metapt_explore.texts.guess import guess_columns, guess_labels, guess_template

LONG = ["the battery lasts for days", "broke after a week, sadly", "does what it says", "never again, thank you"]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"text": LONG, "label": [0, 1, 0, 1]}, ("text", "label", None)),
        # The longest column wins where no name says otherwise; an id of many values is no label.
        ({"id": ["a1", "a2", "a3", "a4"], "what": LONG, "ok": ["y", "n", "y", "n"]}, ("what", "ok", None)),
        ({"title": ["good", "bad", "so so", "no"], "review_body": LONG, "stars": [5, 1, 5, 1]},
         ("review_body", "stars", None)),
        ({"sentence": LONG, "domain": ["a", "b", "a", "b"], "sentiment": [1.0, 0.0, None, 1.0]},
         ("sentence", "sentiment", "domain")),
        ({"comment": LONG}, ("comment", None, None)),
        ({"n": [1, 2, 3, 4]}, ("n", None, None)),
        ({"text": ["", None, "", None], "label": ["a", "b", "a", "b"]}, ("text", "label", None)),
    ],
)  # fmt: skip
def test_columns(table: dict[str, list[Any]], expected: tuple[str, str | None, str | None]) -> None:
    found = guess_columns(table)
    assert (found.text, found.label, found.group) == expected


CELLS = st.lists(st.one_of(st.none(), st.text(), st.floats()), max_size=5)


@given(st.dictionaries(st.text(min_size=1, max_size=8), CELLS, min_size=1, max_size=4))
def test_whatever_a_file_holds_a_guess_names_its_columns(table: dict[str, list[Any]]) -> None:
    found = guess_columns(table)
    named = [found.text, found.text_pair, found.label, found.group]
    assert found.text in table and all(name is None or name in table for name in named)
    assert len({name for name in named if name}) == len([name for name in named if name])
    for cells in table.values():
        labels = guess_labels(cells)
        assert all(label["word"].strip() for label in labels.values())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 1, None, ""], {"positive": ("1", "positive"), "negative": ("0", "negative")}),
        ([1.0, 0.0, 0.0], {"negative": ("0", "negative"), "positive": ("1", "positive")}),
        (["Neg", "POS", "POS"], {"positive": ("POS", "positive"), "negative": ("Neg", "negative")}),
        (["true", "FALSE", "true"], {"yes": ("true", "yes"), "no": ("FALSE", "no")}),
        (["spam", "spam", "not_spam"], {"spam": ("spam", "yes"), "not_spam": ("not_spam", "no")}),
        (["1 star", "2 stars"], {"1 star": ("1 star", "1 star"), "2 stars": ("2 stars", "2 stars")}),
        (["sci_fi", "News!", "News!"], {"News!": ("News!", "news"), "sci_fi": ("sci_fi", "sci")}),
        (["1", "2", "3"], {"1": ("1", "1"), "2": ("2", "2"), "3": ("3", "3")}),
        ([None, " "], {}),
    ],
)
def test_labels(values: list[Any], expected: dict[str, tuple[str, str]]) -> None:
    assert {name: (of["value"], of["word"]) for name, of in guess_labels(values).items()} == expected


def test_a_text_column_needs_no_spaces() -> None:
    table = {
        "when": ["2024-01-01 10:00", "2024-01-02 11:30"] * 2,
        "内容": ["这个茶壶很好用", "屏幕太小了不推荐", "客服态度非常好", "不值得买太差"],
    }
    assert guess_columns(table).text == "内容"
    assert guess_labels(["हिन्दी", "हिन्दी", "ไทย"])["हिन्दी"]["word"] == "हिन्दी"


@pytest.mark.parametrize(
    ("label", "values", "words", "template"),
    [
        ("label", [1, 0], {"positive", "negative"}, "Sentiment:"),
        ("stars", ["True", "False"], {"positive", "negative"}, "Sentiment:"),
        ("toxic", [1, 0], {"yes", "no"}, "Toxic:"),
        ("answer", [True, False], {"yes", "no"}, "Answer:"),
        ("label", ["spam", "non-spam"], {"yes", "no"}, "Spam:"),
        ("is_spam", ["yes", "no"], {"yes", "no"}, "Is spam:"),
        ("toxic", ["good", "bad"], {"positive", "negative"}, "Sentiment:"),
    ],
)
def test_what_two_values_answer_is_told_by_their_column(
    label: str, values: list[Any], words: set[str], template: str
) -> None:
    columns = Columns(text="text", label=label)
    labels = guess_labels(values, columns)
    assert {entry["word"] for entry in labels.values()} == words
    assert guess_template(columns, labels) == f"{{text}}\n{template}"


def test_a_pair_needs_two_columns_of_texts() -> None:
    table = {"question": LONG, "passage": LONG[::-1], "label": ["yes", "no", "yes", "no"], "domain": ["a", "b"] * 2}
    assert guess_columns(table) == Columns(text="passage", text_pair="question", label="label")
    table["question"] = ["1", "2", "3", "4"]
    assert guess_columns(table).text_pair is None and guess_columns(table).text == "passage"
