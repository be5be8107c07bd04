"""Whether a process lives that another host started: each one that works in a workspace shows a heartbeat.

::

    workspace/processes/<host>-<pid>.json    its identity, and a number that grows every few seconds

While it works, a process holds a lock of the kernel on its file, and a thread counts up. Who wants to know whether it
lives asks, in this order: is it one of ours (then the system knows)? Is its file locked (then it lives)? Is its kernel
ours (then the lock is certain, and it is dead)? Was its host this machine before a restart (dead, too)? Else its number
is watched: only one that has stood still for `LEASE_S` of *our* time, in looks that are not far apart, is dead. Clocks
of hosts are never compared.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metapt_explore.storage.disk import hold, lock_state
from metapt_explore.storage.files import temporary_name
from metapt_explore.storage.hosts import this_host
from metapt_explore.storage.processes import host_of, identity, is_here, is_same, runs_here

FOLDER = "processes"
#: Seconds between two heartbeats.
BEAT_S = 5.0
#: Seconds without one after which a process of another host counts as dead: a busy machine may be late.
LEASE_S = 120.0
#: Two looks that are further apart count as so many seconds: meanwhile both hosts may have slept.
LOOK_GAP_S = 10.0


class Presence:
    """The file of this process in a workspace.

    Args:
        workspace: The workspace's folder.
    """

    def __init__(self, workspace: Path) -> None:
        self.file = file_of(workspace, identity())
        self.holders = 0
        #: Called after each heartbeat.
        self.on_beat: set[Callable[[], None]] = set()
        self._count, self._descriptor = 0, -1
        # The heartbeat must never write to a number that was closed and belongs to another file by now.
        self._writing = threading.Lock()
        self.show()

    def show(self) -> None:
        """Writes the file, locked, under a temporary name first: nobody sees it without its lock."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(self.file)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            hold(descriptor)
            os.write(descriptor, self._content())
            temporary.replace(self.file)
        except BaseException:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
            raise
        self.forget()
        self._descriptor = descriptor

    def beat(self) -> None:
        """Counts up; a file that was deleted is not written again (its workspace may be gone)."""
        self._count += 1
        with self._writing, suppress(OSError):  # a full or lost disk: the next beat may succeed
            if self._descriptor >= 0:
                os.lseek(self._descriptor, 0, os.SEEK_SET)
                os.write(self._descriptor, self._content())
                os.fsync(self._descriptor)  # other hosts see what is on the server

    def end(self) -> None:
        """Removes the file."""
        with suppress(OSError):
            self.file.unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        """Closes the file without removing it."""
        with self._writing:
            if self._descriptor >= 0:
                with suppress(OSError):
                    os.close(self._descriptor)
            self._descriptor = -1

    def forget_in_child(self) -> None:
        """The same in a forked process, where a thread that is not there may hold our lock."""
        self._writing = threading.Lock()
        self.forget()

    def _content(self) -> bytes:
        # Always of the same length: it is written over itself.
        return (json.dumps({**identity(), "beat": f"{self._count:012d}"}) + "\n").encode()


def file_of(workspace: Path, process: Any) -> Path:
    """The file by which a process shows that it works in a workspace."""
    return workspace / FOLDER / f"{host_of(process).key}-{process['pid']}.json"


_guard = threading.RLock()
_presences: dict[Path, Presence] = {}
_heart: threading.Thread | None = None


@contextmanager
def present(workspace: Path) -> Iterator[Presence]:
    """Shows this process in a workspace while the body runs.

    Args:
        workspace: The workspace's folder.
    """
    presence = enter(workspace)
    try:
        yield presence
    finally:
        leave(workspace)


def enter(workspace: Path) -> Presence:
    """Shows this process in a workspace until `leave` was called as often."""
    global _heart
    with _guard:
        presence = _presences.get(workspace)
        if presence is None:
            presence = _presences[workspace] = Presence(workspace)
            _remove_dead(workspace)
        presence.holders += 1
        if _heart is None or not _heart.is_alive():
            _heart = threading.Thread(target=_beat, name="metapt-heartbeat", daemon=True)
            _heart.start()
        return presence


def leave(workspace: Path) -> None:
    """Takes back one `enter`."""
    with _guard:
        presence = _presences.get(workspace)
        if presence is None:
            return
        presence.holders -= 1
        if presence.holders <= 0:
            del _presences[workspace]
            presence.end()


def _beat() -> None:
    """The heartbeat of all workspaces in which this process works; ends with the last."""
    global _heart
    while True:
        time.sleep(BEAT_S)
        with _guard:
            if not _presences:
                _heart = None
                return
            presences = list(_presences.values())
        for presence in presences:
            for step in (presence.beat, *presence.on_beat):
                # Whatever fails now (a server that does not answer) may succeed at the next beat; a thread that ended
                # would let other hosts take over what lives.
                with suppress(Exception):
                    step()


def _remove_dead(workspace: Path) -> None:
    """Removes files of processes that were killed."""
    for file in (workspace / FOLDER).glob("*.json"):
        process = read(file)
        if process is not None and not is_alive(process, workspace):
            file.unlink(missing_ok=True)


def _after_fork() -> None:
    """A forked process is another one, and shows itself anew."""
    global _heart, _guard
    _guard = threading.RLock()
    for presence in _presences.values():
        presence.forget_in_child()
    _presences.clear()
    _heart = None


def _at_exit() -> None:
    with _guard:
        for presence in _presences.values():
            presence.end()
        _presences.clear()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# -------------------------------------------------------------------------------------- of others


@dataclass
class Watched:
    """A heartbeat as it was seen last.

    Attributes:
        content: What the file held.
        silent_s: Seconds since it last changed, as far as somebody looked.
        looked: When somebody looked last, by `time.monotonic`.
        beating: Whether it was seen to change.
    """

    content: bytes
    silent_s: float
    looked: float
    beating: bool


_watched: dict[Path, Watched] = {}


def read(file: Path) -> dict[str, Any] | None:
    """The identity in a file; None if it is missing or half written."""
    try:
        return identity_in(file.read_bytes())
    except OSError:
        return None


def identity_in(content: bytes) -> dict[str, Any] | None:
    """The identity that the content of such a file tells; None if it is half written."""
    try:
        record = json.loads(content)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("pid"), int) else None


def is_alive(process: Any, workspace: Path) -> bool:
    """Whether a process lives, be it of this host or of another that works in the same workspace.

    Args:
        process: Its identity; anything else is not alive.
        workspace: The workspace's folder.
    """
    if not isinstance(process, dict) or not isinstance(process.get("pid"), int):
        return False
    if is_here(process):
        return runs_here(process)
    file = file_of(workspace, process)
    state = lock_state(file)
    if state == "held":
        return True
    if state == "free" and host_of(process).boot == this_host().boot:
        return False
    if host_of(process).was_restarted_as(this_host()):
        return False
    return _beats(file, process)


def _beats(file: Path, process: dict[str, Any]) -> bool:
    """Whether a heartbeat has not stood still for `LEASE_S`, as far as this process has watched it."""
    try:
        content = file.read_bytes()  # opening asks the server; times of files may be remembered for a minute
    except FileNotFoundError:
        _watched.pop(file, None)
        return False
    except OSError:
        return True  # a server that does not answer for a moment tells nothing
    shown = read(file)
    if shown is not None and not is_same(shown, process):
        return False  # a later process of that number
    now = time.monotonic()
    watched = _watched.get(file)
    if watched is None or watched.content != content:
        _watched[file] = Watched(content, 0.0, now, beating=watched is not None)
        return True
    watched.silent_s += min(now - watched.looked, LOOK_GAP_S)
    watched.looked = now
    return watched.silent_s < LEASE_S


def is_gone(workspace: Path, host: str, pid: int) -> bool:
    """Whether a process of another host has ended, by the host's key: it shows itself no more, or is dead.

    Args:
        workspace: The workspace's folder.
        host: `hosts.Host.key`.
        pid: Its number.
    """
    process = read(workspace / FOLDER / f"{host}-{pid}.json")
    return process is None or not is_alive(process, workspace)


def silent_s(process: Any, workspace: Path) -> float | None:
    """Seconds that the heartbeat of a process of another host stands still, as far as this process has watched it.

    Returns:
        None where that says nothing: it is one of ours, its lock is seen, or it is dead.
    """
    if is_here(process) or not is_alive(process, workspace):
        return None
    file = file_of(workspace, process)
    return _watched[file].silent_s if lock_state(file) != "held" and file in _watched else None


def is_in_doubt(process: Any, workspace: Path) -> bool:
    """Whether nobody knows yet if a process of another host is alive: its heartbeat was not seen to change."""
    if is_here(process) or not is_alive(process, workspace):
        return False
    file = file_of(workspace, process)
    return lock_state(file) != "held" and not (file in _watched and _watched[file].beating)
