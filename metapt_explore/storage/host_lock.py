"""A lock that one process holds among all hosts that share a workspace.

The kernel's lock (`filelock`) comes first: it is exact among the processes of one machine, containers among them, and
free at once when its holder is killed. Not every shared disk passes it on to other machines, so the holder also makes a
file ``<lock>.owner``, which only one process can make. It is another name of the holder's heartbeat file
(`storage.presence`); what a dead process left is taken over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from metapt_explore.storage import presence
from metapt_explore.storage.disk import lock_state
from metapt_explore.storage.files import temporary_name
from metapt_explore.storage.hosts import this_host
from metapt_explore.storage.processes import host_of, identity, is_same

#: Seconds between two tries while another host has the lock.
RETRY_S = 0.1
#: Seconds in which the few bytes of an owner's file are written.
HALF_WRITTEN_S = 1.0
#: Seconds since the last look at a lock after which its holder looks itself: the heartbeat, which looks every few
#: seconds, was away. Far fewer than those after which another host takes over.
LOOK_AGAIN_S = 15.0


class HostLock:
    """A lock among hosts; used as `filelock.FileLock` is.

    Args:
        file: The lock's file.
        workspace: The workspace's folder, in which processes show that they live.
        timeout: Seconds to wait for it where `acquire` is not told.
    """

    def __init__(self, file: Path, workspace: Path, *, timeout: float = -1) -> None:
        self.file, self.workspace, self.timeout = file, workspace, timeout
        self._lost, self._looked = False, _clocks()
        self._lock = FileLock(file, thread_local=False)

    def acquire(
        self,
        timeout: float | None = None,
        *,
        patient: bool = True,
        on_doubt: Callable[[str], None] = lambda host: None,
    ) -> None:
        """Takes the lock.

        Args:
            timeout: Seconds to wait; for ever if negative.
            patient: Wait longer while nobody knows whether its holder, on another host, is alive.
            on_doubt: Told the name of that host once.

        Raises:
            Timeout: If another process has it all the while.
        """
        timeout = self.timeout if timeout is None else timeout
        end, told = time.monotonic() + timeout, False
        while True:
            self._lock.acquire(timeout=-1 if timeout < 0 else max(0.0, end - time.monotonic()))
            try:
                if self._claim():
                    return
            except BaseException:
                self._lock.release()
                raise
            self._lock.release()
            process = holder(self.file, self.workspace)
            in_doubt = process is not None and presence.is_in_doubt(process, self.workspace)
            if in_doubt and not told:
                told = True
                on_doubt(host_of(process).name)
            if timeout >= 0 and time.monotonic() >= end and not (patient and in_doubt):
                raise Timeout(str(self.file))
            time.sleep(RETRY_S)

    def release(self) -> None:
        """Gives the lock back."""
        if not self._lock.is_locked:
            return
        with suppress(OSError):
            if self._surely_names_us() is True:
                owner_of(self.file).unlink(missing_ok=True)
        self._shown.on_beat.discard(self._look)
        presence.leave(self.workspace)
        self._lock.release()

    @property
    def is_ours(self) -> bool:
        """Whether no other host has taken the lock from us, which it may do where we showed no life for long.

        Where the lock's file is gone, somebody deleted its folder: that is another error. A server that does not answer
        tells nothing: the lock is ours until somebody else is seen to have it.
        """
        return self._surely_names_us() is not False

    @property
    def lost(self) -> bool:
        """Whether another host took the lock from us: what the heartbeat noticed, which costs nothing to ask.

        Where it has not looked for long (this process or its machine slept), this looks. A machine that sleeps may stop
        its monotonic clock, so the time of day is asked, too.
        """
        if not self._lost and any(
            abs(now - was) > LOOK_AGAIN_S for now, was in zip(_clocks(), self._looked, strict=True)
        ):
            self._look()
        return self._lost

    def _look(self) -> None:
        now = _clocks()  # as of before: the process may fall asleep while it looks
        self._lost = self._lost or not self.is_ours
        self._looked = now

    def _surely_names_us(self) -> bool | None:
        if self._names_us():
            return True
        time.sleep(RETRY_S)  # who judges an owner moves its file away for a moment
        return self._names_us()

    def _names_us(self) -> bool | None:
        """Whether the owner's file names this process; None if the disk does not answer."""
        try:
            with suppress(FileNotFoundError):
                if is_same(presence.identity_in(owner_of(self.file).read_bytes()), identity()):
                    return True
            return not self.file.exists()
        except OSError:
            return None

    def __enter__(self) -> HostLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _claim(self) -> bool:
        """Makes the owner's file; False if a process of another host has it."""
        shown = presence.enter(self.workspace)
        try:
            if _make(owner_of(self.file), shown) or (
                _remove_dead(owner_of(self.file), self.workspace) and _make(owner_of(self.file), shown)
            ):
                self._lost, self._looked, self._shown = False, _clocks(), shown
                shown.on_beat.add(self._look)
                return True
        except BaseException:
            presence.leave(self.workspace)
            raise
        presence.leave(self.workspace)
        return False


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.time()


def owner_of(file: Path) -> Path:
    """The file that says which process has a lock."""
    return file.with_name(f"{file.name}.owner")


def holder(file: Path, workspace: Path) -> dict[str, Any] | None:
    """The identity of the process that holds a lock; None if it is free, or the kernel alone knows. Writes nothing."""
    process = presence.read(owner_of(file))
    return process if process is not None and presence.is_alive(process, workspace) else None


def is_locked(file: Path, workspace: Path) -> bool:
    """Whether a process of any host holds a lock. Writes nothing."""
    state = lock_state(file)
    if state == "held":
        return True
    process = presence.read(owner_of(file))
    if process is None or (state == "free" and _is_of_our_kernel(process)):
        return False  # among processes of one kernel its lock is exact
    return presence.is_alive(process, workspace)


def _is_of_our_kernel(process: dict[str, Any]) -> bool:
    return host_of(process).boot == this_host().boot


def _make(owner: Path, shown: presence.Presence) -> bool:
    """Makes the owner's file; False if there is one."""
    try:
        owner.hardlink_to(shown.file)
        return True
    except FileExistsError:
        return False
    except FileNotFoundError:
        shown.show()  # somebody cleaned up
        return _make_copy(owner, shown.file)
    except OSError:  # a disk without second names
        return _make_copy(owner, shown.file)


def _make_copy(owner: Path, file: Path) -> bool:
    content = file.read_bytes()
    try:
        with owner.open("xb") as stream:
            stream.write(content)
        return True
    except FileExistsError:
        return False


def _remove_dead(owner: Path, workspace: Path) -> bool:
    """Removes the owner's file of a process that is dead; the caller holds the kernel's lock.

    Another host may do the same at this moment: what is moved away is looked at again, and put back if it is not what
    was judged.
    """
    process = presence.read(owner)
    if process is None:
        # Where a disk has no second names, it may be half written: a moment is enough for so few bytes.
        time.sleep(HALF_WRITTEN_S)
        process = presence.read(owner)
    # A process of our kernel cannot hold the lock: we do.
    if process is not None and not _is_of_our_kernel(process) and presence.is_alive(process, workspace):
        return False
    aside = temporary_name(owner)
    try:
        owner.rename(aside)
    except FileNotFoundError:
        return True
    moved = presence.read(aside)
    is_judged = moved is None or is_same(moved, process)
    if not is_judged:
        _put_back(aside, owner)
    aside.unlink(missing_ok=True)
    return is_judged


def _put_back(aside: Path, owner: Path) -> None:
    """Gives a live owner its file back, unless there is another one by now."""
    try:
        owner.hardlink_to(aside)
    except FileExistsError:
        return
    except OSError:  # a disk without second names
        with suppress(OSError):
            _make_copy(owner, aside)
