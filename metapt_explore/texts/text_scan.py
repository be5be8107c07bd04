"""The first look at pre-training texts: which rows a study keeps, in one pass and some 45 bytes of memory a row.

Rows are read in batches and forgotten. What stays of each is its reason to be dropped, hashes that tell duplicates, its
label's number and its number of words. A second pass reads the drawn rows alone (`RowSource.take`), so that the draw is
the very one that a table of all rows in memory would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from metapt_explore.config import TextsConfig
from metapt_explore.texts.decontaminate import Decontamination, HeldOutIndex, judge_rows
from metapt_explore.texts.language import sample_places
from metapt_explore.texts.normalise import normalise
from metapt_explore.texts.report import DataReport, ReportCounts, filled_texts
from metapt_explore.texts.row_hashes import repeats, row_hashes
from metapt_explore.texts.row_source import Batch
from metapt_explore.texts.rows import duplicate_key, written_out
from metapt_explore.texts.words import count_words

#: Numbers of the reasons; 0 is kept.
KEPT, SHORT, BLANK, NEAR, EQUAL, UNLABELLED, DUPLICATE, NOT_SAMPLED = range(8)


@dataclass
class Leaks:
    """Texts that equal or nearly equal a dev or test row, in the order of the source.

    Attributes:
        rows: Their numbers in the source.
        texts: Each, written out.
        reasons: ``equal`` or ``near``.
        matches: Numbers of the held-out rows.
        overlaps: See `Decontamination`.
    """

    rows: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    matches: list[int] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)


class TextScan:
    """What is known of rows that were read once.

    Args:
        settings: Which texts are dropped.
        index: Of the study's dev and test rows.
    """

    def __init__(self, settings: TextsConfig, index: HeldOutIndex) -> None:
        self.settings, self.leaks = settings, Leaks()
        self._index = index
        self._counts = ReportCounts()
        self._reasons: list[np.ndarray] = []
        self._filled: list[np.ndarray] = []
        self._hashes: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._label_numbers: dict[str | None, int] = {None: -1}

    def add(self, batch: Batch) -> None:
        """Looks at some rows."""
        cells, inputs = batch.cells, batch.inputs
        written = written_out(inputs)
        spelled = [normalise(text) for text in written]
        words = np.array([count_words(text, plain) for text, plain in zip(written, spelled, strict=True)])
        filled = np.array([bool(text) for text in filled_texts(cells["text"], cells.get("text_pair"))], dtype=bool)
        hashes = shown = row_hashes([plain or text.strip() for text, plain in zip(written, spelled, strict=True)])
        if "text_pair" in cells:  # whichever text stands first
            hashes = row_hashes([duplicate_key(pair) for pair in inputs])
        self._counts.add(words[filled], shown[filled], cells["label"], cells["group"])
        self._filled.append(filled)
        self._hashes.append(hashes)
        self._labels.append(self._numbered(cells["label"]))
        reasons = np.zeros(len(written), dtype=np.int8)
        reasons[words < self.settings.min_words] = SHORT
        reasons[[not plain for plain in spelled]] = BLANK
        if "text_pair" in cells:
            reasons[~filled] = BLANK
        verdict = judge_rows(self._index, inputs, spelled)
        self._note_leaks(batch.first, written, verdict)
        reasons[verdict.reason == "near"] = NEAR
        reasons[verdict.reason == "equal"] = EQUAL
        self._reasons.append(reasons)

    def _note_leaks(self, first: int, written: Sequence[str], verdict: Decontamination) -> None:
        for place in np.flatnonzero(verdict.reason != "").tolist():
            self.leaks.rows.append(first + place)
            self.leaks.texts.append(written[place])
            self.leaks.reasons.append(str(verdict.reason[place]))
            self.leaks.matches.append(int(verdict.match[place]))
            self.leaks.overlaps.append(float(verdict.overlap[place]))

    def _numbered(self, labels: Sequence[str | None]) -> np.ndarray:
        numbers = self._label_numbers
        return np.array([numbers.setdefault(label, len(numbers) - 1) for label in labels], dtype=np.int32)

    def finish(self, draw: Callable[[np.ndarray], np.ndarray]) -> Scanned:
        """Which rows are kept, when all were looked at.

        Args:
            draw: Gets the labels' numbers of the usable rows, where they are more than `limit`; gives the places of
                those that are drawn, growing.
        """
        settings = self.settings
        reasons = np.concatenate(self._reasons or [np.zeros(0, dtype=np.int8)])
        labels = np.concatenate(self._labels or [np.zeros(0, dtype=np.int32)])
        hashes = np.concatenate(self._hashes or [row_hashes([])])
        filled = np.flatnonzero(np.concatenate(self._filled or [np.zeros(0, dtype=bool)]))
        if settings.labelled_only or settings.balanced:
            reasons[(reasons == KEPT) & (labels < 0)] = UNLABELLED
        # Last, so that a row that is dropped anyway does not make a later one its duplicate.
        usable = np.flatnonzero(reasons == KEPT)
        reasons[usable[repeats(hashes[usable])]] = DUPLICATE
        kept = np.flatnonzero(reasons == KEPT)
        if settings.limit is not None and len(kept) > settings.limit:
            chosen = draw(labels[kept])
            reasons[np.delete(kept, chosen)] = NOT_SAMPLED
            kept = kept[chosen]
        return Scanned(reasons, kept, filled[sample_places(len(filled))], settings.min_words)

    def report(self, texts: Sequence[str]) -> DataReport:
        """The data report.

        Args:
            texts: The texts of `Scanned.for_language`, see `filled_texts`.
        """
        return self._counts.report(texts)


@dataclass(frozen=True)
class Scanned:
    """Which rows are kept.

    Attributes:
        reasons: Number of the reason why each row is dropped, ``[rows]``; 0 where it is kept.
        kept: Numbers of the rows that are kept, growing.
        for_language: Numbers of the rows of which the language is told.
        min_words: The setting.
    """

    reasons: np.ndarray
    kept: np.ndarray
    for_language: np.ndarray
    min_words: int

    def dropped(self) -> dict[str, int]:
        """How many rows were dropped for each reason, most first."""
        named = {
            SHORT: f"shorter than {self.min_words} words",
            BLANK: "blank",
            NEAR: "nearly equals a dev or test row",
            EQUAL: "equals a dev or test row",
            UNLABELLED: "no label",
            DUPLICATE: "duplicate",
            NOT_SAMPLED: "not sampled",
        }
        counts = pd.Series(self.reasons[self.reasons != KEPT]).value_counts()
        return {named[int(reason)]: int(count) for reason, count in counts.items()}
