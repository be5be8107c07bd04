"""Ending the processes of this host."""

from __future__ import annotations

from contextlib import suppress

import psutil

from metapt_explore.storage.processes import ProcessIdentity, runs_here


def kill(process: ProcessIdentity) -> None:
    """Kills a process and all that it started; does nothing if it has ended, or is of another host."""
    if not runs_here(process):
        return
    with suppress(psutil.Error):
        running = psutil.Process(process["pid"])
        for each in [*running.children(recursive=True), running]:
            with suppress(psutil.Error):
                each.kill()
