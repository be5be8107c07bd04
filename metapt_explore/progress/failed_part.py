"""A part of a study that could not be computed: what it is, why, and which scores wait for it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

#: Scores that a sentence names at most.
SHOWN = 6


@dataclass
class FailedPart:
    """One part that could not be computed.

    Attributes:
        key: Its key in progress, such as ``clusters/hdbscan``.
        title: What people call it.
        reason: A sentence.
        needed_by: Keys of prompts and scores that cannot be computed without it.
        scores: Scores among them, such as ``MetaPT on mood``.
    """

    key: str
    title: str
    reason: str
    needed_by: list[str] = field(default_factory=list)
    scores: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """The reason, after the part's name if the reason does not name it."""
        name = re.search(r"'.+'", self.title)
        is_named = name[0] in self.reason if name else self.title.lower() in self.reason.lower()
        return self.reason if is_named else f"{self.title}: {self.reason}"

    @property
    def waiting(self) -> str:
        """A sentence with the scores that are not computed without it; empty if there are none."""
        waiting = list(dict.fromkeys(self.scores))
        if not waiting:
            return ""
        more = f" and {len(waiting) - SHOWN} more" if len(waiting) > SHOWN else ""
        return f" Not computed without it: {', '.join(waiting[:SHOWN])}{more}."

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
