"""Leaks are found exactly: against a plain comparison of all pairs, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metapt_explore.texts import decontaminate as module
from metapt_explore.texts.decontaminate import decontaminate
from metapt_explore.texts.normalise import normalise


def plain(texts: list[str], held_out: list[str], threshold: float) -> list[tuple[str, int, float]]:
    """Compares every text with every row; sets, no matrices."""

    def triples(text: str) -> set[tuple[str, ...]]:
        words = normalise(text).split()
        return {tuple(words[place : place + 3]) for place in range(len(words) - 2)}

    verdicts = []
    for text in texts:
        equal = [row for row, held in enumerate(held_out) if normalise(text) and normalise(held) == normalise(text)]
        if equal:
            verdicts.append(("equal", equal[0], 1.0))
            continue
        best, highest = (-1, 0.0), 0.0
        for row, held in enumerate(held_out):
            mine, theirs = triples(text), triples(held)
            shared = len(mine & theirs)
            if not shared:
                continue
            jaccard = shared / len(mine | theirs)
            inside = len(theirs) >= 5 and shared * 10 >= 9 * len(theirs)
            if jaccard >= threshold or inside:
                value = max(jaccard, shared / len(theirs)) if inside else jaccard
                if value > best[1]:
                    best = (row, value)
            else:
                highest = max(highest, jaccard)
        verdicts.append(("near", *best) if best[0] >= 0 else ("", -1, highest))
    return verdicts


# Three words only, so that triples repeat and overlaps of every size occur.
TEXT = st.lists(st.sampled_from(["a", "b", "c", "A", "."]), max_size=14).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXT, max_size=8), st.lists(TEXT, max_size=8), st.sampled_from([0.3, 0.5, 0.7, 1.0]))
def test_equals_the_plain_comparison(texts: list[str], held_out: list[str], threshold: float) -> None:
    found = decontaminate(texts, held_out, threshold)
    expected = plain(texts, held_out, threshold)
    assert found.reason.tolist() == [verdict[0] for verdict in expected]
    assert found.match.tolist() == [verdict[1] for verdict in expected]
    np.testing.assert_allclose(found.overlap, [verdict[2] for verdict in expected], rtol=0, atol=1e-15)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join("abc"[(row * place) % 3] for place in range(3 + row % 9)) for row in range(60)]
    whole = decontaminate(texts, texts[::7], 0.5)
    for chunk, pairs in ((7, 2_000_000), (1000, 1), (7, 25)):
        monkeypatch.setattr(module, "CHUNK", chunk)
        monkeypatch.setattr(module, "MOST_PAIRS", pairs)
        parts = decontaminate(texts, texts[::7], 0.5)
        for name in ("reason", "match", "overlap"):
            assert getattr(whole, name).tolist() == getattr(parts, name).tolist()


def test_values_by_hand() -> None:
    held_out = ["one two three four five six", "the film is n't good at all , really !", "ok", ""]
    texts = [
        "One two three, four five six.",  # equal but for case and signs
        "one two three four five seven",  # 3 shared triples of 4 + 4 - 3 = 5
        "We went out. The film isn't good at all, really! And then we went home again, all of us.",
        "OK",
        "ok then",
        "",
    ]
    found = decontaminate(texts, held_out, threshold=0.6)
    assert found.reason.tolist() == ["equal", "near", "near", "equal", "", ""]
    assert found.match.tolist() == [0, 0, 1, 2, -1, -1]
    assert found.overlap.tolist() == [1.0, 0.6, 1.0, 1.0, 0.0, 0.0]
    assert found.kept.tolist() == [False, False, False, False, True, True]
    assert found.counts() == {"kept": 2, "equal": 2, "near": 2}
    stricter = decontaminate(texts, held_out, threshold=0.61)
    assert stricter.reason.tolist()[1] == "" and stricter.overlap[1] == 0.6


def test_a_short_phrase_inside_a_text_is_no_leak() -> None:
    # Four triples: one fewer than containment asks for.
    texts = ["it is one of the best films that I have seen this year"]
    found = decontaminate(texts, ["one of the best films that"], 0.7)
    assert found.reason.tolist() == [""]


def test_nothing_held_out_and_no_texts() -> None:
    assert decontaminate(["a b c d"], [], 0.7).counts() == {"kept": 1, "equal": 0, "near": 0}
    assert decontaminate([], ["a b c d"], 0.7).counts() == {"kept": 0, "equal": 0, "near": 0}


def test_finds_nearly_all_of_many_halves_in_a_large_corpus() -> None:
    generator = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(2000)])
    # Squared, so that few words are frequent, as in language.
    picks = (generator.random((6000, 60)) ** 3 * len(words)).astype(int)
    texts = [" ".join(words[row]) for row in picks]
    found = decontaminate(texts, [text[: len(text) // 2] for text in texts[:2000]], 0.7)
    assert (found.reason[:2000] == "near").mean() > 0.9
