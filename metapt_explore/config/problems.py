"""What is wrong with a tree of plain values, in words that name the key and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from metapt_explore.config.kinds import Kind
from metapt_explore.config.reading import MAX_DEPTH, MAX_ENTRIES, SURROGATE
from metapt_explore.errors import UserError, did_you_mean, shortened

#: Problems of a file that are listed; the first ones are enough.
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
    """Refuses values that settings cannot hold, from a file or from Python.

    Args:
        tree: The settings.
        where: The file or object that is named.

    Raises:
        UserError: Where it is no mapping, too large or too deep, or a text of it cannot be written to a file.
    """
    if tree is None:
        raise UserError(f"{where} is empty: expected a mapping of keys to values.")
    if not isinstance(tree, dict):
        raise UserError(f"{where}: expected a mapping of keys to values, found {_in_words(tree)}.")
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
    sentences = list(dict.fromkeys(_explain(model, dict(problem)) for problem in problems[: 2 * MOST]))[:MOST]
    if len(problems) > 2 * MOST:
        sentences.append(f"… and {len(problems) - MOST:,} more.")
    return sentences


def _explain(model: type[BaseModel], problem: dict[str, Any]) -> str:
    path, holder = _place(model, problem["loc"])
    key = ".".join(shortened(str(part)) for part in path)
    kind, given = problem["type"], problem["input"]
    if kind.startswith("union_tag"):
        return _no_kind(holder, given, key)
    if kind == "extra_forbidden":
        _, parent = _place(model, problem["loc"][:-1])
        fields = parent.model_fields if _is_model(parent) else ()
        return f"unknown key '{key}'. {did_you_mean(str(path[-1]), fields)}"
    if kind == "missing":
        return f"key '{key}' is missing."
    message = problem["msg"].removeprefix("Value error, ").removesuffix(".")
    wanted = EXPECTED.get(kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float"))
    if wanted is not None:
        message = f"{wanted} is expected, found {_in_words(given)}{_advice(wanted, given)}"
    elif kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        if kind == "less_than_equal":
            message = f"the limit is {problem['ctx']['le']:,}"
        message = f"{message} (found {_in_words(given)})"
    elif kind == "finite_number":
        message = f"a number is expected that is finite (found {_in_words(given)})"
    elif kind == "too_long" and isinstance(given, list | dict):
        message = f"{len(given):,} entries; {problem['ctx']['max_length']:,} at most"
    elif kind == "string_too_long":
        message = f"a text of {len(given):,} characters; {problem['ctx']['max_length']:,} at most"
    return f"{key}: {message}." if key else f"{message}."


def _in_words(value: Any) -> str:
    """A value in plain words."""
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
    except ValueError:  # too long for Python to write
        return "a number of thousands of digits"


def _advice(wanted: str, given: Any) -> str:
    if wanted == "a text" and isinstance(given, bool | int | float):
        return ": put it in quotes"
    if wanted == "a text" and given is None:
        return " (YAML reads null, ~ and an empty place as nothing): put it in quotes"
    if wanted.endswith("number") and isinstance(given, str):
        return ": write it in plain digits, such as 1000 or 0.001"
    return ""


def _no_kind(annotation: Any, given: Any, key: str) -> str:
    """What is wrong with the key that tells kinds apart."""
    base = _base_of_kinds(annotation)
    assert base is not None
    try:
        if not isinstance(base.expand(given), dict):
            return f"{key}: {EXPECTED['dict']} is expected, found {_in_words(given)}."
        base.kind_for(given)
    except ValueError as error:
        told_by, reason = base.told_by[0], str(error).removesuffix(".")
        if reason == f"key '{told_by}' is missing":
            return f"key '{key}.{told_by}' is missing."
        return f"{key}: {reason}."
    return f"{key}: is of no kind."


def _place(model: type[BaseModel], location: Sequence[str | int]) -> tuple[list[str | int], Any]:
    """Where a problem is in the file, and the type of what stands there, as far as types tell.

    Pydantic's location also holds the name of each kind that was chosen on the way.
    """
    path: list[str | int] = []
    annotation: Any = model
    for part in location:
        base = _base_of_kinds(annotation)
        if base is not None and part in base.kinds:
            annotation = base.kinds[str(part)]
            continue
        path.append(part)
        annotation = _below(annotation, part)
    return path, annotation


def _below(annotation: Any, part: str | int) -> Any:
    """The type of an entry or a field."""
    if _is_model(annotation):
        field = annotation.model_fields.get(str(part))
        return None if field is None else field.annotation
    parts = [each for each in get_args(annotation) if each is not type(None)]
    if get_origin(annotation) in (list, dict):
        return parts[-1]
    # Annotated, or one of several: a field of whichever has it.
    inner = (_below(each, part) for each in parts if get_args(each) or _is_model(each))
    return next((each for each in inner if each is not None), None)


def _base_of_kinds(annotation: Any) -> type[Kind] | None:
    """The class that all kinds share, where a type is one of several kinds."""
    if isinstance(annotation, type):
        return None
    for part in get_args(annotation):
        if isinstance(part, type) and issubclass(part, Kind):
            return next(base for base in part.__mro__ if "kinds" in base.__dict__)
        if (base := _base_of_kinds(part)) is not None and get_origin(annotation) not in (list, dict):
            return base
    return None


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
