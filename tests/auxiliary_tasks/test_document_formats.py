"""Rows made from raw documents: sentence pairs, selections, options. Each label is held against its definition."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pandas as pd
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from metapt_explore.auxiliary_tasks.formats.selection import selections
from metapt_explore.auxiliary_tasks.formats.sentence_pair import LABELS, sentence_pairs
from metapt_explore.auxiliary_tasks.formats.sentences import split_sentences
from metapt_explore.auxiliary_tasks.formats.unified import with_options
from metapt_explore.config import ModelConfig
from metapt_explore.errors import UserError
from metapt_explore.models.load import layout_class
from metapt_explore.texts.rows import as_inputs

BOUNDS = {"min_words": 2, "max_words": 12}
#: Few different sentences, so that documents repeat themselves and each other.
SENTENCES = st.sampled_from(
    [f"{who} {what}." for who in ("Cats", "Dogs", "Cows", "Hens") for what in ("eat", "nap", "go")]
)
DOCUMENTS = st.lists(st.lists(SENTENCES, max_size=7).map(" ".join), max_size=6)


def numbered(documents: int, sentences: int) -> list[str]:
    return [
        " ".join(f"Text {document} says {sentence}." for sentence in range(sentences)) for document in range(documents)
    ]


def lines_of(text: str) -> list[str]:
    return split_sentences(text, **BOUNDS)


def side_by_side(text: str, first: str, second: str) -> bool:
    lines = lines_of(text)
    return (first, second) in pairwise(lines)


def test_a_true_continuation_in_a_third_text_is_no_wrong_option() -> None:
    documents = ["Cats go. Cats eat.", "Cats go. Cats nap.", "Cows eat. Cats eat. Cats nap.", "Hens eat. Hens nap."]
    made = selections(documents, options=2, per_document=1, seed=0, **BOUNDS)
    for _, row in made[made["text"] == "Cats go."].iterrows():
        assert sorted(options_of(row).values())[-1] == "Hens nap."


def check_pair(documents: list[str], row: pd.Series) -> None:
    own = documents[row["document"]]
    assert row["text"] in lines_of(own) and row["text"] != row["text_pair"]
    if row["label"] == "adjacent":
        assert side_by_side(own, row["text"], row["text_pair"])
    elif row["label"] == "same_document":
        assert row["text_pair"] in lines_of(own)
        assert not side_by_side(own, row["text"], row["text_pair"])
        assert not side_by_side(own, row["text_pair"], row["text"])
    else:
        assert row["label"] == "other" and row["text_pair"] not in lines_of(own)
        sources = [text for text in documents if row["text_pair"] in lines_of(text)]
        assert any(row["text"] not in lines_of(text) for text in sources)


def test_a_document_of_three_sentences_gives_one_pair_of_each_class() -> None:
    documents = numbered(4, 3)
    made = sentence_pairs(documents, per_document=9, seed=1, **BOUNDS)
    assert made["document"].tolist() == [number for number in range(4) for _ in range(3)]
    assert made["label"].tolist() == list(LABELS) * 4
    same = made[made["label"] == "same_document"]
    assert same["text"].tolist() == [f"Text {number} says 0." for number in range(4)]
    assert same["text_pair"].tolist() == [f"Text {number} says 2." for number in range(4)]


@pytest.mark.parametrize("documents", [[], [""], ["One sentence only."], ["It rains. We stay."] * 2])
def test_too_little_text_gives_no_pairs(documents: list[str]) -> None:
    made = sentence_pairs(documents, per_document=3, seed=0, **BOUNDS)
    assert made.empty and list(made) == ["document", "text", "text_pair", "label"]
    assert made["document"].dtype == "int64"


def test_one_document_has_no_other() -> None:
    assert sentence_pairs(numbered(1, 9), per_document=6, seed=0, **BOUNDS).empty


def test_neither_sentence_alone_tells_the_class() -> None:
    made = sentence_pairs(numbered(30, 5), per_document=6, seed=0, **BOUNDS)
    assert len(made) == 180
    assert not made["text"].str.endswith("says 4.").any()
    assert not made["text_pair"].str.endswith("says 0.").any()


def test_rows_of_a_document_stay_when_another_is_added() -> None:
    documents = numbered(20, 6)
    before = sentence_pairs(documents, per_document=3, seed=5, **BOUNDS)
    after = sentence_pairs([*documents, "A new text. It is short. It ends."], per_document=3, seed=5, **BOUNDS)
    after = after[after["document"] < 20]
    changed = (before[["text", "text_pair", "label"]].to_numpy() != after[before.columns[1:]].to_numpy()).any(axis=1)
    # Only those may change that draw their sentence from the new text.
    assert set(after["text_pair"][changed]) <= {"It is short.", "It ends."}


def test_long_sentences_show_the_words_that_meet() -> None:
    documents = [" ".join(f"Text {number} goes on and ends at {line}." for line in range(4)) for number in range(3)]
    made = sentence_pairs(documents, per_document=6, min_words=2, max_words=30, shown_words=3, seed=0)
    adjacent = made[made["label"] == "adjacent"]
    assert set(adjacent["text"]) <= {f"ends at {line}." for line in range(3)}
    assert (adjacent["text_pair"] == "Text " + adjacent["document"].astype(str) + " goes").all()
    assert not made.duplicated(["text", "text_pair"]).any()


def test_pairs_in_a_script_without_spaces() -> None:
    documents = [f"第{number}天下雨。我们{number}在家。他们{number}出门。" for number in "一二三"]
    made = sentence_pairs(documents, per_document=3, min_words=2, max_words=20, seed=0)
    assert made["label"].value_counts().to_dict() == dict.fromkeys(LABELS, 3)
    assert made.loc[1, ["text", "text_pair"]].tolist() == ["第一天下雨。", "他们一出门。"]


@settings(deadline=None)
@given(documents=DOCUMENTS, per_document=st.integers(1, 7), seed=st.integers(0, 3))
def test_every_pair_is_what_its_label_says(documents: list[str], per_document: int, seed: int) -> None:
    made = sentence_pairs(documents, per_document=per_document, seed=seed, **BOUNDS)
    for _, row in made.iterrows():
        check_pair(documents, row)
    assert not made.duplicated(["text", "text_pair"]).any()
    counts = [int((made["label"] == label).sum()) for label in LABELS]
    assert max(counts) - min(counts) <= 1
    assert made["document"].value_counts().max() <= per_document or made.empty
    pd.testing.assert_frame_equal(made, sentence_pairs(documents, per_document=per_document, seed=seed, **BOUNDS))


def options_of(row: pd.Series) -> dict[str, str]:
    return dict(line.split(". ", 1) for line in row["text_pair"].split("\n"))


def test_selection_has_one_wrong_option_of_its_own_document() -> None:
    made = selections(numbered(12, 5), options=4, per_document=3, seed=0, **BOUNDS)
    assert len(made) == 36 and Counter(made["label"]) == dict.fromkeys("ABCD", 9)
    for _, row in made.iterrows():
        options = options_of(row)
        assert list(options) == list("ABCD")
        number, place = (int(part.rstrip(".")) for part in row["text"].split()[1::2])
        assert options[row["label"]] == f"Text {number} says {place + 1}."
        assert sum(option.startswith(f"Text {number} ") for option in options.values()) <= 2
        assert not any(option.endswith("says 0.") for option in options.values())


def test_options_of_other_documents_are_of_different_ones() -> None:
    made = selections(numbered(30, 2), options=4, per_document=1, seed=0, **BOUNDS)
    assert len(made) == 30
    assert all(len({option.split()[1] for option in options_of(row).values()}) == 4 for _, row in made.iterrows())


def test_options_show_their_first_words_and_all_look_different() -> None:
    documents = [
        " ".join(f"Text {number} has a line that goes on for long and ends at {line}." for line in range(6))
        for number in range(4)
    ]
    bounds = {"per_document": 5, "min_words": 2, "max_words": 30, "seed": 0}
    made = selections(documents, options=3, option_words=4, **bounds)
    # All sentences of a document look the same by then: each option is of another one.
    assert len(made) == 20
    for _, row in made.iterrows():
        assert options_of(row)[row["label"]] == f"Text {row['document']} has a"
        assert row["text"].startswith("goes on for long and ends at ")
        assert len({option.split()[1] for option in options_of(row).values()}) == 3
    assert selections(documents[:2], options=3, option_words=4, **bounds).empty
    assert len(selections(documents[:2], options=3, option_words=30, **bounds)) == 10


@settings(deadline=None)
@given(documents=DOCUMENTS, options=st.integers(2, 4), per_document=st.integers(1, 4), seed=st.integers(0, 3))
def test_only_the_right_option_comes_next(documents: list[str], options: int, per_document: int, seed: int) -> None:
    made = selections(documents, options=options, per_document=per_document, seed=seed, **BOUNDS)
    for _, row in made.iterrows():
        own = documents[row["document"]]
        choices = options_of(row)
        assert len(choices) == len(set(choices.values())) == options and row["text"] not in choices.values()
        assert [letter for letter, line in choices.items() if side_by_side(own, row["text"], line)] == [row["label"]]
    counts = [int((made["label"] == letter).sum()) for letter in "ABCD"[:options]]
    assert max(counts) - min(counts) <= 1
    assert not made.duplicated(["text", "text_pair"]).any()
    again = selections(documents, options=options, per_document=per_document, seed=seed, **BOUNDS)
    pd.testing.assert_frame_equal(made, again)


def test_a_selection_needs_options() -> None:
    for options in (1, 11):
        with pytest.raises(UserError, match="options is"):
            selections(["It rains. We stay."], options=options, per_document=1, seed=0, **BOUNDS)


def test_options_stand_below_the_second_text_and_letters_name_the_right_word() -> None:
    rows = pd.DataFrame(
        {
            "text": [f"Text {number}" for number in range(60)],
            "text_pair": ["A second text", None, ""] * 20,
            "label": ["yes", "no"] * 30,
            "document": range(60),
        },
        index=range(100, 160),
    )
    kept = rows.copy()
    made = with_options(rows, {"yes": "right", "no": "wrong"}, seed=3)
    pd.testing.assert_frame_equal(rows, kept)
    assert list(made) == list(rows) and made.index.equals(rows.index)
    for old, (_, new) in zip(rows.itertuples(), made.iterrows(), strict=True):
        lines = new["text_pair"].split("\n")
        assert lines[:-2] == (["A second text"] if old.text_pair == "A second text" else [])
        assert {line[3:] for line in lines[-2:]} == {"right", "wrong"}
        right = "right" if old.label == "yes" else "wrong"
        assert f"{new['label']}. {right}" in lines
    assert 15 <= (made["label"] == "A").sum() <= 45
    # A row's order is its own.
    pd.testing.assert_frame_equal(made.iloc[7:9], with_options(rows.iloc[7:9], {"yes": "right", "no": "wrong"}, seed=3))


def test_single_texts_get_a_second_column() -> None:
    made = with_options(
        pd.DataFrame({"text": ["Bon !"], "label": ["a"]}), {"a": "bon", "b": "mal", "c": "neutre"}, seed=0
    )
    assert sorted(line[3:] for line in made["text_pair"][0].split("\n")) == ["bon", "mal", "neutre"]


def test_a_long_second_text_leaves_room_for_the_options() -> None:
    rows = pd.DataFrame({"text": ["One."], "text_pair": ["It rains, and we stay."], "label": ["a"]})
    made = with_options(rows, {"a": "yes", "b": "no"}, pair_words=2, seed=0)
    assert made["text_pair"][0].split("\n")[0] == "It rains,"


@pytest.mark.parametrize("room", [40, 64])
@pytest.mark.parametrize("options", [2, 5, 8])
def test_options_are_read_however_long_the_texts_are(options: int, room: int) -> None:
    """By a model's own layout, which cuts the longer of two texts at its end."""
    tokenizer = tiny.tokenizer()
    layout = layout_class("causal")(tokenizer, ModelConfig(name="x", max_text_tokens=room), "suffix")
    words = dict(zip("abcdefgh"[:options], tiny.FILLER, strict=False))
    lengths = [(first, second) for first in (1, 9, 30, 90) for second in (0, 1, 9, 30, 90)]
    rows = pd.DataFrame(
        {
            "text": ["old, " * first for first, _ in lengths],
            "text_pair": ["new " * second for _, second in lengths],
            "label": ["a"] * len(lengths),
        }
    )
    made = with_options(rows, words, room=room, seed=0)
    for text, pair, ids, (first, second) in zip(
        made["text"], made["text_pair"], layout.bare_tokens(as_inputs(made)), lengths, strict=True
    ):
        lines = "\n".join(pair.splitlines()[-options:])
        shown = tokenizer(f"\n{lines}", add_special_tokens=False)["input_ids"]
        assert ids[-len(shown) :] == shown
        assert text.startswith("old") and (not second or pair.startswith("new")), "something of each text is shown"
        if first + second <= 2 and options == 2:
            assert (text, pair) == ("old, " * first, ("new " * second + "\n" + lines).lstrip("\n"))


def test_labels_without_words_and_equal_words_are_refused() -> None:
    rows = pd.DataFrame({"text": ["Fine."], "label": ["good"]})
    with pytest.raises(UserError, match="label 'good'"):
        with_options(rows, {"bad": "no", "goods": "yes"}, seed=0)
    with pytest.raises(UserError, match="same word"):
        with_options(rows, {"good": "yes", "bad": "yes"}, seed=0)
    with pytest.raises(UserError, match="there are 1"):
        with_options(rows, {"good": "yes"}, seed=0)
