"""One spelling of a text for comparisons: equal texts in different tokenisations become equal.

Published data sets hold the same sentences once as written ("I'm sure it isn't") and once split the
Penn Treebank way ("i 'm sure it is n't"). Comparing them needs a form in which both are the same.
"""

from __future__ import annotations

import re
import unicodedata

import regex

# Unicode's line breaking classes say which scripts may break inside what stands between two spaces: SA (Thai, Lao,
# Khmer, Burmese), ID and CJ (Han, kana, Yi), AK and AS (Balinese, Javanese). Script extensions add "ー" and "々".
_LETTER = r"[[\p{lb=SA}\p{lb=ID}\p{lb=CJ}\p{lb=AK}\p{lb=AS}\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}]&&[\p{L}\p{N}]]"
_UNSPACED = rf"{_LETTER}\p{{M}}*"
_EMOJI = r"(?=[\p{Emoji_Presentation}[\p{Extended_Pictographic}--[©®™ℹ‼⁉]]])\X"
#: One character of a script that is written without spaces, with the marks that belong to it.
UNSPACED = regex.compile(rf"(?V1){_UNSPACED}")
#: Several of them in a row.
UNSPACED_RUN = regex.compile(rf"(?V1)(?:{_UNSPACED})+")
#: One such character, or what stands around them.
CHARACTER_OR_WORD = regex.compile(rf"(?V1){_UNSPACED}|[^\s{_LETTER}]+")
#: An emoji with all that belongs to it: skin tones, joined figures, flags. "©" and "™" are no emoji.
EMOJI = regex.compile(rf"(?V1){_EMOJI}")
#: Letters, digits and marks (and "_") in a row, whatever their script.
WORD = regex.compile(r"[\w\p{N}]+")
#: An emoji, one character of a script without spaces, or a word of another script.
TOKEN = regex.compile(rf"(?V1){_EMOJI}|{_UNSPACED}|(?:(?!{_LETTER})[\w\p{{N}}])+")
#: Characters that nobody sees: joiners, soft hyphens, marks of direction, variants of emoji.
INVISIBLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{Cf}]+")
#: What may be left out without another word coming of it: Arabic and Hebrew vowel points, the Arabic lengthening line.
OPTIONAL = regex.compile(
    r"[\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06ed\u0591-\u05bd\u05bf\u05c1-\u05c7]+"
)

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
        replacement = character if unicodedata.category(character)[0] in "LNM" else " "
        self[code] = replacement
        return replacement


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


# ---------------------------------------------------------------------------------------- scripts


def has_unspaced(text: str) -> bool:
    """Whether a text holds a character of a script that is written without spaces.

    Example:
        >>> has_unspaced("很好"), has_unspaced("très bon")
        (True, False)
    """
    return not text.isascii() and UNSPACED.search(text) is not None


def find_emoji(text: str) -> list[str]:
    """The emoji of a text, each with its skin tone and joined figures; variants in colour and black are one.

    Example:
        >>> find_emoji("so good 👍🏽❤️ ©")
        ['👍🏽', '❤']
    """
    if text.isascii():
        return []
    return [emoji.rstrip("\ufe0e\ufe0f") for emoji in EMOJI.findall(text)]
