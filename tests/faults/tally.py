"""Counts what the harness tried, over all processes of a run; the table stands at the end (`conftest.py`)."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

#: Names the file of the counts; set by `conftest.py`.
FILE = "METAPT_TALLY"


def tried(what: str, n: int = 1) -> None:
    """Adds `n` to what was tried: kills, inputs, damaged files, jobs.

    Example:
        >>> tried("kills")
        >>> tried("inputs", 100)
    """
    file = os.environ.get(FILE)
    if file:
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(f"{what}\t{n}\n")


def total(file: Path) -> dict[str, int]:
    """The sums of a file of counts."""
    sums: Counter[str] = Counter()
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        what, _, n = line.rpartition("\t")
        sums[what] += int(n)
    return dict(sums)
