"""How a study's process ended, for whoever reads it."""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Exit:
    """How a study's process ended.

    Attributes:
        code: Its exit code; None if another process started it.
        cancelled: Whether it was asked to stop.
    """

    code: int | None
    cancelled: bool = False

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended it, or may have."""
        return self.code is None or self.code < 0

    def describe(self, attempts: int) -> str:
        """Says how a process ended that did not say so itself.

        Args:
            attempts: How often it was started again.

        Example:
            >>> Exit(3).describe(0)[:32]
            'Its process ended with exit code'
        """
        again = f", {attempts + 1} times" if attempts else ""
        advice = "What was computed is kept; Resume goes on from there."
        if self.was_killed:
            signal_name = "a signal"
            with suppress(ValueError):
                signal_name = signal.Signals(-(self.code or 0)).name
            return f"Its process was killed by {signal_name}{again}; often the machine ran out of memory. {advice}"
        return f"Its process ended with exit code {self.code} and did not say why; see the log. {advice}"
