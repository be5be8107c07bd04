"""What a run asks of an engine: to make stages in other processes, before the run finds and lists them in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from metapt_explore.stages.base import Stage


class Elsewhere(Protocol):
    """Makes stages in other processes (`engines.coordinator`)."""

    def make(self, stages: Sequence[Stage]) -> None:
        """Returns when each of the stages is made or cannot be made.

        Raises:
            Cancelled: Where the run was asked to stop; its workers have stopped.
        """
        ...

    def refuse(self, stage: Stage) -> None:
        """Raises where a worker could not make the stage, so that this process does not try it.

        Raises:
            UserError: With the worker's reason.
        """
        ...
