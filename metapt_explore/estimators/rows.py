"""Texts and labels out of whatever holds them: lists, arrays, pandas, data sets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from metapt_explore.errors import UserError, did_you_mean, shortened
from metapt_explore.texts.rows import TextInput

#: Columns of a table that hold its texts, the second texts of pairs, labels and known groups.
TEXT, SECOND, LABEL, GROUP = "text", "text_pair", "label", "group"


@dataclass(frozen=True)
class Rows:
    """Rows as they were given.

    Attributes:
        texts: Texts, or pairs of texts; "" where one is missing.
        labels: What was given for each, None where it is missing; None without labels.
        groups: A known group of each, likewise.
    """

    texts: list[TextInput]
    labels: list[Any] | None = None
    groups: list[Any] | None = None

    @property
    def pairs(self) -> bool:
        """Whether each row is two texts."""
        return bool(self.texts) and not isinstance(self.texts[0], str)

    def blank(self) -> list[int]:
        """Numbers of the rows, from 1, that hold no text.

        Example:
            >>> Rows(["good", " ", ("", "")]).blank()
            [2, 3]
        """
        joined = (row if isinstance(row, str) else "".join(row) for row in self.texts)
        return [number for number, row in enumerate(joined, 1) if not row.strip()]


def read_rows(texts: Any, labels: Any = None, groups: Any = None) -> Rows:
    """Reads rows.

    Args:
        texts: A list, array or column of texts or of pairs; or a table (pandas, `datasets.Dataset`, a mapping of
            columns) with the columns ``text`` and, for pairs, ``text_pair``.
        labels: As many labels; those of a table's column ``label`` when absent.
        groups: As many groups; those of a table's column ``group`` when absent.

    Raises:
        UserError: Where there is no such column, a row is no text, or there are more or fewer labels than texts.

    Example:
        >>> read_rows({"text": ["good", "bad"], "label": [1, 0]})
        Rows(texts=['good', 'bad'], labels=[1, 0], groups=None)
        >>> read_rows([("It rains.", "It is wet.")]).pairs
        True
    """
    table = _columns(texts)
    if table is not None:
        read = _as_texts(_column(table, TEXT))
        if SECOND in table:
            seconds = _as_texts(table[SECOND])
            read = [(str(first), str(second)) for first, second in zip(read, seconds, strict=True)]
        labels = table.get(LABEL) if labels is None else labels
        groups = table.get(GROUP) if groups is None else groups
    else:
        read = _as_texts(_as_list(texts, "texts"))
    return Rows(read, _beside(read, labels, "labels"), _beside(read, groups, "groups"))


def _beside(texts: list[TextInput], given: Any, what: str) -> list[Any] | None:
    """One value for each text; None where none are given."""
    if given is None:
        return None
    values = [None if _is_missing(value) else value for value in _as_list(given, what)]
    if len(values) != len(texts):
        raise UserError(f"There are {len(texts)} texts and {len(values)} {what}; give one for each text.")
    return values


def _columns(given: Any) -> dict[str, list[Any]] | None:
    """A table's columns; None for what is no table."""
    if isinstance(given, Mapping) and any(hasattr(part, "column_names") for part in given.values()):
        raise UserError(f"This holds several splits ({', '.join(map(str, given))}); give one of them.")
    if hasattr(given, "column_names") and hasattr(given, "features"):  # datasets.Dataset
        read = (TEXT, SECOND, LABEL, GROUP) if TEXT in given.column_names else given.column_names[:1]
        table = {name: list(given[name]) if name in read else [] for name in given.column_names}
        named = getattr(given.features.get(LABEL), "names", None)
        if named and LABEL in table:
            table[LABEL] = [None if number is None or number < 0 else named[number] for number in table[LABEL]]
        return table
    if hasattr(given, "columns") and hasattr(given, "iloc"):  # pandas
        return {str(name): given[name].tolist() for name in given.columns}
    if isinstance(given, Mapping):
        return {str(name): _as_list(column, str(name)) for name, column in given.items()}
    return None


def _column(table: Mapping[str, list[Any]], name: str) -> list[Any]:
    if name in table:
        return table[name]
    if len(table) == 1:
        return next(iter(table.values()))
    raise UserError(f"The table has no column '{name}'. {did_you_mean(name, table)}")


def _as_list(given: Any, what: str) -> list[Any]:
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        raise UserError(f"`{what}` is {shortened(repr(given))}; give a list, such as [{shortened(repr(given))}].")
    values = given.tolist() if hasattr(given, "tolist") else list(given)
    if not isinstance(values, list):
        raise UserError(f"`{what}` is a single value; give a list.")
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def _as_texts(values: list[Any]) -> list[TextInput]:
    read: list[TextInput] = [_as_text(value, number) for number, value in enumerate(values, 1)]
    kinds = {isinstance(row, str) for row in read}
    if len(kinds) > 1:
        raise UserError("Some rows are single texts and some are pairs; give texts only, or pairs only.")
    return read


def _as_text(value: Any, number: int) -> TextInput:
    if isinstance(value, list | tuple) and len(value) == 1:  # a table of one column
        value = value[0]
    if isinstance(value, str):
        return value
    if _is_missing(value):
        return ""
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, str) for part in value):
        return value[0], value[1]
    raise UserError(
        f"Row {number} is {shortened(repr(value))}, which is no text; give strings, or pairs of strings, a row each."
    )


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and math.isnan(value)
