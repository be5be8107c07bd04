"""Words of the texts themselves that may stand for any class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import regex

from metapt_explore.texts.normalise import has_unspaced
from metapt_explore.texts.words import Lexicon, is_word

#: Characters of a word, fewest and most; fewest in a script without spaces.
SHORTEST, LONGEST, SHORTEST_UNSPACED = 3, 10, 2
#: Share of documents above which a word is a function word.
MOST_SHARE = 0.5
#: The commonest words are dropped, too, because in short texts no function word stands in half of them: this many, and
#: at most one in `ONE_IN` of all words.
COMMONEST, ONE_IN = 100, 5
#: Documents that a word stands in, at least.
FEWEST_DOCUMENTS = 2

# "doesn't" and "film's": what stands before the apostrophe is no word that a writer would use alone.
_SHORTENED = regex.compile(r"\p{L}+['’]\p{L}{1,2}\b")


def common_words(documents: Sequence[str], *, number: int = 400) -> list[str]:
    """Words that stand in many documents, without the function words: label words of random classes.

    Nothing about them depends on a language. Words are in lower case, of letters only, three to ten of them (two or
    more in scripts without spaces, where words are found as `Lexicon` does). Words of one document alone, of more than
    half of the documents, and the hundred commonest are left out.

    Args:
        documents: Raw texts.
        number: Most words to return.

    Returns:
        Different words, those of most documents first, equal ones by the alphabet.

    Example:
        >>> common_words(["The red car stops", "the red bus stops", "the car", "the tram"], number=2)
        ['car', 'red']
    """
    lexicon = Lexicon(documents)
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(set(lexicon.cut(_SHORTENED.sub(" ", document))))
    kept = [
        (word, count)
        for word, count in counts.items()
        if count >= FEWEST_DOCUMENTS and count <= MOST_SHARE * len(documents) and _is_fit(word)
    ]
    ranked = [word for word, _ in sorted(kept, key=lambda entry: (-entry[1], entry[0]))]
    dropped = min(COMMONEST, len(ranked) // ONE_IN)
    return ranked[dropped : dropped + number]


def _is_fit(word: str) -> bool:
    shortest = SHORTEST_UNSPACED if has_unspaced(word) else SHORTEST
    return is_word(word) and shortest <= len(word) <= LONGEST
