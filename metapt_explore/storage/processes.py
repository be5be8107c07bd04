"""Which process is meant: its host, its number and when it began, since hosts have the same numbers and reuse them."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from typing import Any, NotRequired, TypedDict

import psutil

from metapt_explore.storage.hosts import Host, this_host


class ProcessIdentity(TypedDict):
    """A process: no other one has all of it.

    Attributes:
        pid: Its number.
        created: When it began, in seconds since 1970; 0 if the system does not say.
        host: Name of its host.
        boot: The host's kernel, see `hosts.Host`.
        namespace: Where its number counts.
        machine: What stays over restarts of its machine.
    """

    pid: int
    created: float
    host: NotRequired[str]
    boot: NotRequired[str]
    namespace: NotRequired[str]
    machine: NotRequired[str]


def identity(pid: int | None = None) -> ProcessIdentity:
    """The identity of a process of this host; of this one when absent.

    Example:
        >>> runs_here(identity())
        True
    """
    host = this_host()
    created = _own_beginning(os.getpid()) if pid is None else _beginning(pid)
    pid = os.getpid() if pid is None else pid
    return {
        "pid": pid,
        "created": created,
        "host": host.name,
        "boot": host.boot,
        "namespace": host.namespace,
        "machine": host.machine,
    }


def _beginning(pid: int) -> float:
    with suppress(psutil.Error):
        return float(psutil.Process(pid).create_time())
    return 0.0


#: Asked once: a process must not become another one where the clock is set.
_own_beginning = cache(_beginning)


def host_of(process: Any) -> Host:
    """The host of a process; this one if the identity is of a version that knew no hosts."""
    here = this_host()
    if not isinstance(process, dict) or "boot" not in process:
        return here
    name, namespace, machine = (str(process.get(key, "")) for key in ("host", "namespace", "machine"))
    return Host(name, str(process["boot"]), namespace, machine)


def is_here(process: Any) -> bool:
    """Whether the number of a process is one of ours: the same kernel, and numbers count in the same place."""
    host, here = host_of(process), this_host()
    return (host.boot, host.namespace) == (here.boot, here.namespace)


def is_same(one: Any, other: Any) -> bool:
    """Whether two identities mean one process.

    Example:
        >>> is_same(identity(), identity()), is_same(identity(), {**identity(), "boot": "another"}), is_same({}, {})
        (True, False, False)
    """
    if not (isinstance(one, dict) and isinstance(other, dict) and isinstance(one.get("pid"), int)):
        return False
    hosts = [(host_of(each).boot, host_of(each).namespace, each.get("pid")) for each in (one, other)]
    return hosts[0] == hosts[1] and abs(_created(one) - _created(other)) < 0.01


def runs_here(process: Any) -> bool:
    """Whether the process of an identity runs on this host; False for anything that is no identity of it."""
    if not isinstance(process, dict) or not isinstance(process.get("pid"), int) or not is_here(process):
        return False
    with suppress(psutil.Error, OverflowError):
        running = psutil.Process(process["pid"])
        same = abs(running.create_time() - _created(process)) < 0.01
        return bool(same and running.status() != psutil.STATUS_ZOMBIE)
    return False


def _created(process: dict[str, Any]) -> float:
    created = process.get("created", 0.0)
    return float(created) if isinstance(created, int | float) else 0.0
