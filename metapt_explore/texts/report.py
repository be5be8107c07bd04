"""What is in a source: counts a reader checks before clustering anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np

from metapt_explore.texts.language import guess_language
from metapt_explore.texts.normalise import normalise
from metapt_explore.texts.row_hashes import count_different, row_hashes
from metapt_explore.texts.rows import missing_among
from metapt_explore.texts.words import count_words

if TYPE_CHECKING:
    from datasets import Dataset

LARGEST_GROUPS = 50
#: Rows that are read at a time.
BATCH_ROWS = 4_096
#: Words below which a text says too little to be clustered.
SHORT_TEXT = 3
#: Different labels above which the column is probably not one of classes.
MANY_LABELS = 20


class WordCounts(TypedDict):
    """Words per text, over the rows that are not blank (see `count_words`)."""

    min: int
    median: float
    mean: float
    p95: float
    max: int


class DataReport(TypedDict):
    """Counts of a source, as plain JSON values.

    Attributes:
        rows: All rows.
        blank: Rows without text.
        duplicates: Rows whose normalised text occurred before.
        words: Words per text.
        labels: Count by label, largest first.
        unlabelled: Rows without a label.
        groups: Count by group, largest first; at most the 50 largest.
        group_count: All groups.
        label_balance: Smallest label count / largest; None with fewer than two labels.
        language: What most texts are written in, such as "German"; None where that is not certain. Reports that were
            made before it was told have none.
        warnings: Sentences.
    """

    rows: int
    blank: int
    duplicates: int
    words: WordCounts
    labels: dict[str, int]
    unlabelled: int
    groups: dict[str, int]
    group_count: int
    label_balance: float | None
    language: NotRequired[str | None]
    warnings: list[str]


def data_report(rows: Dataset) -> DataReport:
    """Counts rows, lengths, labels and groups of loaded texts.

    Args:
        rows: Columns text, label and group, and perhaps text_pair, as `load_source` returns them.

    Example:
        >>> from datasets import Dataset
        >>> rows = Dataset.from_dict({"text": ["good", "Good!"], "label": ["1", None], "group": [None, None]})
        >>> data_report(rows)["duplicates"]
        1
    """
    counts = ReportCounts()
    sample: list[str] = []
    for first in range(0, len(rows), BATCH_ROWS):
        batch = rows[first : first + BATCH_ROWS]
        texts = [text for text in filled_texts(batch["text"], batch.get("text_pair")) if text]
        spelled = [normalise(text) for text in texts]
        lengths = [count_words(text, words) for text, words in zip(texts, spelled, strict=True)]
        hashes = row_hashes([words or text.strip() for text, words in zip(texts, spelled, strict=True)])
        counts.add(lengths, hashes, batch["label"], batch["group"])
        sample += texts
    return counts.report(sample)


def filled_texts(texts: Sequence[str | None], seconds: Sequence[str | None] | None = None) -> list[str]:
    r"""Texts as the report counts them: a pair is one text, and blank ("") where either is.

    Example:
        >>> filled_texts(["one", " "]), filled_texts(["one", "two"], ["more", " "])
        (['one', ''], ['one\nmore', ''])
    """
    if seconds is None:
        return [text if text and text.strip() else "" for text in texts]
    return [
        f"{text}\n{second}" if text and text.strip() and second and second.strip() else ""
        for text, second in zip(texts, seconds, strict=True)
    ]


class ReportCounts:
    """Counts of a source that is read in parts.

    Keeps 20 bytes a row: the number of its words, and a hash of 16 bytes of what decides whether it is a duplicate.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._keys: list[np.ndarray] = []
        self._lengths: list[np.ndarray] = []
        self._labels: Counter[str | None] = Counter()
        self._groups: Counter[str | None] = Counter()

    def add(
        self,
        lengths: Sequence[int] | np.ndarray,
        hashes: np.ndarray,
        labels: Sequence[str | None],
        groups: Iterable[str | None],
    ) -> None:
        """Counts some rows.

        Args:
            lengths: Words of each text that is not blank (see `filled_texts`).
            hashes: `row_hashes` of what decides whether these are duplicates (`comparison_key`).
            labels: Labels of all rows.
            groups: Groups of all rows.
        """
        self.rows += len(labels)
        self._keys.append(hashes)
        self._lengths.append(np.array(lengths, dtype=np.int32))
        self._labels.update(labels)
        self._groups.update(groups)

    def report(self, texts: Sequence[str]) -> DataReport:
        """The report.

        Args:
            texts: Texts that are not blank, for their language: all, or as `language.sample_places` says.
        """
        lengths = np.concatenate(self._lengths or [np.zeros(0, dtype=np.int32)])
        filled = len(lengths)
        different = count_different(np.concatenate(self._keys or [row_hashes([])]))
        short = int((lengths < SHORT_TEXT).sum())
        lengths = lengths if filled else np.zeros(1, dtype=np.int32)
        labelled = Counter(self._labels)
        unlabelled = labelled.pop(None, 0)
        groups = Counter({group: count for group, count in self._groups.items() if group is not None})
        labels = _largest_first(labelled)
        report: DataReport = {
            "rows": self.rows,
            "blank": self.rows - filled,
            "duplicates": filled - different,
            "words": {
                "min": int(lengths.min()),
                "median": float(np.median(lengths)),
                "mean": round(float(lengths.mean()), 2),
                "p95": float(np.percentile(lengths, 95)),
                "max": int(lengths.max()),
            },
            "labels": labels,
            "unlabelled": unlabelled,
            "groups": dict(list(_largest_first(groups).items())[:LARGEST_GROUPS]),
            "group_count": len(groups),
            "label_balance": round(min(labels.values()) / max(labels.values()), 4) if len(labels) > 1 else None,
            "language": language.name if (language := guess_language(texts)) else None,
            "warnings": [],
        }
        report["warnings"] = _warnings(report, short=short)
        return report


def _largest_first(counts: Counter[Any]) -> dict[str, int]:
    """Sorts by count, then by name, so that equal data give an equal report."""
    return {str(name): count for name, count in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))}


def _warnings(report: DataReport, *, short: int) -> list[str]:
    rows = max(report["rows"], 1)
    labels = report["labels"]
    warnings = []
    if report["blank"]:
        warnings.append(f"Rows without text: {report['blank']}; they will be dropped.")
    if report["duplicates"] > 0.01 * rows:
        warnings.append(
            f"Rows that repeat an earlier one: {report['duplicates']} ({100 * report['duplicates'] / rows:.0f} %)."
        )
    if short:
        warnings.append(f"Rows of fewer than {SHORT_TEXT} words: {short}.")
    warnings += label_warnings(report["rows"], labels, report["unlabelled"])
    if words := sorted(missing_among(set(labels))):
        listed = ", ".join(f"'{word}' ({labels[word]} rows)" for word in words)
        warnings.append(
            f"Labels that usually mean that there is none: {listed}. `metapt data check` says where they are."
        )
    if len(labels) > MANY_LABELS:
        warnings.append(f"There are {len(labels)} different labels; is the label column the right one?")
    if report["label_balance"] is not None and report["label_balance"] < 0.2:
        largest, smallest = next(iter(labels)), list(labels)[-1]
        warnings.append(
            f"Labels are uneven: '{smallest}' occurs {labels[smallest]} times, '{largest}' {labels[largest]} times."
        )
    return warnings


def label_warnings(rows: int, labels: Mapping[str, int], unlabelled: int) -> list[str]:
    """Warnings that matter only where auxiliary tasks need the data's own labels.

    Args:
        rows: All rows.
        labels: Count by label.
        unlabelled: Rows without a label.
    """
    warnings = []
    if not labels:
        warnings.append("No row has a label: clusters can be found, but no auxiliary task can be made of them.")
    elif unlabelled > 0.1 * max(rows, 1):
        share = unlabelled / max(rows, 1)
        warnings.append(f"Rows without a label: {unlabelled} ({100 * share:.0f} %); auxiliary tasks leave them out.")
    if len(labels) == 1:
        warnings.append(f"There is only one label, '{next(iter(labels))}'; a task needs two.")
    return warnings
