"""Cutting documents into sentences: several scripts, abbreviations, bounds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metapt_explore.auxiliary_tasks.formats.sentences import split_sentences
from metapt_explore.errors import UserError

#: Letters of several scripts, ends of sentences, gaps.
WRITTEN = st.text(alphabet="aBcé d.!?…。！ \n\r\t我很好हिर्।؟شЖ1'\"(）<br />😀\u2028", max_size=120)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rains. We stay! Why? So.", ["It rains.", "We stay!", "Why?", "So."]),
        ("He met Mr. Smith and J. R. Jones in the U.S. army.", ["He met Mr. Smith and J. R. Jones in the U.S. army."]),
        ("It costs 3.50 at www.example.com today. Fine.", ["It costs 3.50 at www.example.com today.", "Fine."]),
        ('She said "no." Then (at last!) she left.', ['She said "no."', "Then (at last!) she left."]),
        ("Wait... what? No.", ["Wait... what?", "No."]),
        ("it was bad . i sent it back . never again", ["it was bad .", "i sent it back .", "never again"]),
        ("it is ` fine . ' ( i paid . ) - never again", ["it is ` fine . '", "( i paid . )", "- never again"]),
        ("He left (so soon!) - why? (Ask him.)", ["He left (so soon!) - why?", "(Ask him.)"]),
        ("A title\n\nThe text begins\nand goes on. End.", ["A title", "The text begins and goes on.", "End."]),
        ("One line\nAnother line<br /><br />A third", ["One line", "Another line", "A third"]),
        ("今天下雨。我们在家！为什么？因为。", ["今天下雨。", "我们在家！", "为什么？", "因为。"]),
        ("「行こう。」と言った。雨だ。", ["「行こう。」", "と言った。", "雨だ。"]),
        ("很好。OK了！(好)", ["很好。", "OK了！", "(好)"]),
        ("很好!不错?是", ["很好!", "不错?", "是"]),
        ("बारिश हो रही है। हम घर पर हैं॥ क्यों?", ["बारिश हो रही है।", "हम घर पर हैं॥", "क्यों?"]),
        ("هل تمطر؟ نعم. سنبقى.", ["هل تمطر؟", "نعم.", "سنبقى."]),
        ("بارش ہو رہی ہے۔ ہم گھر پر ہیں۔", ["بارش ہو رہی ہے۔", "ہم گھر پر ہیں۔"]),
        ("Идёт дождь. Мы дома! Почему?", ["Идёт дождь.", "Мы дома!", "Почему?"]),
        ("ዝናብ ነው። ቤት ነን።", ["ዝናብ ነው።", "ቤት ነን።"]),
        ("", []),
        (" \n ", []),
        ("?! ...", []),
    ],
)
def test_sentences_of_several_scripts(text: str, sentences: list[str]) -> None:
    assert split_sentences(text, min_words=1, max_words=30) == sentences


def test_a_short_piece_joins_the_next_and_the_last_one_the_one_before() -> None:
    text = "Yes. It rains all day. We stay at home. No."
    assert split_sentences(text, min_words=3, max_words=20) == ["Yes. It rains all day.", "We stay at home. No."]
    assert split_sentences("Yes. No.", min_words=3, max_words=20) == []
    assert split_sentences("Yes. No. So.", min_words=3, max_words=20) == ["Yes. No. So."]


def test_a_long_piece_is_cut_into_parts_of_like_length() -> None:
    assert split_sentences("a b c d e f g", min_words=1, max_words=3) == ["a b c", "d e", "f g"]
    assert split_sentences("我" * 7, min_words=1, max_words=4) == ["我我我我", "我我我"]
    # In a script without spaces rather at a comma near by than within a word.
    parts = split_sentences("今天下雨我们,在家看书写字出门", min_words=1, max_words=8)
    assert parts == ["今天下雨我们,", "在家看书写字出门"]


def test_bounds_that_do_not_go_together_are_refused() -> None:
    for shortest, longest in ((0, 10), (5, 9)):
        with pytest.raises(UserError, match="min_words"):
            split_sentences("It rains.", min_words=shortest, max_words=longest)


@settings(deadline=None)
@given(text=WRITTEN, shortest=st.integers(1, 3), longest=st.integers(6, 9))
def test_nothing_is_lost_and_every_sentence_keeps_to_the_bounds(text: str, shortest: int, longest: int) -> None:
    sentences = split_sentences(text, min_words=shortest, max_words=longest)
    for sentence in sentences:
        assert sentence == " ".join(sentence.split())
        assert split_sentences(sentence, min_words=shortest, max_words=10_000)
    if sentences:
        plain = text.replace("<br />", "\n")
        assert "".join("".join(sentences).split()) == "".join(plain.split())
    else:
        assert not split_sentences(text, min_words=shortest, max_words=10_000)


@settings(deadline=None)
@given(words=st.lists(st.sampled_from(["tea", "Snow", "is", "I"]), max_size=60), stops=st.sets(st.integers(0, 60)))
def test_lengths_in_words(words: list[str], stops: set[int]) -> None:
    text = " ".join(word + "." * (place in stops) for place, word in enumerate(words))
    lengths = [len(sentence.split()) for sentence in split_sentences(text, min_words=3, max_words=7)]
    assert all(3 <= length <= 7 for length in lengths)
    assert sum(lengths) == (len(words) if len(words) >= 3 else 0)


@pytest.mark.parametrize("sign", [".", "!", "?", "。", '"', ")", " ", "\n", ". ", "a.", "我", "(", "1"])
def test_long_runs_of_signs_take_no_time(sign: str) -> None:
    text = f"Begin here {sign * 50_000} and x"
    assert "".join("".join(split_sentences(text, min_words=1, max_words=10**6)).split()) == "".join(text.split())
