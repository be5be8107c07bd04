"""Numbers of a step that the host wants to know: at once from a CPU, from a graphics card now and then.

Reading a number back makes Python wait until the card has finished, and the card then waits for Python. So losses,
gradient norms and health of a step stay on the card until a reading is due (every half second, and before a
checkpoint): what is done with them, such as a line of metrics or a notice, is done then, in the order of the steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

#: Seconds between two readings from a card: a curve on a page moves no slower.
READ_EVERY_S = 0.5

#: What is done with numbers that were read.
Use = Callable[[list[float]], None]


class HostReads:
    """Reads numbers from the device, in the order in which they were asked for.

    Args:
        device: Where the numbers are.

    Example:
        >>> seen: list[float] = []
        >>> reads = HostReads(torch.device("cpu"))
        >>> reads.take(torch.tensor([1.0, 2.0]), seen.extend)
        >>> seen
        [1.0, 2.0]
    """

    def __init__(self, device: torch.device) -> None:
        self._at_once = device.type == "cpu"
        self._waiting: list[tuple[Tensor, Use]] = []
        self._read_at = time.monotonic()

    def take(self, numbers: Tensor, use: Use) -> None:
        """Has numbers read: at once on a CPU, else with the next reading.

        Args:
            numbers: fp32 `[numbers]`; nobody writes into it afterwards.
            use: Called with the numbers; may raise to stop, then nothing of later steps is used.
        """
        if self._at_once:
            use(numbers.tolist())
        else:
            self._waiting.append((numbers, use))

    def read_if_due(self) -> None:
        """Reads what waits where the last reading is `READ_EVERY_S` ago; called between steps."""
        if self._waiting and time.monotonic() - self._read_at >= READ_EVERY_S:
            self.read()

    def read(self) -> None:
        """Reads what waits, with a single copy."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        values = torch.cat([numbers for numbers, _ in waiting]).tolist()
        self._read_at = time.monotonic()
        first = 0
        for numbers, use in waiting:
            use(values[first : first + len(numbers)])
            first += len(numbers)
