"""What an engine is: it starts `metapt make` somewhere, says whether it still runs, and ends it.

Everything else (which cells, when, again) is the coordinator's, and how a worker stands is in the workspace's files; so
an engine needs neither results nor a channel of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from metapt_explore.errors import UserError

#: A job that waits, runs, or is no more; or the engine does not answer.
JobState = Literal["waiting", "running", "gone", "unknown"]


class SubmitFailed(UserError):
    """An engine took none of the jobs.

    Args:
        message: What it said.
        passing: Whether it may take them later: it was busy, or full.
    """

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


@dataclass(frozen=True)
class Job:
    """What an engine is asked to run.

    Attributes:
        study: The study's name.
        workspace: Folder of the workspace, as the workers see it.
        batch: Name of the batch; its files lie in the study's folder.
        log: Where its output goes.
    """

    study: str
    workspace: Path
    batch: str
    log: Path

    def command(self, python: str | None = None) -> list[str]:
        """The command line of its worker.

        Args:
            python: The Python of the worker; this one when absent.
        """
        words = [python or sys.executable, "-m", "metapt_explore", "make", self.study, "--batch", self.batch]
        return [*words, "--workspace", str(self.workspace)]


class Engine(Protocol):
    """Starts workers.

    Attributes:
        name: What `--on` calls it.
        slots: Jobs that it runs side by side.
        poll_s: Seconds between two looks at its jobs.
        trouble: Why it does not answer; empty where it does.
    """

    name: str
    slots: int
    poll_s: float
    trouble: str

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Starts a worker for each job.

        Returns:
            A handle for each that it took, at least one: enough for another process to ask for its state. Jobs behind
            those were not taken.

        Raises:
            SubmitFailed: Where the engine takes none.
        """
        ...

    def states(self, handles: Sequence[str]) -> dict[str, JobState]:
        """How jobs stand, those of an earlier process of the same engine among them."""
        ...

    def cancel(self, handles: Sequence[str], *, now: bool = False) -> None:
        """Asks jobs to stop with a checkpoint (SIGTERM); with `now` they are killed. No error for one that is gone."""
        ...

    def end_of(self, handle: str) -> str:
        """How a job that is gone ended, in words for a message (``exit code 1``); empty if nobody knows."""
        ...

    def close(self) -> None:
        """Frees what the engine holds; workers are gone by then."""
        ...
