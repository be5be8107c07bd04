"""How long the tests of this folder take: short by default, long in `make soak`."""

from __future__ import annotations

import os


def examples(n: int) -> int:
    """Examples of a property: `n`, times METAPT_SOAK in a long run (`make soak`)."""
    return n * int(os.environ.get("METAPT_SOAK", "1"))
