"""Numbers that the host knows, on the model's device: sent without waiting, and what never changes only once.

A graphics card works while Python goes on to the next operation. It falls idle where Python waits for it: when a number
is read back (`float(tensor)`), or when memory is copied that the system may move meanwhile. So numbers go out of pinned
memory, and a step reads nothing back (`tests/test_no_waiting.py` counts).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

#: Constants that are remembered: tails of templates, label words, positions.
CONSTANTS = 256


def send(values: Tensor, device: torch.device) -> Tensor:
    """Copies a host's tensor to a device; on a card Python does not wait for the copy.

    Args:
        values: On the CPU; nobody writes into it afterwards.
        device: Where to; a CPU gets the tensor itself.

    Example:
        >>> send(torch.tensor([1, 2]), torch.device("cpu")).tolist()
        [1, 2]
    """
    if device.type == "cpu":
        return values
    return (values.pin_memory() if device.type == "cuda" else values).to(device, non_blocking=True)


def constant(values: Sequence[int], device: torch.device) -> Tensor:
    """Whole numbers that never change, `[values]`; the same tensor for equal arguments, so nobody may write into it.

    Args:
        values: The numbers.
        device: Where they are needed.

    Example:
        >>> constant([4, 2], torch.device("cpu")) is constant([4, 2], torch.device("cpu"))
        True
    """
    return _constant(tuple(values), device)


@lru_cache(maxsize=CONSTANTS)
def _constant(values: tuple[int, ...], device: torch.device) -> Tensor:
    return send(torch.tensor(values, dtype=torch.long), device)
