"""Named random streams: every random choice comes from one study seed and a name.

A stream does not depend on how many numbers another stream has used, so that adding a step,
resuming at a step or reordering work changes nothing else.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derived_seed(seed: int, *names: str | int) -> int:
    """Derives a 63-bit seed from a seed and a path of names.

    Args:
        seed: The study seed.
        *names: The path of the stream, such as ``"episodes", init_seed, step``.

    Returns:
        A non-negative integer; equal for equal arguments on every machine.

    Example:
        >>> derived_seed(0, "episodes", 1) == derived_seed(0, "episodes", 1)
        True
        >>> derived_seed(0, "episodes", 1) == derived_seed(0, "episodes", 2)
        False
    """
    path = "/".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "little") >> 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Returns the NumPy generator of a named stream (see `derived_seed`)."""
    return np.random.default_rng(derived_seed(seed, *names))


def torch_stream(seed: int, *names: str | int) -> torch.Generator:
    """Returns the torch generator (on the CPU) of a named stream (see `derived_seed`)."""
    import torch

    return torch.Generator().manual_seed(derived_seed(seed, *names))
