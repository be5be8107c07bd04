"""In which language texts are written, where that is certain.

Each text is classified by py3langid (langid.py: Lui and Baldwin, ACL 2012), whose model is part of its package: nothing
is downloaded. Of a few short texts, or of texts in several languages, nothing is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import regex

from metapt_explore.texts.normalise import UNSPACED, has_unspaced

#: Names of the languages that are told apart, by ISO 639-1 code. Near relatives that few write (Luxembourgish,
#: Nigerian Pidgin, Wu) are left out: short texts in German, English or Chinese would be taken for them.
LANGUAGES = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian", "bg": "Bulgarian",
    "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish",
    "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati", "ha": "Hausa", "he": "Hebrew", "hi": "Hindi",
    "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "is": "Icelandic", "it": "Italian",
    "ja": "Japanese", "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada", "ko": "Korean", "lo": "Lao",
    "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi",
    "ms": "Malay", "my": "Burmese", "ne": "Nepali", "nl": "Dutch", "no": "Norwegian", "pa": "Punjabi", "pl": "Polish",
    "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian",
    "so": "Somali", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu",
    "th": "Thai", "tl": "Filipino", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek",
    "vi": "Vietnamese", "yo": "Yoruba", "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip
#: Texts that are looked at, from all over a file, and letters of each.
SAMPLED_TEXTS, SAMPLED_LETTERS = 300, 300
#: Letters below which a text has no vote; a character of a script without spaces counts three.
FEWEST_LETTERS = 10
#: Certainty below which a text has no vote.
CERTAIN = 0.5
#: Texts with a vote, and letters of all of them, below which nothing is said.
FEWEST_TEXTS, FEWEST_LETTERS_OF_ALL = 10, 300
#: Share of all letters that the language must have.
MOST = 0.8
#: What says nothing of the language.
NO_WORDS = regex.compile(r"https?://\S+|www\.\S+|\S+@\S+|<[^>]*>|&\w+;|\w*\p{N}\w*|[@#]\w+")


@dataclass(frozen=True)
class Language:
    """A language that texts are in.

    Attributes:
        code: By ISO 639-1.
        share: Of the letters looked at, those in texts that were told to be in it.
    """

    code: str
    share: float

    @property
    def name(self) -> str:
        """In English."""
        return LANGUAGES[self.code]


def guess_language(texts: Sequence[str]) -> Language | None:
    """The language of most of the texts; None where that is not certain.

    Args:
        texts: One text a row.

    Example:
        >>> guess_language(["Das Paket kam beschädigt an, bitte schicken Sie mir ein neues."] * 10).name
        'German'
        >>> guess_language(["a phone", "der Akku"]) is None
        True
    """
    letters: Counter[str] = Counter()
    voters = 0
    for text in texts[sample_places(len(texts))]:
        plain = " ".join(NO_WORDS.sub(" ", text[: 2 * SAMPLED_LETTERS]).split())[:SAMPLED_LETTERS]
        size = _letters(plain)
        if size < FEWEST_LETTERS:
            continue
        code, certainty = _identifier().classify(plain)
        letters[code if certainty >= CERTAIN else ""] += size
        voters += certainty >= CERTAIN
    whole = letters.total()
    if voters < FEWEST_TEXTS or whole < FEWEST_LETTERS_OF_ALL:
        return None
    # Texts that could not be told weigh half: they are short, or names and numbers, more often than another language.
    code, most = max(((code, count) for code, count in letters.items() if code), key=lambda entry: (entry[1], entry[0]))
    share = most / (whole - letters[""] / 2)
    return Language(code, round(share, 3)) if share >= MOST and code in LANGUAGES else None


def sample_places(number: int) -> slice:
    """Which of so many texts are looked at; of these alone the same are looked at again.

    Example:
        >>> list(range(1200))[sample_places(1200)][:3], sample_places(301)
        ([0, 4, 8], slice(None, None, 1))
    """
    return slice(None, None, max(1, number // SAMPLED_TEXTS))


def _letters(text: str) -> int:
    count = sum(map(str.isalpha, text))
    return count + 2 * len(UNSPACED.findall(text)) if has_unspaced(text) else count


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([*LANGUAGES, "zxx"])  # zxx: no language, such as code
    return identifier


# ----------------------------------------------------------------------------------- stop words


@lru_cache(maxsize=8)
def stop_words(code: str) -> frozenset[str]:
    """Function words of a language, in lower case, with the parts that an apostrophe leaves; none where no list is.

    Args:
        code: By ISO 639-1.

    Example:
        >>> {"und", "nicht"} <= stop_words("de"), stop_words("sw")
        (True, frozenset())
    """
    import stop_words as lists

    if code not in lists.LANGUAGE_MAPPING:
        return frozenset()
    words = lists.get_stop_words(code)
    return frozenset(words) | {part for word in words for part in regex.split("['’]", word) if part}
