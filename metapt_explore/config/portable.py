"""Settings as another machine would write them: of files the names, not where they lie."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Any

#: Parts of a study that may grow without making another one of it.
GROWING = ("clusterings", "methods", "baselines")


def portable(tree: Any) -> Any:
    """Settings with absolute paths cut to file names.

    Example:
        >>> portable({"texts": {"file": "/home/me/reviews.csv"}, "steps": 3})
        {'texts': {'file': 'reviews.csv'}, 'steps': 3}
    """
    if isinstance(tree, dict):
        return {key: portable(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [portable(value) for value in tree]
    if isinstance(tree, str) and "\n" not in tree and _is_absolute(tree):
        parts = (Path(tree) if Path(tree).is_absolute() else PureWindowsPath(tree)).parts
        return "/".join(parts[-3:]) if "{seed}" in tree else parts[-1]
    return tree


def _is_absolute(text: str) -> bool:
    return Path(text).is_absolute() or (text[1:3] in (":\\", ":/") and text[:1].isalpha())


def grown_from(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """Whether settings are older ones with more clusterings, methods or baselines (and perhaps another title).

    Args:
        new: Settings as plain values, all defaults written.
        old: Others.
    """

    def rest(tree: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in tree.items() if key not in (*GROWING, "title")}

    if rest(new) != rest(old):
        return False
    return all(entry in (new.get(key) or []) for key in GROWING for entry in (old.get(key) or []))
