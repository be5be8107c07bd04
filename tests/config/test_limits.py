"""Every number, list and text of the settings has a bound, and what is beyond it is refused in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from metapt_explore.config import StudyConfig, TaskConfig


def unbounded(schema: Any, where: str = "") -> Iterator[str]:
    """Places of a JSON schema that take a number, a list or a text of any size."""
    if isinstance(schema, list):
        for part in schema:
            yield from unbounded(part, where)
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    closed = "enum" in schema or "const" in schema
    if kind in ("integer", "number") and not closed and not {"maximum", "exclusiveMaximum"} & schema.keys():
        yield f"{where}: {kind}"
    if kind == "array" and "maxItems" not in schema:
        yield f"{where}: list"
    if kind == "string" and not closed and "maxLength" not in schema:
        yield f"{where}: text"
    for key, part in schema.items():
        if key not in ("default", "description", "title"):
            yield from unbounded(part, f"{where}.{key}" if key not in ("properties", "$defs", "anyOf") else where)


@pytest.mark.parametrize("model", [StudyConfig, TaskConfig])
def test_no_setting_is_without_a_bound(model: type[StudyConfig] | type[TaskConfig]) -> None:
    assert list(unbounded(model.model_json_schema())) == []
