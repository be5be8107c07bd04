"""Rows of JSON: an object a line (JSONL), a list of objects, or an object that holds one."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metapt_explore.texts.delimited import Grid
from metapt_explore.texts.first_lines import lines_of
from metapt_explore.texts.header import name_columns
from metapt_explore.texts.messages import Finding, NoTable, have, shown

ONE_ROW = 'A row is written {"text": "…", "label": "…"}.'

#: How a text begins that is JSON, whatever its name says: an object, or a list of objects.
BEGINS_AS_OBJECTS = re.compile(r'\s*(?:\[\s*)?\{\s*"(?:[^"\\]|\\.)*"\s*:')
#: Different faults that are reported one by one.
MOST_REASONS = 10


class RefusedRow(ValueError):
    """A piece of JSON that is not a row; the message is the end of a sentence about such rows.

    Args:
        reason: The end of the sentence.
        place: Where in the piece.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.place = place


def read_json(text: str, *, whole: bool, findings: list[Finding]) -> tuple[Grid, str]:
    """Reads JSON rows: one object per line, or one JSON value.

    Args:
        text: The file's text.
        whole: Whether the suffix says that the file is one JSON value.
        findings: Problems are appended to it.

    Returns:
        The table, and the unit of its row numbers: "line" or "row".

    Raises:
        NoTable: Where there are no rows in it.
    """
    first = text.lstrip()[:1]
    tree, reason = None, ""
    if whole or first == "[":
        try:
            tree = _load(text)
        except RefusedRow as error:
            reason = str(error) + (f", {error.place}" if error.place else "")
    if tree is None:
        if whole and not _is_row(lines_of(text.lstrip())[0]):
            raise NoTable(f"it is no JSON that can be read: {reason or 'it holds nothing'}")
        if whole:
            message = "Each line is a JSON object of its own, as in a .jsonl file; it is read so."
            findings.append(Finding("note", "JSON lines", message))
        return _lines(lines_of(text), findings), "line"
    if not whole and isinstance(tree, list) and not any(isinstance(row, dict) for row in tree):
        return _lines(lines_of(text), findings), "line"
    if not whole:
        findings.append(
            Finding("note", "JSON list", "The file is one list of objects, as in a .json file; it is read so.")
        )
    return _rows(_list_in(tree, findings), findings), "row"


def _is_row(line: str) -> bool:
    try:
        return isinstance(_load(line), dict)
    except RefusedRow:
        return False


def _list_in(tree: Any, findings: list[Finding]) -> list[Any]:
    """The rows of one piece of JSON."""
    if isinstance(tree, _Twice):
        raise NoTable(f"the key '{shown(tree.key)}' stands twice in an object")
    if isinstance(tree, list):
        return tree
    if isinstance(tree, dict) and tree:
        lists = {name: value for name, value in tree.items() if isinstance(value, list)}
        if len(lists) == 1 and all(isinstance(row, dict) for row in next(iter(lists.values()))):
            name, rows = next(iter(lists.items()))
            findings.append(
                Finding("note", "JSON list", f"The rows are those of '{shown(name, 40)}' in the file's object.")
            )
            return list(rows)
        # pandas' own ways: a list of each column's values, or an object of row number to value.
        columns = {name: _column(value) for name, value in tree.items()}
        lengths = {None if values is None else len(values) for values in columns.values()}
        if len(lengths) == 1 and None not in lengths:
            findings.append(Finding("note", "JSON columns", "The file holds its table by columns; it is read so."))
            return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    raise NoTable(f"a list of objects is expected, or an object that holds one. {ONE_ROW}")


def _column(value: Any) -> list[Any] | None:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else None


def _lines(lines: Sequence[str], findings: list[Finding]) -> Grid:
    pieces = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return _grid(pieces, _load, "line", findings=findings)


def _rows(rows: Sequence[Any], findings: list[Finding]) -> Grid:
    return _grid(list(enumerate(rows, 1)), lambda row: row, "row", findings=findings)


def _grid(pieces: Sequence[tuple[int, Any]], load: Callable[[Any], Any], noun: str, *, findings: list[Finding]) -> Grid:
    """A table of the pieces that are objects; the others are reported, grouped by reason."""
    objects: list[tuple[int, dict[str, Any]]] = []
    refused: dict[str, list[int]] = defaultdict(list)
    for number, piece in pieces:
        try:
            objects.append((number, _object(load(piece))))
        except RefusedRow as error:
            reason = str(error) if str(error) in refused or len(refused) < MOST_REASONS else "no JSON that can be read"
            refused[reason].append(number)
    for reason, numbers in refused.items():
        findings.append(Finding("error", "JSON", f"{have(len(numbers), noun)} {reason}.", ONE_ROW, tuple(numbers)))
    names = tuple(dict.fromkeys(name for _, row in objects for name in row))
    cells = [tuple(row.get(name) for name in names) for _, row in objects]
    columns, rows = name_columns(names, cells, (), findings=findings)
    return columns, rows, tuple(number for number, _ in objects)


def parse_row(line: str) -> dict[str, Any]:
    """One line of JSONL.

    Raises:
        RefusedRow: Where it is no object, or one with a key twice.
    """
    return _object(_load(line))


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, _Twice):
        raise RefusedRow(f"the key '{shown(value.key)}' twice")
    if not isinstance(value, dict):
        raise RefusedRow(f"JSON that is no object but {_SAY.get(type(value), 'a value')}")
    return value


_SAY = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false", type(None): "null"}


# ------------------------------------------------------------------------------------ the library


class _Twice(dict[str, Any]):
    """An object with a repeated key, in itself or nested: `json` would silently keep the last value."""

    key = ""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    key = _repeated(pairs) if len(tree) < len(pairs) else _inside(tree)
    if key is None:
        return tree
    twice = _Twice(tree)
    twice.key = key
    return twice


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    return next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def _inside(tree: Mapping[str, Any]) -> str | None:
    # A list of objects is looked through by whoever reads rows: there each object is a row, or a cell that is no text.
    return next((value.key for value in tree.values() if isinstance(value, _Twice)), None)


def _constant(name: str) -> float:
    if name == "NaN":  # what pandas and numpy write where there is nothing
        return float("nan")
    raise RefusedRow(f"{name}, which is no JSON number")


def _load(text: str) -> Any:
    """JSON, whatever is wrong with it said without a word of what it holds."""
    try:
        return json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
    except RefusedRow:
        raise
    except json.JSONDecodeError as error:
        what = error.msg.split(":")[0].removesuffix(" at").removesuffix(" starting")
        raise RefusedRow(f"no valid JSON ({what})", f"line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise RefusedRow("lists or objects that are nested too deep") from None
    except ValueError:  # the library's only other one
        raise RefusedRow("a number of more digits than can be read") from None
