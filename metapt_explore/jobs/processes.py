"""Which process is meant: (pid, create_time), since the system reuses pids."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, TypedDict

import psutil


class ProcessIdentity(TypedDict):
    """A process: no other one has both.

    Attributes:
        pid: Its number.
        created: When it began, in seconds since 1970; 0 if the system does not say.
    """

    pid: int
    created: float


def identity(pid: int | None = None) -> ProcessIdentity:
    """The identity of a process; of this one when absent.

    Example:
        >>> is_alive(identity())
        True
    """
    pid = os.getpid() if pid is None else pid
    with suppress(psutil.Error):
        return {"pid": pid, "created": psutil.Process(pid).create_time()}
    return {"pid": pid, "created": 0.0}


def is_alive(process: Any) -> bool:
    """Whether the process of an identity still runs; False for anything that is no identity."""
    if not isinstance(process, dict) or not isinstance(process.get("pid"), int):
        return False
    with suppress(psutil.Error):
        running = psutil.Process(process["pid"])
        same = abs(running.create_time() - float(process.get("created", 0.0))) < 0.01
        return bool(same and running.status() != psutil.STATUS_ZOMBIE)
    return False


def kill(process: ProcessIdentity) -> None:
    """Kills a process and all that it started; does nothing if it has ended."""
    if not is_alive(process):
        return
    with suppress(psutil.Error):
        running = psutil.Process(process["pid"])
        for each in [*running.children(recursive=True), running]:
            with suppress(psutil.Error):
                each.kill()
