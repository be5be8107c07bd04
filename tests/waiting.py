"""Waiting for what happens in another process: for the event, never for a time."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

#: Seconds after which a test gives up: far more than a busy machine takes, so that only a hung one gets there.
LIMIT = 300.0
#: Seconds between two looks.
LOOK_EVERY = 0.02


def wait(until: Callable[[], object], what: object = "", beside: subprocess.Popen[Any] | None = None) -> None:
    """Returns as soon as something holds.

    Args:
        until: Asked again and again.
        what: What is waited for, for the message.
        beside: A process that must not end before.
    """
    end = time.monotonic() + LIMIT
    while not until():
        assert beside is None or beside.poll() is None, f"the process ended with {beside.returncode} before {what}"
        assert time.monotonic() < end, f"waited {LIMIT:.0f} s for nothing: {what() if callable(what) else what}"
        time.sleep(LOOK_EVERY)
