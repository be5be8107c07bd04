"""Keys and values of study files that have a new name: the old one is still read, and a notice names the new one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Renamed:
    """An old name, where it stands and what it is called now.

    Attributes:
        path: Keys from the top of a study to the mapping that holds it; ``*`` is each entry of a list.
        old: The old key, or the old value of `key`.
        new: The new one.
        key: The key whose value has a new name; None where the key itself has.
    """

    path: tuple[str, ...]
    old: str
    new: str
    key: str | None = None

    @property
    def notice(self) -> str:
        """What the user is told."""
        before, now = (
            (self.old, self.new) if self.key is None else (f"{self.key}: {self.old}", f"{self.key}: {self.new}")
        )
        where = ".".join(part for part in self.path if part != "*")
        return f"{where}: `{before}` is now called `{now}`. The old name still works."


RENAMED: tuple[Renamed, ...] = (
    Renamed(("prompt",), "start", "init"),
    Renamed(("methods", "*"), "start", "init"),
    Renamed(("verbalizer",), "words_and_probe", "probe_ensemble", key="read"),
    Renamed(("methods", "*", "verbalizer"), "words_and_probe", "probe_ensemble", key="read"),
    Renamed(("baselines", "*"), "views", "hidden_states", key="of"),
)


def with_new_names(tree: Any) -> tuple[Any, list[str]]:
    """Puts new names in the place of old ones.

    Args:
        tree: A study as plain values; it is left as it is. What is not a study is returned unchanged.

    Returns:
        The study with new names, and a notice for each old one.

    Example:
        >>> with_new_names({"prompt": {"start": "labels"}})
        ({'prompt': {'init': 'labels'}}, ['prompt: `start` is now called `init`. The old name still works.'])
    """
    notices = []
    for renamed in RENAMED:
        if any(_has_old_name(mapping, renamed) for mapping in _mappings(tree, renamed.path)):
            tree = _replaced(tree, renamed, renamed.path)
            notices.append(renamed.notice)
    return tree, notices


def _mappings(tree: Any, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The mappings that a path leads to."""
    if not path:
        if isinstance(tree, dict):
            yield tree
    elif path[0] == "*":
        for entry in tree if isinstance(tree, list) else []:
            yield from _mappings(entry, path[1:])
    elif isinstance(tree, dict):
        yield from _mappings(tree.get(path[0]), path[1:])


def _has_old_name(mapping: dict[str, Any], renamed: Renamed) -> bool:
    if renamed.key is not None:
        return bool(mapping.get(renamed.key) == renamed.old)
    # With both names in one mapping, validation refuses the old one.
    return renamed.old in mapping and renamed.new not in mapping


def _replaced(tree: Any, renamed: Renamed, path: tuple[str, ...]) -> Any:
    """A copy of the tree with the new name in each mapping that the path leads to."""
    if not path:
        if not isinstance(tree, dict) or not _has_old_name(tree, renamed):
            return tree
        if renamed.key is not None:
            return {**tree, renamed.key: renamed.new}
        return {renamed.new if key == renamed.old else key: value for key, value in tree.items()}
    if path[0] == "*":
        return [_replaced(entry, renamed, path[1:]) for entry in tree] if isinstance(tree, list) else tree
    if isinstance(tree, dict) and path[0] in tree:
        return {**tree, path[0]: _replaced(tree[path[0]], renamed, path[1:])}
    return tree


_told: set[str] = set()


def tell_once(notice: str) -> None:
    """Writes a notice to the terminal or notebook, once a process."""
    if notice not in _told:
        _told.add(notice)
        log.warning(notice)
