"""Which process is meant: a number alone is given to another process some day."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import psutil


def identity(pid: int | None = None) -> dict[str, Any]:
    """A process's number and the moment it began, which no other process has both of; this process when absent.

    Example:
        >>> is_alive(identity())
        True
    """
    pid = os.getpid() if pid is None else pid
    with suppress(psutil.Error):
        return {"pid": pid, "created": psutil.Process(pid).create_time()}
    return {"pid": pid, "created": 0.0}


def is_alive(who: Any) -> bool:
    """Whether the process of an identity is there still; False for anything that is none."""
    if not isinstance(who, dict) or not isinstance(who.get("pid"), int):
        return False
    with suppress(psutil.Error):
        process = psutil.Process(who["pid"])
        same = abs(process.create_time() - float(who.get("created", 0.0))) < 0.01
        return same and process.status() != psutil.STATUS_ZOMBIE
    return False


def kill(who: Any) -> None:
    """Ends a process and all that it started."""
    if not is_alive(who):
        return
    with suppress(psutil.Error):
        process = psutil.Process(who["pid"])
        for one in [*process.children(recursive=True), process]:
            with suppress(psutil.Error):
                one.kill()
