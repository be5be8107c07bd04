"""Which engine is meant: `local`, `local:4`, `slurm`, `ray`; and a study that runs on it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from metapt_explore.config.machine import MachineConfig, RayConfig, machine_config
from metapt_explore.engines.base import Engine
from metapt_explore.engines.coordinator import Coordinator
from metapt_explore.engines.device import compute_as_workers, settings_of
from metapt_explore.engines.local import LocalEngine, check_cards, cores
from metapt_explore.engines.pace import Pace
from metapt_explore.engines.ray import RayEngine, places
from metapt_explore.engines.slurm import SlurmEngine
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.jobs.gpus import gpus
from metapt_explore.paths import machine_path
from metapt_explore.study.pipeline import StudyPipeline

#: In this process, on no engine.
HERE = "here"
NAMES = (HERE, "local", "slurm", "ray")
#: Signals that end a run on an engine as Ctrl-C does: `kill`, and a terminal that is closed.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def check_engine(word: str) -> str:
    """Refuses what names no engine.

    Raises:
        UserError: Naming those that there are.

    Example:
        >>> check_engine("local:4")
        'local:4'
    """
    kind, colon, number = word.partition(":")
    if kind not in NAMES:
        raise UserError(f"There is no engine '{word}'. {did_you_mean(kind, NAMES)} `local:4` is four processes.")
    if colon and (kind != "local" or not number.isdecimal() or int(number) < 1):
        raise UserError(f"'--on {word}': only local takes a number of processes, such as local:4.")
    return word


def usual_engine() -> str:
    """The engine that the machine file says; `here` where it says none.

    Raises:
        UserError: Naming the file, where there is no such engine.
    """
    word = machine_config().on or HERE
    try:
        return check_engine(word)
    except UserError as error:
        raise UserError(f"{machine_path()}: on: {error}") from None


def make_engine(word: str, machine: MachineConfig) -> Engine | None:
    """The engine of that name; None for `here`.

    Args:
        word: What `--on` or the machine file says.
        machine: Settings of this machine.

    Raises:
        UserError: Where there is no such engine, or it is not installed.
    """
    kind, _, number = check_engine(word).partition(":")
    if kind == "local":
        return LocalEngine(int(number) if number else None, machine.local)
    if kind == "slurm":
        return SlurmEngine(machine.slurm)
    if kind == "ray":
        return RayEngine(machine.ray)
    return None


def pace_of(study: StudyPipeline, word: str, machine: MachineConfig) -> Pace | None:
    """How fast the workers of an engine are, as far as that is known; None for `here`. Starts nothing.

    Args:
        study: The study.
        word: The engine.
        machine: Settings of this machine.
    """
    kind, _, number = check_engine(word).partition(":")
    if kind == HERE:
        return None
    settings = settings_of(word, machine)
    if isinstance(settings, RayConfig):
        slots = places(settings, {"CPU": float(cores()), "GPU": float(len(gpus()))})
    elif settings is not None:
        slots = settings.at_once
    else:
        slots = LocalEngine(int(number) if number else None, machine.local).slots
    return Pace(study, word, slots)


def hand_out(study: StudyPipeline, word: str, machine: MachineConfig) -> Coordinator | None:
    """Lets a study make its stages on an engine.

    Args:
        study: The study, before it runs.
        word: The engine.
        machine: Settings of this machine.

    Returns:
        What hands them out, to be closed when the run has ended; None for `here`.
    """
    engine = make_engine(word, machine)
    if engine is None:
        return None
    if isinstance(engine, LocalEngine):
        check_cards(study.config.model, machine.local.gpus)
    compute_as_workers(study, word, machine)
    study.elsewhere = coordinator = Coordinator(study, engine, machine)
    return coordinator


@contextmanager
def closing(coordinator: Coordinator | None) -> Iterator[None]:
    """Stops the workers of a run when the body ends, also by SIGTERM or a closed terminal.

    Args:
        coordinator: What hands out the run's cells; None where there is no engine, and signals are as ever.

    Raises:
        KeyboardInterrupt: Where such a signal came.
    """
    if coordinator is None:
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        # What is ignored stays so: `nohup` means it.
        caught = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, on_signal) for number in caught}
    try:
        yield
    finally:
        try:
            coordinator.close()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
