"""How long a run waits for an engine that refuses jobs or does not answer, what it says of that, and when it gives up.

A scheduler is busy, restarts, or has no room for another job of this user: that is no reason to end a run, nor to stop
workers that compute.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from metapt_explore.engines.base import SubmitFailed
from metapt_explore.errors import UserError
from metapt_explore.progress.state import format_time

#: Seconds until a refused job is submitted again; twice as long each time, up to the most.
FIRST_WAIT_S, MOST_WAIT_S = 5.0, 60.0
#: Seconds without an answer after which a run says so.
SILENCE_S = 60.0


class Patience:
    """What a run has seen of its engine.

    Args:
        name: The engine.
        lost_s: Seconds without an answer, or without a job that is taken, after which a run without workers ends.
        notice: Tells the user.
    """

    def __init__(self, name: str, lost_s: float, notice: Callable[[str], None]) -> None:
        self._name, self._lost_s, self._notice = name, lost_s, notice
        self._has_accepted = False
        self._refused_since: float | None = None
        self._wait, self._next = FIRST_WAIT_S, float("-inf")

    @property
    def may_submit(self) -> bool:
        """Whether it is time to submit jobs."""
        return time.monotonic() >= self._next

    def accepted(self) -> None:
        """The engine has taken jobs."""
        self._has_accepted, self._refused_since, self._wait = True, None, FIRST_WAIT_S

    def refused(self, error: SubmitFailed, *, at_work: bool) -> None:
        """The engine has refused jobs: they are submitted again later.

        Args:
            error: What it said.
            at_work: Whether it has others, which go on.

        Raises:
            SubmitFailed: Where nothing is at work and it is no use to wait.
        """
        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
        is_final = not error.passing and not self._has_accepted
        if not at_work and (is_final or now - self._refused_since > self._lost_s):
            raise error
        self._notice(f"{error} It is asked again.")
        self._next, self._wait = now + self._wait, min(2 * self._wait, MOST_WAIT_S)

    def unanswered(self, seconds: float, why: str, *, at_work: bool) -> None:
        """The engine does not answer.

        Args:
            seconds: How long it has not.
            why: What its commands say.
            at_work: Whether a worker shows that it lives.

        Raises:
            UserError: Where none does, and it has been silent for long.
        """
        if seconds > self._lost_s and not at_work:
            raise UserError(
                f"{self._name} has not answered for {format_time(seconds)}, and no worker shows that it lives: {why}. "
                "Jobs that it still has end when they begin; the same command goes on with what is computed."
            )
        if seconds > SILENCE_S:
            self._notice(f"{self._name} does not answer: {why}. The run waits, and workers go on.")
