"""Progress of a study in a notebook: one bar a cell, in its place, and what was done when the cell is."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from html import escape
from typing import Any

from metapt_explore.progress.state import State, format_time

#: Seconds between two drawings of one stage.
DRAW_EVERY_S = 0.2


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
        display: Shows a bundle of formats and returns a handle whose ``update`` replaces it; IPython's when absent.
    """

    def __init__(self, shell: Any = None, display: Any = None) -> None:
        if shell is None or display is None:
            from IPython import get_ipython
            from IPython.display import display as ipython_display

            shell, display = shell or get_ipython(), display or ipython_display
        self._display, self._shell = display, shell
        self._handle: Any = None
        # By id of a state (a run of a whole study has one of its own): the state, how far it was, notices shown so far.
        self._seen: dict[int, tuple[State, tuple[str, int, int], int]] = {}

    def show(self, state: State) -> None:
        """Draws the state; a stage that was found finished draws nothing."""
        now, position = time.monotonic(), (state.stage, state.done, state.total)
        _, before, shown = self._seen.get(id(state), (state, ("", 0, 0), 0))
        self._seen[id(state)] = state, position, len(state.notices)
        moved, new = position != before, state.notices[shown:]
        if not moved and not new:
            return
        if self._handle is None:
            self._began, self._drawn = now, -math.inf
            self._stages: list[tuple[str, float]] = []
            self._notices: list[str] = []
            self._handle = self._display(_form("…"), raw=True, display_id=True)
            self._shell.events.register("post_run_cell", self._cell_is_done)
        self._notices += new
        begins = moved and (not self._stages or self._stages[-1][0] != state.stage)
        if begins:
            self._stages.append((state.stage, now))
        if not begins and not new and now - self._drawn < DRAW_EVERY_S:
            return
        self._drawn = now
        parts = [state.stage, f"{state.done} of {state.total}" if state.total > 1 else ""]
        parts += [f"about {format_time(state.seconds_left)} left" if state.seconds_left is not None else ""]
        bar = f'<progress value="{state.fraction:.3f}" max="1" style="width: 12em"></progress> '
        self._handle.update(_form(" · ".join(part for part in parts if part), bar=bar, notices=self._notices), raw=True)

    def _cell_is_done(self, result: Any = None) -> None:
        """Replaces the bar by what was done, how long it took, and the notices."""
        self._shell.events.unregister("post_run_cell", self._cell_is_done)
        handle, self._handle, now = self._handle, None, time.monotonic()
        starts = [began for _, began in self._stages]
        ends = [*starts[1:], now][: len(starts)]
        took = [f"{name}: {format_time(end - began)}" for (name, began), end in zip(self._stages, ends, strict=True)]
        whole = f"{len(took)} stage{'s' * (len(took) != 1)} in {format_time(now - self._began)}" if took else ""
        if getattr(result, "success", True) is False and whole:
            whole = f"Stopped in stage {len(took)}, after {format_time(now - self._began)}"
        lines = "".join(f"<div>{escape(line)}</div>" for line in took)
        html = f"<details><summary>{whole}</summary>{lines}</details>" if took else ""
        handle.update(_form(whole, notices=self._notices, html=html), raw=True)


def _form(text: str, *, bar: str = "", notices: Sequence[str] = (), html: str | None = None) -> dict[str, str]:
    """One output as plain text and as HTML; names and notices are text in both."""
    notes = "".join(f"<div>Note: {escape(notice)}</div>" for notice in notices)
    shown = bar + escape(text) if html is None else html
    return {
        "text/plain": "\n".join(filter(None, [text, *(f"Note: {notice}" for notice in notices)])),
        "text/html": f'<div style="font-size: 0.9em; opacity: 0.8">{shown}{notes}</div>',
    }
