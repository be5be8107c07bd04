"""Progress of a study in a terminal: two bars, or plain lines where the output is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars

from metapt_explore.errors import Cancelled
from metapt_explore.progress.console import say
from metapt_explore.progress.failed_part import FailedPart
from metapt_explore.progress.state import Progress, State, format_time


class TerminalView:
    """Two bars, the study and what runs now; plain lines where the output is not a terminal."""

    def __init__(self, console: Console, *, bars: bool = True) -> None:
        self.console = console
        self.began = time.monotonic()
        self._bars: Bars | None = None
        self._stage = ""
        self._notices = self._failed = 0
        self._predicted: float | None = None
        if bars and console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
            self._bars = Bars(*columns, console=console, transient=True)
            self._whole = self._bars.add_task("study", total=1.0, note="")
            self._now = self._bars.add_task("", total=1.0, note="")
            self._bars.start()

    def show(self, state: State) -> None:
        """Draws the state."""
        if state.stage != self._stage:
            self._stage = state.stage
            elapsed = format_time(time.monotonic() - self.began)
            left = "" if state.seconds_left is None else f", about {format_time(state.seconds_left)} left"
            say(self.console, f"[{elapsed}] {state.stage}{left}")
        if state.predicted_seconds is not None and state.predicted_seconds != self._predicted:
            self._predicted = state.predicted_seconds
            memory = (state.predicted_peak_mib or 0) / 1024
            say(self.console, f"Predicted: about {format_time(self._predicted)} more, peak memory {memory:.1f} GiB.")
        for notice in state.notices[self._notices :]:
            say(self.console, f"Note: {notice}")
        self._notices = len(state.notices)
        for part in state.failed[self._failed :]:
            say(self.console, f"Failed: {FailedPart(**part).sentence} The other parts go on.")
        self._failed = len(state.failed)
        if self._bars is not None:
            self._bars.update(self._whole, completed=state.fraction, note=f"{format_time(state.seconds_left)} left")
            note = f"{state.done} of {state.total}"
            self._bars.update(self._now, description="now", total=state.total or 1, completed=state.done, note=note)

    def close(self) -> None:
        """Takes the bars away."""
        if self._bars is not None:
            self._bars.stop()


@contextmanager
def terminal_progress(console: Console, *, quiet: bool = False) -> Iterator[Progress | None]:
    """Shows the progress of what the body computes; Ctrl-C becomes `Cancelled`.

    Args:
        console: Where to show it.
        quiet: Show nothing and yield None, for commands that print JSON.
    """
    view = None if quiet else TerminalView(console)
    try:
        yield None if view is None else Progress(view.show)
    except KeyboardInterrupt:
        raise Cancelled from None
    finally:
        if view is not None:
            view.close()
