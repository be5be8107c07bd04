"""Progress of a study in a notebook: one bar a cell, in its place, and what was done when the cell is."""

from __future__ import annotations

import time
from html import escape
from typing import Any

from metapt_explore.runs.progress import State, say_time

#: Seconds between two drawings of one stage.
PAUSE = 0.2


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class NotebookView:
    """A bar for the study and a line for what runs now; when the cell is done, a line for all of it.

    Args:
        shell: IPython's; the running one when absent.
        display: Shows a bundle of forms and returns a handle whose ``update`` replaces it; IPython's when absent.
    """

    def __init__(self, shell: Any = None, display: Any = None) -> None:
        if shell is None or display is None:
            from IPython import get_ipython
            from IPython.display import display as ipython_display

            shell, display = shell or get_ipython(), display or ipython_display
        self._display, self._shell = display, shell
        self._handle: Any = None
        # Of each state (a run of a whole study has one of its own): itself, how far it was, notices that were told.
        self._known: dict[int, tuple[State, tuple[str, int, int], int]] = {}
        shell.events.register("post_run_cell", self._cell_is_done)

    def show(self, state: State) -> None:
        """Draws the state; what was found and not computed draws nothing."""
        now, place = time.monotonic(), (state.stage, state.done, state.total)
        _, before, told = self._known.get(id(state), (state, ("", 0, 0), 0))
        self._known[id(state)] = state, place, len(state.notices)
        moved, new = place != before, state.notices[told:]
        if not moved and not new:
            return
        if self._handle is None:
            self._began, self._drawn = now, 0.0
            self._stages: list[tuple[str, float]] = []
            self._notices: list[str] = []
            self._handle = self._display(_form("", "…"), raw=True, display_id=True)
        self._notices += new
        if moved and (not self._stages or self._stages[-1][0] != state.stage):
            self._stages.append((state.stage, now))
            self._drawn = 0.0
        if now - self._drawn < PAUSE:
            return
        self._drawn = now
        parts = [state.stage, f"{state.done} of {state.total}" if state.total > 1 else ""]
        parts += [f"about {say_time(state.seconds_left)} left" if state.seconds_left is not None else ""]
        bar = f'<progress value="{state.fraction:.3f}" max="1" style="width: 12em"></progress> '
        self._handle.update(_form(bar, " · ".join(part for part in parts if part)), raw=True)

    def _cell_is_done(self, result: Any = None) -> None:
        """Where the bar was: what was done, and how long it took."""
        if self._handle is None:
            return
        handle, self._handle, now = self._handle, None, time.monotonic()
        ends = [*(began for _, began in self._stages[1:]), now]
        took = [f"{name}: {say_time(end - began)}" for (name, began), end in zip(self._stages, ends, strict=True)]
        whole = f"{len(took)} stage{'s' * (len(took) != 1)} in {say_time(now - self._began)}"
        lines = "".join(f"<div>{escape(line)}</div>" for line in took)
        notes = "".join(f"<div>Note: {escape(note)}</div>" for note in self._notices)
        html = f"<details><summary>{whole}</summary>{lines}</details>{notes}"
        plain = "\n".join([whole, *(f"Note: {note}" for note in self._notices)])
        handle.update({"text/plain": plain, "text/html": _small(html)}, raw=True)


def _form(bar: str, said: str) -> dict[str, str]:
    return {"text/plain": said, "text/html": _small(bar + escape(said))}


def _small(html: str) -> str:
    return f'<div style="font-size: 0.9em; opacity: 0.8">{html}</div>'
