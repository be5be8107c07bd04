"""What is wrong with a tree of plain values, in words that name the key and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from metapt_explore.config.reading import MAX_DEPTH, MAX_ENTRIES, SURROGATE
from metapt_explore.errors import UserError, did_you_mean, shortened

#: Problems of a file that are told; the first ones say enough.
MOST = 10
#: Kinds of problems where something of another type stands, and what is expected.
EXPECTED = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
}


def check_plain(tree: Any, where: str) -> None:
    """Refuses what no settings hold, whether it comes from a file or from Python.

    Args:
        tree: The settings.
        where: The file or object that is named.

    Raises:
        UserError: Where it is no mapping, too large or too deep, or a text of it cannot be written to a file.
    """
    if tree is None:
        raise UserError(f"{where} is empty: expected a mapping of keys to values.")
    if not isinstance(tree, dict):
        raise UserError(f"{where}: expected a mapping of keys to values, found {_said(tree)}.")
    pending: list[tuple[Any, int]] = [(tree, 0)]
    entries = 0
    while pending:
        value, depth = pending.pop()
        entries += 1
        if entries > MAX_ENTRIES:
            raise UserError(f"{where} holds more than {MAX_ENTRIES:,} entries.")
        if depth > MAX_DEPTH:
            raise UserError(f"{where}: lists and mappings stand in one another more than {MAX_DEPTH} deep.")
        if isinstance(value, dict):
            pending += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list | tuple):
            pending += [(part, depth + 1) for part in value]
        elif isinstance(value, str) and ("\0" in value or SURROGATE.search(value)):
            raise UserError(f"{where}: a text holds {'NUL' if chr(0) in value else 'half a character'}.")


def explain(model: type[BaseModel], error: ValidationError) -> list[str]:
    """A sentence for each problem, the first ones of many.

    Args:
        model: What was validated.
        error: What pydantic found.
    """
    problems = error.errors(include_url=False)
    told = list(dict.fromkeys(_explain(model, dict(problem)) for problem in problems[: 2 * MOST]))[:MOST]
    if len(problems) > 2 * MOST:
        told.append(f"… and {len(problems) - MOST:,} more.")
    return told


def _explain(model: type[BaseModel], problem: dict[str, Any]) -> str:
    path = list(problem["loc"])
    key = ".".join(shortened(str(part)) for part in path)
    kind, given = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return f"unknown key '{key}'. {did_you_mean(str(path[-1]), _fields_at(model, path[:-1]))}"
    if kind == "missing":
        return f"key '{key}' is missing."
    message = problem["msg"].removeprefix("Value error, ").removesuffix(".")
    wanted = EXPECTED.get(kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float"))
    if wanted is not None:
        message = f"{wanted} is expected, found {_said(given)}{_advice(wanted, given)}"
    elif kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        if kind == "less_than_equal":
            message = f"the limit is {problem['ctx']['le']:,}"
        message = f"{message} (found {_said(given)})"
    elif kind == "finite_number":
        message = f"a number is expected that is finite (found {_said(given)})"
    elif kind == "too_long" and isinstance(given, list | dict):
        message = f"{len(given):,} entries; {problem['ctx']['max_length']:,} at most"
    elif kind == "string_too_long":
        message = f"a text of {len(given):,} characters; {problem['ctx']['max_length']:,} at most"
    return f"{key}: {message}." if key else f"{message}."


def _said(value: Any) -> str:
    """A value as a person would call it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int | float):
        return f"{shortened(_digits(value))}"
    if isinstance(value, str):
        return f"the text '{shortened(value)}'"
    return {"dict": "a mapping", "list": "a list"}.get(type(value).__name__, f"a {type(value).__name__}")


def _digits(value: float) -> str:
    try:
        return str(value)
    except ValueError:  # which Python does not write
        return "a number of thousands of digits"


def _advice(wanted: str, given: Any) -> str:
    if wanted == "a text" and isinstance(given, bool | int | float):
        return ": put it in quotes"
    if wanted == "a text" and given is None:
        return " (YAML reads null, ~ and an empty place as nothing): put it in quotes"
    if wanted.endswith("number") and isinstance(given, str):
        return ": write it in plain digits, such as 1000 or 0.001"
    return ""


def _fields_at(model: type[BaseModel], path: list[str | int]) -> Iterator[str]:
    """Names of the fields that are valid where `path` leads, as far as types tell."""
    for part in path:
        if isinstance(part, int) or part not in model.model_fields:
            continue
        pending = [model.model_fields[part].annotation]
        while pending:
            annotation = pending.pop()
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                model = annotation
                break
            pending.extend(get_args(annotation))
    yield from model.model_fields
