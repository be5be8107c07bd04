"""Licences of the packages that `metapt setup` installs stand in docs/licences.md, as the packages say them."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What packages write, and what it is called in the table.
CALLED = {"apache 2.0": "Apache-2.0", "mit": "MIT"}


def table() -> dict[str, tuple[str, str]]:
    """Version and licence by package."""
    text = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (\S+) \| ([^|]+) \|", text, flags=re.MULTILINE)
    return {name: (version, licence.strip()) for name, version, licence in rows}


def test_every_starter_package_is_named_with_the_licence_it_states() -> None:
    lines = (ROOT / "requirements-data.txt").read_text(encoding="utf-8").split()
    pinned = dict(line.split("==") for line in lines)
    assert {name: version for name, (version, _) in table().items()} == pinned
    for name, version in pinned.items():
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        stated = package.metadata["License"] or ""
        if package.version == version and stated and "\n" not in stated:
            assert CALLED.get(stated.lower(), stated) == table()[name][1], name
