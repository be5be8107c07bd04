"""One spelling of a text for comparisons: equal texts in different tokenisations become equal.

Published data sets hold the same sentences once as written ("I'm sure it isn't") and once split the
Penn Treebank way ("i 'm sure it is n't"). Comparing them needs a form in which both are the same.
"""

from __future__ import annotations

import re
import unicodedata

from metapt_explore.texts.scripts import CHARACTER_OR_WORD, INVISIBLE, OPTIONAL, find_emoji, has_unspaced

# Everything that is typed where an apostrophe belongs.
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´′＇", "'"))
_BRACKETS = re.compile(r"-(?:l|r)(?:r|s|c)b-")
_NEGATION = re.compile(r"\s+n't\b")
_ENDING = re.compile(r"\s*'\s*(m|s|d|t|re|ve|ll)\b")
# Turkish has a dotless and a dotted i, which case folding leaves apart from "I" and "i" of the same word.
_DOTLESS, _DOTTED = "ı", "i̇"


class _WordCharacters(dict[int, str]):
    """A translation table that is filled as characters are met: letters, digits and marks stay."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        # Marks are kept because vowels are marks in many scripts.
        kept = character if unicodedata.category(character)[0] in "LNM" else " "
        self[code] = kept
        return kept


_TABLE = _WordCharacters({ord("'"): ""})


def normalise(text: str) -> str:
    """Returns the words of a text in one spelling.

    NFKC, casefold (Turkish i with or without a dot are one), invisible characters and optional vowel points (Arabic,
    Hebrew) dropped, Treebank brackets (``-LRB-``) dropped, apostrophes dropped so that split and unsplit contractions
    are equal, every other character that is no letter or digit read as a gap, words joined by one space. In scripts
    without spaces each character is a word.

    Args:
        text: Any text; may be blank.

    Returns:
        The words; of a text without any word its emoji; an empty string where there is neither (blank, or punctuation
        only).

    Example:
        >>> normalise("I 'm sure -LRB- it IS n't -RRB- .") == normalise("I’m sure (it isn't).")
        True
        >>> normalise("iPhone很好!") == normalise("iphone 很 好")
        True
    """
    if text.isascii():
        return _spelled(text)
    # A dropped character may have kept two others from becoming one.
    written = unicodedata.normalize("NFKC", _spelled(_composed(text)))
    if has_unspaced(written):
        written = " ".join(CHARACTER_OR_WORD.findall(written))
    return written or " ".join(find_emoji(text))


def _composed(text: str) -> str:
    """NFKC without what is invisible or optional."""
    folded = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).casefold()
    folded = folded.replace(_DOTLESS, "i").replace(_DOTTED, "i")
    return unicodedata.normalize("NFKC", OPTIONAL.sub("", INVISIBLE.sub("", folded)))


def _spelled(text: str) -> str:
    # Doubled signs are quotation marks, not apostrophes.
    text = text.casefold().replace("``", " ").replace("''", " ").replace("`", "'")
    if "-" in text:
        text = _BRACKETS.sub(" ", text)
    if "'" in text:
        text = _ENDING.sub(r"\1", _NEGATION.sub("nt", text))
    return " ".join(text.translate(_TABLE).split())


def comparison_key(text: str) -> str:
    """Returns what decides whether two texts are duplicates.

    Args:
        text: Any text.

    Returns:
        The normalised text, or the stripped text where neither a word nor an emoji is in it ("!!!"): such texts are
        equal only when they are spelled equally.

    Example:
        >>> comparison_key(" Good! "), comparison_key(" :-) ")
        ('good', ':-)')
    """
    return normalise(text) or text.strip()
