"""How long the tests of faults run: a little in the suite, a thousand times as long in `make soak`."""

from __future__ import annotations

import os


def examples(n: int) -> int:
    """So many examples, times METAPT_SOAK."""
    return n * int(os.environ.get("METAPT_SOAK", "1"))
