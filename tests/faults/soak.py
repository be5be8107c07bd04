"""How many examples a property is tried on: few in a short run, many in a long one."""

from __future__ import annotations

import os


def examples(n: int) -> int:
    """Examples of a property: `n`, times METAPT_SOAK in a long run (`make soak`)."""
    return n * int(os.environ.get("METAPT_SOAK", "1"))
