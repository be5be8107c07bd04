"""Cuts a document into sentences, in any script, by rules alone.

Sentence ends are Unicode's (property `Sentence_Terminal`: 。 । ؟ ። and so on) and line breaks. A full stop is read with
care, because it stands behind abbreviations and initials, too. What this gets wrong makes a sentence too long or too
short, never text that is not there.
"""

from __future__ import annotations

import math
from itertools import pairwise

import regex

from metapt_explore.errors import UserError
from metapt_explore.texts.normalise import CHARACTER_OR_WORD, UNSPACED

# Signs that close a quotation or bracket; in tokenised text they stand alone.
# Possessive ("++") and from the first sign on, so that a long run of signs takes no longer than its length.
_CLOSING = r"(?:[\p{Pe}\p{Pf}\"'*_]*+(?:[^\S\n]++[\p{Pe}\p{Pf}\"']++(?=\s|$))?+)"
# "!" and "?" end a sentence in front of a script without spaces, too.
_END = regex.compile(
    rf"(?V1)(?P<strong>[\p{{Sentence_Terminal}}--[.!?．]][\p{{Sentence_Terminal}}…]*+{_CLOSING})"
    rf"|(?<![.!?．…])(?P<stop>[.!?．…]++{_CLOSING})(?=\s|$)"
    rf"|(?<![!?])(?P<mark>[!?]++{_CLOSING})(?={UNSPACED.pattern.removeprefix('(?V1)')})"
    r"|(?P<line>\n\s*+)"
)
_LINE_BREAK = regex.compile(r"(?i)<br\s*/?>|\r\n?|[\u0085\u2028\u2029\v\f]")
_LAST_WORD = regex.compile(r"(?r)[\p{L}\p{M}\p{N}.]+")
_HAS_WORD = regex.compile(r"[\p{L}\p{N}]|\p{Extended_Pictographic}")
_LOWER_NEXT = regex.compile(r"[\s\p{Pd}\p{Ps}\p{Pi}\"']*\p{Ll}")

#: Words that a full stop follows without ending the sentence. Those with a full stop inside ("e.g.") need no entry.
ABBREVIATIONS = frozenset(
    regex.findall(
        r"\w+",
        "mr mrs ms dr prof st vs gen sen rep gov capt lt col mt rev hon fig vol pp approx dept est "  # English
        "sra srta mme mlle bzw ca nr abb vgl ул стр рис",
    )
)


def split_sentences(text: str, *, min_words: int, max_words: int) -> list[str]:
    """Cuts a text into sentences of bounded length.

    A piece that is too short joins the next one (the last one joins the one before it). A piece that is too long is cut
    between words into parts of about equal length. Nothing is left out, unless the whole text is too short. A word is
    what stands between spaces and holds a letter, digit or emoji; in scripts without spaces each character counts.

    Args:
        text: A document. A line break ends a sentence, unless the next line goes on in lower case.
        min_words: Fewest words of a sentence, from 1.
        max_words: Most words of a sentence, at least twice `min_words`.

    Returns:
        The sentences in order, with one space for every gap; an empty list where the text has fewer than `min_words`.

    Raises:
        UserError: Where `min_words` and `max_words` do not go together.

    Example:
        >>> split_sentences("Dr. Wu came at 3.5 p.m. yesterday. Why? She was late.", min_words=1, max_words=20)
        ['Dr. Wu came at 3.5 p.m. yesterday.', 'Why?', 'She was late.']
        >>> split_sentences("Oh! It rains again. 很好。不错！", min_words=2, max_words=20)
        ['Oh! It rains again.', '很好。', '不错！']
    """
    if min_words < 1 or max_words < 2 * min_words:
        raise UserError(
            f"min_words is {min_words} and max_words is {max_words}: min_words must be 1 or more, and max_words at "
            "least twice as many, so that a long sentence can be cut."
        )
    text = _LINE_BREAK.sub("\n", text)
    words = _words(text)
    if len(words) < min_words:
        return []
    starts = [match.start() for match in words]
    ends = [match.end() for match in words]
    # A sign in front of a word may end the sentence before it.
    letters = [first.start() for match in words if (first := _HAS_WORD.search(text, match.start()))]
    begins = _begins(letters, _boundaries(text))
    first_words = _joined(list(begins), len(words), min_words)
    cut = [
        place
        for first, end in pairwise([*first_words, len(words)])
        for place in _cut(starts, ends, first=first, end=end, shortest=min_words, longest=max_words)
    ]
    places = [0, *(begins.get(place, starts[place]) for place in cut[1:]), len(text)]
    return [" ".join(text[first:end].split()) for first, end in pairwise(places)]


def first_words(text: str, number: int) -> str:
    """The first words of a text, with the signs behind the last of them; all of it where it has no more.

    Example:
        >>> first_words("Well, it rains (again) today.", 4), first_words("很好。不错", 2)
        ('Well, it rains (again)', '很好。')
    """
    starts = [match.start() for match in _words(text)]
    return text if len(starts) <= number else text[: starts[number]].rstrip()


def count_words(text: str) -> int:
    """How many words a text has.

    Example:
        >>> count_words("Well, it rains (again)."), count_words("很好。")
        (4, 2)
    """
    return len(_words(text))


def last_words(text: str, number: int) -> str:
    """The last words of a text; all of it where it has no more.

    Example:
        >>> last_words("Well, it rains (again) today.", 2), last_words("很好。不错", 2)
        ('(again) today.', '不错')
    """
    starts = [match.start() for match in _words(text)]
    return text if len(starts) <= number else text[starts[-number] :]


def _words(text: str) -> list[regex.Match[str]]:
    return [match for match in CHARACTER_OR_WORD.finditer(text) if _HAS_WORD.search(match.group())]


def _boundaries(text: str) -> list[int]:
    """Places behind which a sentence begins."""
    ends = list(_END.finditer(text))
    lower = [_LOWER_NEXT.match(text, end.end()) is not None for end in ends]
    # Where most sentences begin in lower case, a small letter says nothing.
    stops = [small for end, small in zip(ends, lower, strict=True) if end["stop"] and end.end() < len(text)]
    telling = 2 * sum(stops) <= len(stops)
    capitals = regex.search(r"\p{Lu}", text) is not None
    found = []
    for end, small in zip(ends, lower, strict=True):
        if end["line"]:
            is_end = not (telling and small and capitals and end.group().count("\n") == 1)
        elif end["stop"]:
            is_end = not (telling and small) and not (end.group() == "." and _is_abbreviation(text, end.start()))
        else:
            is_end = True
        if is_end:
            found.append(end.end())
    return found


def _is_abbreviation(text: str, stop: int) -> bool:
    """Whether a full stop at this place belongs to the word in front of it."""
    match = _LAST_WORD.match(text, 0, stop)
    if match is None or match.end() != stop:
        return False
    word = match.group()
    initial = len(word) == 1 and word.isupper() and word != "I"
    return initial or regex.fullmatch(r"(?:\p{L}+\.)+\p{L}+", word) is not None or word.lower() in ABBREVIATIONS


def _begins(letters: list[int], boundaries: list[int]) -> dict[int, int]:
    """The number of each sentence's first word, and where the sentence begins: signs may stand before the word."""
    begins = {0: 0}
    word = 0
    for boundary in boundaries:
        while word < len(letters) and letters[word] < boundary:
            word += 1
        if word < len(letters):
            # Ends without a word between them count once.
            begins.setdefault(word, boundary)
    return begins


def _joined(firsts: list[int], total: int, shortest: int) -> list[int]:
    """Sentences after those that are too short have joined the next."""
    kept = [0]
    for first in firsts[1:]:
        if first - kept[-1] >= shortest:
            kept.append(first)
    if len(kept) > 1 and total - kept[-1] < shortest:
        kept.pop()
    return kept


def _cut(starts: list[int], ends: list[int], *, first: int, end: int, shortest: int, longest: int) -> list[int]:
    """The first words of the parts of a sentence, at gaps where there are any near by."""
    places = [first]
    while end - first > longest:
        parts = math.ceil((end - first) / longest)
        size = math.ceil((end - first) / parts)
        place = first + size
        least = max(first + shortest, first + size - size // 4, end - (parts - 1) * longest)
        # In a script without spaces a gap is punctuation or a space.
        gap = next((near for near in range(place, least - 1, -1) if starts[near] > ends[near - 1]), place)
        places.append(gap)
        first = gap
    return places
