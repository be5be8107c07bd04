"""How far a study is, how long it will take, and whether it was asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from metapt_explore.errors import Cancelled, TimeIsUp

#: Seconds of measured work after which its rate is used.
MIN_MEASURED_S = 2.0
#: Share of all work that other processes must have done before the time left is told.
LEAST_SHARE = 0.02
#: Share of the planned work after which earlier measurements count half: a machine may be busy for some hours, and the
#: rest of the study will be like its last part, not like the whole.
HALF_LIFE = 0.1
#: Share of the planned work for which the planned rate speaks beside what was measured: the first units of a stage are
#: slower than those that follow, and would else multiply the time left.
TRUST = 0.03


@dataclass
class State:
    """What is known of a running study.

    Attributes:
        stage: Title of the stage that runs now.
        done: Its finished units.
        total: All its units.
        notices: What a user should know (memory ran out, a slower path, an unhealthy prompt).
        predicted_seconds: What the rest of the study was predicted to take when its model had been loaded.
        predicted_peak_mib: Predicted peak memory.
        failed: Parts that failed, as `FailedPart.as_dict` returns them.
        fraction: Share of the estimated work of what was asked for that is finished.
        seconds_left: Estimate; None until a rate is known.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    fraction: float = 0.0
    seconds_left: float | None = None
    notices: list[str] = field(default_factory=list)
    predicted_seconds: float | None = None
    predicted_peak_mib: float | None = None
    failed: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Progress:
    """Follows the stages of a study.

    Work is estimated in tokens sent through the language model, which is nearly all of the cost. The rate is measured
    over stages that were computed with the language model, mostly the last of them; before the first one it is the
    rate that was planned with, and without that there is no estimate of the time left.

    Args:
        listener: Called with the state whenever it has changed.
        should_stop: Asked at each unit; if it returns True, `Cancelled` is raised.
    """

    def __init__(
        self,
        listener: Callable[[State], None] = lambda state: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.state = State()
        #: Whether this process holds the study's lock (see `study.job_file.working_on`).
        self.holds_lock = False
        #: Whether parts of the study were not asked for and are not computed yet.
        self.left_out = False
        #: When to stop, by `time.monotonic`.
        self.deadline: float | None = None
        self.tell, self._should_stop = listener, should_stop
        self._planned: dict[str, float] = {}
        self._finished: set[str] = set()
        self._current: str | None = None
        self._with_model = False
        self._computed_work = 0.0
        self._computed_seconds = 0.0
        self._began = 0.0
        self._last = self._least = 0.0
        self._done_before: int | None = None
        #: Finished shares of stages that other processes compute; None while this process computes.
        self._elsewhere: dict[str, float] | None = None
        self._elsewhere_began = self._finished_then = 0.0
        #: What a unit of planned work takes where several processes share it; None where nobody knows.
        self._shared_rate: float | None = None
        #: What a unit of planned work takes, by the plan; None where nobody knows.
        self.seconds_for_work: float | None = None
        #: What an earlier run of the same had finished: shown until the finished stages are found again.
        self.fraction_before = 0.0

    def plan(self, works: dict[str, float], *, seconds_for_work: float | None = None) -> None:
        """Sets the estimated work of each stage, by key.

        Args:
            works: In any unit.
            seconds_for_work: What a unit of it takes on this machine; None where nobody knows.
        """
        self._least = 0.0
        self._plan(works, seconds_for_work)

    def plan_again(self, works: dict[str, float], *, seconds_for_work: float | None = None) -> None:
        """Sets the work of the same run where more is known of it; the bar does not go back.

        Args:
            works: As for `plan`.
            seconds_for_work: As for `plan`.
        """
        self._least = self.state.fraction
        self._plan(works, seconds_for_work)

    @property
    def planned(self) -> dict[str, float]:
        """The planned work of each stage, by key."""
        return dict(self._planned)

    def plan_shared(self, works: dict[str, float], *, rate: float | None) -> None:
        """Sets the work of the same run where other processes do it side by side.

        Args:
            works: As for `plan`.
            rate: Seconds for a unit of it, all of them together; None where nobody knows.
        """
        self.plan_again(works)  # what this process takes matters no more
        self._shared_rate = rate
        if self._elsewhere is not None:  # what was measured was in other units
            self._elsewhere_began, self._finished_then = time.monotonic(), self._finished_work()
        self._publish()

    def _plan(self, works: dict[str, float], seconds_for_work: float | None) -> None:
        self._planned = dict(works)
        self.seconds_for_work = seconds_for_work
        self._computed_seconds = self._computed_work = 0.0
        self._shared_rate = None
        self._publish()

    def found(self, keys: Iterable[str]) -> None:
        """Stages that an earlier run finished."""
        self._finished.update(keys)
        self.fraction_before = 0.0
        self._publish()

    def predicted(self, seconds: float, peak_mib: float) -> None:
        """Sets the predicted cost of the rest of the study."""
        self.state.predicted_seconds, self.state.predicted_peak_mib = seconds, peak_mib
        self._publish()

    def leave_out(self, keys: Iterable[str]) -> None:
        """Removes stages that will not be computed from the planned work."""
        for key in keys:
            self._planned.pop(key, None)
        self._publish()

    def tell_failed(self, failed: list[dict[str, Any]]) -> None:
        """Sets the parts that have failed so far."""
        self.state.failed = failed
        self._publish()

    def begin(self, key: str, title: str, total: int, *, with_model: bool = True) -> None:
        """A stage starts to be computed.

        Args:
            key: What it is planned under.
            title: What people call it.
            total: Its units.
            with_model: Whether it runs the language model, whose rate the time left goes by.
        """
        self._with_model = with_model
        self._current, self._done_before = key, None
        self._began = self._last = time.monotonic()
        if with_model and key in self._planned:
            self.fraction_before = 0.0  # What is finished was found by now.
        self.state.stage, self.state.done, self.state.total = title, 0, total
        self._publish()

    def advance(self, done: int) -> None:
        """`done` units of the current stage are finished; those of the first call were finished before it began."""
        self._done_before = done if self._done_before is None else self._done_before
        self._last = time.monotonic()
        self.state.done = done
        self._publish()
        self.stop_if_asked()

    def at_work(self, title: str, stages: Mapping[str, float], *, done: int, total: int) -> None:
        """Other processes compute stages side by side; may raise to stop.

        Args:
            title: What people call what they do.
            stages: The finished share of each stage, by its key.
            done: Stages that are finished.
            total: All of them.
        """
        first = self._elsewhere is None
        self._elsewhere = dict(stages)
        if first:
            self._elsewhere_began, self._finished_then = time.monotonic(), self._finished_work()
        self.state.stage, self.state.done, self.state.total = title, done, total
        self._publish()
        self.stop_if_asked()

    def back_here(self) -> None:
        """This process computes again; what others computed is finished or given up."""
        self._elsewhere = None

    def stop_if_asked(self) -> None:
        """Ends the work where it was asked to stop, another host has taken it over, or its time is over.

        Raises:
            Cancelled: Saying which.
        """
        if self._should_stop():
            raise Cancelled("The study was asked to stop.")
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimeIsUp("The time that the study was given is over.")

    def notice(self, message: str) -> None:
        """Adds a notice for the user, once."""
        if message not in self.state.notices:
            self.state.notices.append(message)
            self.tell(self.state)

    def finish(self, key: str) -> None:
        """A stage is finished, now or by an earlier run."""
        if self._current == key:
            if self._with_model:
                work = self._planned.get(key, 0.0) - self._before()
                decay = 0.5 ** (work / (HALF_LIFE * (sum(self._planned.values()) or 1.0)))
                self._computed_seconds = decay * self._computed_seconds + time.monotonic() - self._began
                self._computed_work = decay * self._computed_work + work
            self._current = None
        self._finished.add(key)
        self._publish()

    def _before(self) -> float:
        """Work of the current stage that an earlier attempt did, which took none of these seconds."""
        if self._current is None or not self.state.total:
            return 0.0
        return self._planned.get(self._current, 0.0) * (self._done_before or 0) / self.state.total

    def _publish(self) -> None:
        total = sum(self._planned.values()) or 1.0
        if self._elsewhere is not None:
            finished = min(total, max(self._finished_work(), self.fraction_before * total))
            self.state.fraction = max(self._least, finished / total)
            seconds, work = time.monotonic() - self._elsewhere_began, finished - self._finished_then
            # Workers begin by loading models: from the first steps after it nobody can tell how long the rest takes.
            measured = seconds > MIN_MEASURED_S and work > LEAST_SHARE * total
            shared = seconds / work if measured else self._shared_rate
            self.state.seconds_left = None if shared is None else (total - finished) * shared
            self.tell(self.state)
            return
        part = 0.0
        if self._current is not None and self.state.total:
            part = self._planned.get(self._current, 0.0) * self.state.done / self.state.total
        finished = sum(self._planned.get(key, 0.0) for key in self._finished) + part
        finished = min(total, max(finished, self.fraction_before * total))
        self.state.fraction = max(self._least, finished / total)
        rate = self._rate(total, part)
        self.state.seconds_left = None if rate is None else (total - finished) * rate
        self.tell(self.state)

    def _finished_work(self) -> float:
        """Planned work that is finished, here and elsewhere."""
        shares = {**(self._elsewhere or {}), **dict.fromkeys(self._finished, 1.0)}
        return sum(work * shares.get(key, 0.0) for key, work in self._planned.items())

    def _rate(self, total: float, part: float) -> float | None:
        """Seconds for a unit of work: as planned, corrected by what has run; None where neither is known."""
        seconds, work = self._computed_seconds, self._computed_work
        if self._current is not None and self._with_model:
            # Only up to the last finished unit: the seconds of one at work belong to work that is not counted yet.
            seconds, work = seconds + self._last - self._began, work + part - self._before()
        if self.seconds_for_work is not None:
            trusted = TRUST * total
            return (seconds + self.seconds_for_work * trusted) / (work + trusted) if work > 0 else self.seconds_for_work
        return seconds / work if work > 0 and seconds > MIN_MEASURED_S else None


def format_time(seconds: float | None) -> str:
    """A duration in words.

    Example:
        >>> format_time(75), format_time(None), format_time(4000)
        ('1 min 15 s', '…', '1 h 06 min')
    """
    if seconds is None:
        return "…"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
