"""Which characters make words, in which script: Unicode's own properties, for every part that counts or compares words.

Most scripts put spaces between words. Han, kana, Thai, Lao, Khmer, Burmese and some others do not: there each character
(a letter with its vowel signs and tone marks) stands as a word of its own, which needs no dictionary.
"""

from __future__ import annotations

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
    return [found.rstrip("\ufe0e\ufe0f") for found in EMOJI.findall(text)]
