"""Cells and rows: a model input is a text or a pair of texts."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import pandas as pd

from metapt_explore.texts.normalise import comparison_key

TextInput = str | tuple[str, str]

#: What libraries and spreadsheets write for a cell without a value; compared without case.
MISSING_WORDS = frozenset(
    ("nan", "none", "null", "n/a", "na", "nat", "<na>", "-", "--", "?", "#n/a", "#na", "#value!")
) | {"#ref!", "#name?", "#div/0!", "#null!", "#num!"}


def cell_text(value: object) -> str:
    """A cell of a table as text: blank where it is missing, whole numbers without a point.

    Example:
        >>> cell_text(2.0), cell_text(2.5), cell_text(float("nan"))
        ('2', '2.5', '')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    # Whole numbers turn into floats as soon as one value of the column is missing.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def reads_as_missing(text: str) -> bool:
    """Whether a cell probably means "missing".

    Example:
        >>> reads_as_missing("NaN"), reads_as_missing(" n/a "), reads_as_missing("nanny")
        (True, True, False)
    """
    return text.strip().casefold() in MISSING_WORDS


def missing_among(labels: Collection[str]) -> set[str]:
    """Labels that probably mean "missing"; "-" counts as a sign if "+" is also a label.

    Example:
        >>> missing_among({"good", "bad", "NaN"}), missing_among({"+", "-"})
        ({'NaN'}, set())
    """
    signs = {"-"} if any(label.strip() == "+" for label in labels) else set()
    return {label for label in labels if reads_as_missing(label) and label.strip() not in signs}


def as_inputs(rows: pd.DataFrame) -> list[TextInput]:
    """Texts of a table, as pairs where the column ``text_pair`` has a second text.

    Example:
        >>> as_inputs(pd.DataFrame({"text": ["It rains."], "text_pair": ["It is wet."]}))
        [('It rains.', 'It is wet.')]
    """
    if "text_pair" not in rows.columns:
        return list(rows["text"])
    pairs: list[TextInput] = list(zip(rows["text"], rows["text_pair"], strict=True))
    if not rows["text_pair"].isna().any():
        return pairs
    return [pair[0] if pd.isna(pair[1]) else pair for pair in pairs]


def texts_of(rows: pd.DataFrame) -> list[str]:
    """Texts of a table, pairs written as one text."""
    return written_out(as_inputs(rows))


def written_out(texts: Sequence[TextInput]) -> list[str]:
    r"""Each row as one text, for comparing, embedding, clustering and display.

    Example:
        >>> written_out(["alone", ("It rains.", "It is wet.")])
        ['alone', 'It rains.\nIt is wet.']
    """
    return [text if isinstance(text, str) else "\n".join(text) for text in texts]


def duplicate_key(text: TextInput) -> str:
    r"""A key that is equal for duplicate rows, whatever their spelling and, in pairs, the order of the texts.

    Example:
        >>> duplicate_key(("It rains.", "It is WET!")) == duplicate_key(("it is wet", "it rains"))
        True
        >>> duplicate_key(("a b", "c")) == duplicate_key(("a", "b c"))
        False
    """
    if isinstance(text, str):
        return comparison_key(text)
    return "\n".join(sorted(comparison_key(part) for part in text))
