"""Equal texts in different tokenisations have one normal form."""

from __future__ import annotations

import pytest

from metapt_explore.texts.normalise import comparison_key, normalise


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("i 'm a fan", "I'm a fan"),
        ("it is n't", "It isn't!"),
        ("it isn’t", "it isn't"),
        ("do n't , wo n't", "don't, won't"),
        ("the brothers ' film -lrb- 2002 -rrb-", "The brothers' film (2002)"),
        ("`` great '' it 's", '"great" its'),
        ("they 've we 'll you 're he 'd", "they've we'll you're he'd"),
        ("celebrities ' real names", "celebrities real names"),
        ("ﬁne ２ fine", "fine 2 FINE"),
        ("straße", "STRASSE"),
        ("a  well-made\tfilm .", "a well made film"),
    ],
)
def test_pairs_become_equal(one: str, other: str) -> None:
    assert normalise(one) == normalise(other) != ""


def test_values_by_hand() -> None:
    assert normalise("The 'rock 'n' roll' film's over_done; 3.5/5 -LRB- ok -RRB-") == (
        "the rock n roll films over done 3 5 5 ok"
    )
    assert normalise(" …!? ") == ""
    # Vowel signs are marks: without them these two words of Hindi would be one.
    assert normalise("कि") != normalise("की")


def test_texts_without_words_are_compared_as_spelled() -> None:
    assert comparison_key(" :) ") == ":)" != comparison_key(":(")
    assert comparison_key("Good!") == "good"
