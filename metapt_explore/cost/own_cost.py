"""What a stage takes beside models: about how many seconds, and the memory of the process that makes it."""

from __future__ import annotations

from dataclasses import dataclass

#: MiB of a process that has read tables, and seconds of a stage that reads some and writes one.
BASE_MIB, QUICK_S = 600.0, 0.5


@dataclass(frozen=True)
class OwnCost:
    """What a stage takes beside models.

    Attributes:
        seconds: About how long, on a core of 2026.
        mib: Memory at its most.
    """

    seconds: float = QUICK_S
    mib: float = BASE_MIB
