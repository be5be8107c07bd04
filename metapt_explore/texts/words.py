"""What a word is, in any script: counting words, tokenising, and keywords.

Where a script puts no spaces between words, each character counts as one. For keywords, which people read, characters
are put together again where the texts themselves say that they belong together (`Lexicon`).
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import regex

from metapt_explore.texts.normalise import TOKEN, UNSPACED, UNSPACED_RUN, WORD, find_emoji, has_unspaced, normalise

# Two letters or more, with their marks; a word that holds a digit or "_" is none.
_LETTERS = regex.compile(r"(?<![\w\p{N}])\p{L}\p{M}*(?:\p{L}\p{M}*)+(?![\w\p{N}])")

#: Characters of a word of a script without spaces, fewest and most.
SHORTEST, LONGEST = 2, 8
#: How many different characters stand on either side of such a word, at least; more in more text, where chance reaches
#: as many: the square root of its characters divided by `PER_NEIGHBOUR`.
MIN_NEIGHBOURS, PER_NEIGHBOUR = 2, 100
#: Characters from which a lexicon is learned, at most; of more texts every second, third … is read.
MOST_CHARACTERS = 500_000


def count_words(text: str, spelled: str | None = None) -> int:
    """Counts words: what stands between spaces and signs, each character of a script without spaces, each emoji.

    A text that is not blank has at least one.

    Args:
        text: The text.
        spelled: Its normal form (`normalise`), where that is known.

    Example:
        >>> count_words("It isn't bad."), count_words("非常好"), count_words("हिन्दी भाषा"), count_words("😀😀👍🏽")
        (3, 3, 2, 3)
    """
    spelled = normalise(text) if spelled is None else spelled
    emoji = len(find_emoji(text))
    # Of a text without words the normal form is its emoji.
    words = 0 if emoji and find_emoji(spelled) else len(spelled.split())
    return max(words + emoji, 1 if text.strip() else 0)


def tokens(text: str) -> list[str]:
    """Cuts a text into words as they are written, characters of scripts without spaces, and emoji.

    Example:
        >>> tokens("don't buy 手机 😀 हिन्दी x_1")
        ['don', 't', 'buy', '手', '机', '😀', 'हिन्दी', 'x_1']
    """
    if text.isascii():
        return list(WORD.findall(text))
    return list(TOKEN.findall(unicodedata.normalize("NFKC" if has_unspaced(text) else "NFC", text)))


def plain_words(text: str) -> str:
    """A name or value with one space for everything between its letters and digits.

    Example:
        >>> plain_words("news_topic (हिन्दी)")
        'news topic हिन्दी'
    """
    return " ".join(word for run in WORD.findall(text) for word in run.split("_") if word)


def is_word(text: str) -> bool:
    """Whether a text is letters only; unlike `str.isalpha`, vowel signs and other marks belong to their letters.

    Example:
        >>> is_word("हिन्दी"), is_word("ok2"), is_word("")
        (True, False, False)
    """
    return regex.fullmatch(r"(?:\p{L}[\p{M}\u200c\u200d]*)+", text) is not None


class Lexicon:
    """Words of scripts without spaces, found in the texts themselves.

    Characters belong together where they come again together and different ones stand on both sides: a word's accessor
    variety is the smaller number of different neighbours (Feng, Chen, Deng and Zheng, Computational Linguistics 30(1),
    2004). A text is cut so that the sum of length × log(variety) over its words is largest. Words of other scripts are
    as they are written, in lower case: two letters or more.

    Args:
        texts: The texts to learn from.

    Example:
        >>> lexicon = Lexicon(["这个茶壶好", "买茶壶送人", "旧茶壶"])
        >>> lexicon.cut("新茶壶 and a Teapot 2")
        ['茶壶', 'and', 'teapot']
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.variety = _learn(_runs(texts))

    def cut(self, text: str) -> list[str]:
        """The words of a text; characters that belong to no word are left out."""
        text = _folded(text)
        if not has_unspaced(text):
            return list(_LETTERS.findall(text))
        words: list[str] = []
        last = 0
        for run in UNSPACED_RUN.finditer(text):
            words += [*_LETTERS.findall(text[last : run.start()]), *self._cut_run(run.group())]
            last = run.end()
        return [*words, *_LETTERS.findall(text[last:])]

    def _cut_run(self, run: str) -> list[str]:
        characters = UNSPACED.findall(run)
        # Best sum up to each place, and the size of the word that ends there (1: no word).
        best, sizes = [0.0], [0]
        for end in range(1, len(characters) + 1):
            value, size = best[end - 1], 1
            for longer in range(SHORTEST, min(LONGEST, end) + 1):
                variety = self.variety.get("".join(characters[end - longer : end]))
                if variety and best[end - longer] + longer * math.log(variety) > value:
                    value, size = best[end - longer] + longer * math.log(variety), longer
            best.append(value)
            sizes.append(size)
        words: list[str] = []
        end = len(characters)
        while end:
            if sizes[end] > 1:
                words.append("".join(characters[end - sizes[end] : end]))
            end -= sizes[end]
        return words[::-1]


def _runs(texts: Sequence[str]) -> list[list[str]]:
    """What is written without a gap in scripts without spaces, as characters."""
    unspaced = [text for text in texts if has_unspaced(text)]
    step = 1 + sum(map(len, unspaced)) // MOST_CHARACTERS
    return [UNSPACED.findall(run) for text in unspaced[::step] for run in UNSPACED_RUN.findall(_folded(text))]


def _folded(text: str) -> str:
    """Lower case, and one width of letters; Thai and Lao am stay whole, which NFKC takes apart."""
    if text.isascii():
        return text.lower()
    return (
        unicodedata.normalize("NFKC", text).lower().replace("\u0e4d\u0e32", "\u0e33").replace("\u0ecd\u0eb2", "\u0eb3")
    )


def _learn(runs: Sequence[Sequence[str]]) -> dict[str, int]:
    """The variety of what comes again between different characters on both sides."""
    wanted = max(MIN_NEIGHBOURS, round(math.sqrt(sum(map(len, runs))) / PER_NEIGHBOUR))
    counts: Counter[str] = Counter()
    for run in runs:
        for first, end in _spans(run):
            counts["".join(run[first:end])] += 1
    before: dict[str, set[object]] = {}
    behind: dict[str, set[object]] = {}
    for number, run in enumerate(runs):
        for first, end in _spans(run):
            word = "".join(run[first:end])
            if counts[word] < wanted:
                continue
            # Each end of a run is a neighbour of its own.
            before.setdefault(word, set()).add(run[first - 1] if first else number)
            behind.setdefault(word, set()).add(run[end] if end < len(run) else number)
    variety = {word: min(len(before[word]), len(behind[word])) for word in before}
    return {word: number for word, number in variety.items() if number >= wanted}


def _spans(run: Sequence[str]) -> Iterable[tuple[int, int]]:
    for first in range(len(run)):
        for end in range(first + SHORTEST, min(first + LONGEST, len(run)) + 1):
            yield first, end
