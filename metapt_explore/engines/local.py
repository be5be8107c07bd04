"""Processes on this machine: one a graphics card, or as many as asked for, with the cores divided among them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psutil

from metapt_explore.config.machine import LocalConfig
from metapt_explore.config.model import ModelConfig
from metapt_explore.engines.base import Job, JobState, SubmitFailed
from metapt_explore.errors import UserError, first_line
from metapt_explore.jobs.gpus import worker_devices
from metapt_explore.jobs.processes import kill
from metapt_explore.storage.processes import identity, runs_here

#: Variables by which libraries are told how many threads they may use.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
#: What the system says when it has no room for another process now.
NO_MORE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
#: Most processes that `local:N` may name.
MOST = 256


class LocalEngine:
    """Workers that are processes of this machine. They outlive this process, and the next one finds them.

    Args:
        number: Processes; as many as there are cards for, or one where there is none, when absent.
        settings: What each gets; a card when absent.
    """

    def __init__(self, number: int | None = None, settings: LocalConfig | None = None) -> None:
        if number is not None and not 1 <= number <= MOST:
            raise UserError(f"--on local:{number}: from 1 to {MOST} processes.")
        #: The cards of each slot; None where no choice is made.
        self._devices = shared_out(worker_devices(), 1 if settings is None else settings.gpus)
        self.slots = number or len(self._devices)
        self.name = "local" if number is None else f"local:{number}"
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        #: The slot of each job that may still run; those of an earlier process among them.
        self._seen: dict[str, int] = {}

    poll_s = 0.2
    trouble = ""

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Starts a process for each job, as far as the system lets it."""
        handles: list[str] = []
        try:
            for job in jobs:
                handles.append(self._start(job))
        except OSError as error:
            if not handles and error.errno in NO_MORE:
                raise SubmitFailed(f"No process can be started: {first_line(error)}.", passing=True) from error
            if not handles:
                raise
        return handles

    def _start(self, job: Job) -> str:
        taken = {slot for handle, slot in self._seen.items() if self._is_alive(handle)}
        slot = next((slot for slot in range(self.slots) if slot not in taken), 0)
        with job.log.open("ab") as output:
            process = subprocess.Popen(
                job.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the run, which stops its workers in order
                env=self._environment(slot),
            )
        handle = json.dumps({"process": identity(process.pid), "slot": slot})
        self._started[handle] = process
        self._seen[handle] = slot
        return handle

    def _environment(self, slot: int) -> dict[str, str]:
        """A card of its own, and its share of the cores."""
        given = os.environ.get(THREADS[0], "")
        threads = max(1, (int(given) if given.isdecimal() else cores()) // self.slots)
        device = self._devices[slot % len(self._devices)]
        environment = {**os.environ, **dict.fromkeys(THREADS, str(threads)), "PYTHONUNBUFFERED": "1"}
        return environment if device is None else {**environment, "CUDA_VISIBLE_DEVICES": device}

    def states(self, handles: Sequence[str]) -> dict[str, JobState]:
        """Whether the processes still run; those that another process started, too."""
        self._seen = {handle: _slot(handle) for handle in handles}
        return {handle: "running" if self._is_alive(handle) else "gone" for handle in handles}

    def _is_alive(self, handle: str) -> bool:
        if handle in self._started:
            return self._started[handle].poll() is None
        return runs_here(_process(handle))

    def cancel(self, handles: Sequence[str], *, now: bool = False) -> None:
        """Sends SIGTERM, or kills."""
        for handle in handles:
            if not self._is_alive(handle):
                continue
            if now:
                kill(_process(handle))
            else:
                with suppress(OSError):
                    os.kill(_process(handle)["pid"], signal.SIGTERM)

    def end_of(self, handle: str) -> str:
        """The signal or exit code of a process that this one started."""
        code = self._started[handle].poll() if handle in self._started else None
        if code is None:
            return ""
        if code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
        return f"killed by signal {-code}"

    def close(self) -> None:
        """Looks at processes that have just ended, so that none is left as a zombie."""
        for process in self._started.values():
            process.poll()


def shared_out(cards: Sequence[str | None], each: int) -> list[str | None]:
    """The cards of each process, as `CUDA_VISIBLE_DEVICES` names them; cards that are left over are used by none.

    Args:
        cards: Those that there are; one None where there is none.
        each: Cards of a process.

    Raises:
        UserError: Where there are fewer than one process is to have.

    Example:
        >>> shared_out(["0", "1", "2", "3"], 2), shared_out([None], 1)
        (['0,1', '2,3'], [None])
    """
    there = [card for card in cards if card is not None]
    if each == 1 and not there:
        return [None]
    if len(there) < each:
        found = f"{len(there)} card{'s' * (len(there) != 1)}"
        raise UserError(
            f"`local.gpus: {each}` in the machine file: this machine has {found} that this process may use."
        )
    return [",".join(there[first : first + each]) for first in range(0, len(there) - each + 1, each)]


def check_cards(model: ModelConfig, each: int) -> None:
    """Refuses a study that names a card which no process of `local` sees.

    Args:
        model: The study's model.
        each: Cards of a process.

    Raises:
        UserError: Saying how it is written.
    """
    places = [model.device, *(model.device_map.values() if isinstance(model.device_map, dict) else [])]
    numbers = [number for place in places if (number := _card(place)) is not None]
    if numbers and max(numbers) >= each:
        key = "device" if _card(model.device) is not None else "device_map"
        raise UserError(
            f"model.{key} names card {max(numbers)}, and a process of `--on local` sees {each}, counted from 0. Write "
            f"`cuda` where any card will do, or `local: {{gpus: {max(numbers) + 1}}}` in the machine file."
        )


def _card(place: str | int) -> int | None:
    """The number of a card: 1 or `cuda:1`."""
    if isinstance(place, int):
        return place
    kind, _, number = place.partition(":")
    return int(number) if kind == "cuda" and number.isdecimal() else None


def cores() -> int:
    """Cores that this process may use, as far as the system says; all of the machine's otherwise."""
    with suppress(AttributeError, psutil.Error):  # not every system has an affinity
        return len(psutil.Process().cpu_affinity())
    return os.cpu_count() or 1


def _process(handle: str) -> Any:
    return _parts(handle).get("process", {})


def _slot(handle: str) -> int:
    return int(_parts(handle).get("slot", 0))


def _parts(handle: str) -> dict[str, Any]:
    with suppress(ValueError):
        parts = json.loads(handle)
        return parts if isinstance(parts, dict) else {}
    return {}
