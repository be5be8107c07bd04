"""Finds pre-training texts that equal or nearly equal a dev or test row.

Exact: word triples are compared themselves, not their hashes. Fast: only triples that occur in the
held-out rows are numbered, and shared triples are counted by a product of sparse matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from metapt_explore.texts.normalise import has_unspaced, normalise
from metapt_explore.texts.rows import TextInput, written_out

#: Texts per sparse product, and pairs of a text and a row that it may give; both bound its memory.
CHUNK, MOST_PAIRS = 1000, 2_000_000
#: Triples (7 words) a held-out row needs before lying inside a text counts; shorter ones are phrases.
MIN_CONTAINED = 5
#: Characters of a script without spaces that say as much as a word where a row's length is asked for.
CHARACTERS_OF_A_WORD = 2
#: Tenths of a held-out row's triples that lie in a text which contains the row.
CONTAINED_TENTHS = 9

Triple = tuple[str, str, str]


@dataclass(frozen=True)
class Decontamination:
    """The verdict on each text; all arrays have shape ``[texts]``.

    Attributes:
        reason: ``""`` (keep), ``"equal"`` or ``"near"``.
        match: Index of the matching held-out row; -1 for kept texts.
        overlap: Between 0 and 1. Equal: 1. Near: the larger of the Jaccard index and, where the row
            is contained, the contained share. Kept: the highest Jaccard index with any row.
    """

    reason: np.ndarray
    match: np.ndarray
    overlap: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """Mask of the texts to keep, shape ``[texts]``, bool."""
        return np.asarray(self.reason == "")

    def counts(self) -> dict[str, int]:
        """Number of texts kept, and dropped for either reason."""
        equal, near = (int((self.reason == reason).sum()) for reason in ("equal", "near"))
        return {"kept": len(self.reason) - equal - near, "equal": equal, "near": near}


def decontaminate(texts: list[str], held_out: list[str], threshold: float) -> Decontamination:
    """Finds the texts that equal or nearly equal a held-out row.

    A text is *equal* where its normalised form is that of a row. It is *near* where the Jaccard
    index of the sets of word triples reaches `threshold`, or where the text contains the row: the
    row has at least 5 triples and 9 tenths of them are in the text (a sentence inside a review).
    Texts and rows of fewer than three words have no triples and are compared by equality only.

    Args:
        texts: Candidates for pre-training.
        held_out: Every dev and test text of the study.
        threshold: Jaccard index from which a text is near, in (0, 1].

    Returns:
        The verdicts, in the order of `texts`. Of several matching rows the one with the highest
        overlap is named, the first of equals.

    Example:
        >>> found = decontaminate(["A fine film .", "Dull."], ["a fine film"], threshold=0.7)
        >>> found.reason.tolist(), found.match.tolist()
        (['equal', ''], [0, -1])
    """
    index = HeldOutIndex(held_out, threshold)
    return index.judge([normalise(text) for text in texts])


class HeldOutIndex:
    """The word triples of every held-out row, with which texts are compared batch by batch.

    Its memory is that of the held-out rows, whatever the number of texts.

    Args:
        held_out: Every dev and test text of the study.
        threshold: See `decontaminate`.

    Example:
        >>> index = HeldOutIndex(["a fine film"], threshold=0.7)
        >>> index.judge(["a fine film"]).reason.tolist(), index.judge(["dull"]).reason.tolist()
        (['equal'], [''])
    """

    def __init__(self, held_out: Sequence[str], threshold: float) -> None:
        words_of_rows = [normalise(row) for row in held_out]
        self._threshold = threshold
        self._first_row: dict[str, int] = {}
        for row, words in enumerate(words_of_rows):
            if words:
                self._first_row.setdefault(words, row)
        self._vocabulary: dict[Triple, int] = {}
        triples = [_triples(words) for words in words_of_rows]
        for of_row in triples:
            for triple in of_row:
                self._vocabulary.setdefault(triple, len(self._vocabulary))
        self._known = frozenset(self._vocabulary)
        held, self._sizes = self._incidence(triples)
        self._telling = np.array([is_telling(words) for words in words_of_rows], dtype=bool)
        self._columns = held.T.tocsr()
        #: Held-out rows that each triple stands in.
        self._rows_of_triple = np.diff(self._columns.indptr)

    def judge(self, spelled: Sequence[str]) -> Decontamination:
        """Compares some texts.

        Args:
            spelled: Their normal forms (`normalise`).

        Returns:
            The verdicts, in the order of the texts.
        """
        number = len(spelled)
        reason = np.full(number, "", dtype="U5")
        verdicts = Decontamination(reason, np.full(number, -1, dtype=np.int64), np.zeros(number, dtype=np.float64))
        for text, words in enumerate(spelled):
            row = self._first_row.get(words)
            if row is not None:
                reason[text], verdicts.match[text], verdicts.overlap[text] = "equal", row, 1.0
        for start in range(0, number if self._vocabulary else 0, CHUNK):
            triples, sizes = self._incidence([_triples(words) for words in spelled[start : start + CHUNK]])
            pairs = np.add.reduceat(
                np.append(self._rows_of_triple[triples.indices], 0), np.minimum(triples.indptr[:-1], triples.nnz)
            ) * (np.diff(triples.indptr) > 0)
            for first, end in _spans(pairs, MOST_PAIRS):
                shared = (triples[first:end] @ self._columns).tocoo()
                text, row = shared.coords
                text = text + first
                found = _Pairs(start + text, row, shared.data, sizes[text], self._sizes[row], self._telling[row])
                _judge_pairs(verdicts, found, self._threshold)
        return verdicts

    def _incidence(self, triples: Sequence[set[Triple]]) -> tuple[csr_array, np.ndarray]:
        """Which known triples each row holds, ``[rows, triples]``, and how many different ones it has, known or not."""
        columns: list[int] = []
        starts = [0]
        number = self._vocabulary.__getitem__
        for of_row in triples:
            columns.extend(map(number, of_row & self._known))
            starts.append(len(columns))
        ones = np.ones(len(columns), dtype=np.int64)
        indices, pointers = np.array(columns, dtype=np.int64), np.array(starts, dtype=np.int64)
        incidence = csr_array((ones, indices, pointers), shape=(len(triples), len(self._vocabulary)))
        return incidence, np.array([len(of_row) for of_row in triples], dtype=np.int64)


def _triples(words: str) -> set[Triple]:
    """Word triples of a normal form."""
    every = words.split()
    return set(zip(every, every[1:], every[2:], strict=False))


def _spans(counts: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Cuts a row of counts into spans that add up to at most so much each, or are one entry.

    Example:
        >>> list(_spans(np.array([3, 3, 9, 1]), 6))
        [(0, 2), (2, 3), (3, 4)]
    """
    first, whole = 0, 0
    for place, count in enumerate(counts.tolist()):
        if whole and whole + count > most:
            yield first, place
            first, whole = place, 0
        whole += count
    if len(counts):
        yield first, len(counts)


def decontaminate_rows(rows: Sequence[TextInput], held_out: list[str], threshold: float) -> Decontamination:
    """The same for rows that may be pairs of texts.

    A pair is compared four times: both texts together, the same in the other order, and each by itself (a premise may
    be all of a held-out row). The worst verdict counts; of equal verdicts the one with the highest overlap.

    Args:
        rows: Candidates for pre-training.
        held_out: Every dev and test text of the study; of held-out pairs both texts together, and each that is long
            enough to be known again.
        threshold: See `decontaminate`.

    Example:
        >>> pairs = [("It is wet.", "It rains."), ("Dull.", "It rains."), ("Fine.", "It snows.")]
        >>> decontaminate_rows(pairs, ["It rains. It is wet.", "dull"], threshold=0.7).reason.tolist()
        ['equal', 'equal', '']
    """
    index = HeldOutIndex(held_out, threshold)
    return judge_rows(index, rows, [normalise(text) for text in written_out(rows)])


def judge_rows(index: HeldOutIndex, rows: Sequence[TextInput], spelled: Sequence[str]) -> Decontamination:
    """The verdicts on rows of which the normal form is known; see `decontaminate_rows`.

    Args:
        index: Of the held-out rows.
        rows: Candidates for pre-training.
        spelled: The normal form of each row, written out as one text.
    """
    if all(isinstance(row, str) for row in rows):
        return index.judge(spelled)
    pairs = [(row, "") if isinstance(row, str) else row for row in rows]
    ways = [[f"{first}\n{second}", f"{second}\n{first}", first, second] for first, second in pairs]
    verdicts = index.judge([normalise(text) for way in ways for text in way])
    reason, match, overlap = (values.reshape(-1, 4) for values in (verdicts.reason, verdicts.match, verdicts.overlap))
    worst = np.where(reason == "equal", 2, np.where(reason == "near", 1, 0))
    # Overlaps lie between 0 and 1, so that a verdict counts before them.
    chosen = (2 * worst + overlap).argmax(axis=1)
    each = np.arange(len(ways))
    return Decontamination(reason[each, chosen], match[each, chosen], overlap[each, chosen])


def is_telling(words: str) -> bool:
    """Whether a text is long enough to be recognised in another: seven words, or fourteen characters without spaces.

    Args:
        words: Its normal form (`normalise`).

    Example:
        >>> is_telling("one of the best films that"), is_telling("one of the best films that I saw")
        (False, True)
    """
    every = words.split()
    characters = sum(map(has_unspaced, every))
    return CHARACTERS_OF_A_WORD * (len(every) - characters) + characters >= CHARACTERS_OF_A_WORD * (MIN_CONTAINED + 2)


@dataclass(frozen=True)
class _Pairs:
    """Texts and held-out rows that share a triple; all arrays have shape ``[pairs]``.

    Attributes:
        text: Index of the text.
        row: Index of the held-out row.
        shared: Triples in common.
        text_size: Triples of the text.
        row_size: Triples of the row.
        telling: Whether the row is long enough to be known again (`is_telling`).
    """

    text: np.ndarray
    row: np.ndarray
    shared: np.ndarray
    text_size: np.ndarray
    row_size: np.ndarray
    telling: np.ndarray


def _judge_pairs(verdicts: Decontamination, pairs: _Pairs, threshold: float) -> None:
    """Writes the verdicts on the pairs into `verdicts`."""
    reason, match, overlap = verdicts.reason, verdicts.match, verdicts.overlap
    text, row, shared = pairs.text, pairs.row, pairs.shared
    jaccard = shared / (pairs.text_size + pairs.row_size - shared)
    # Integers, because 0.9 has no exact binary form and 9 of 10 must count.
    contained = pairs.telling & (pairs.row_size >= MIN_CONTAINED) & (10 * shared >= CONTAINED_TENTHS * pairs.row_size)
    near = (jaccard >= threshold) | contained
    undecided = reason[text] != "equal"

    far = undecided & ~near
    np.maximum.at(overlap, text[far], jaccard[far])

    chosen = undecided & near
    text, row = text[chosen], row[chosen]
    value = np.where(contained, np.maximum(jaccard, shared / pairs.row_size), jaccard)[chosen]
    order = np.lexsort((row, -value, text))
    text, row, value = text[order], row[order], value[order]
    text, best = np.unique(text, return_index=True)
    reason[text], match[text], overlap[text] = "near", row[best], value[best]
