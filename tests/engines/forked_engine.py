"""`metapt run --on local:2` whose coordinator and workers are forked from a process that has everything loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forked
from in_processes import note_computed


@dataclass(frozen=True)
class Serial:
    """A study and what one process alone answers.

    Attributes:
        file: The study.
        answers: As `answers.answers` returns them.
        home: `$METAPT_HOME`, where the models' hashes are remembered.
    """

    file: Path
    answers: dict[str, Any]
    home: Path


def start(
    study: Path,
    workspace: Path,
    home: Path,
    *options: str,
    on: str = "local:2",
    in_worker: Callable[[], None] | None = None,
) -> BaseProcess:
    """Starts a run on forked workers.

    Args:
        study: The study file.
        workspace: The workspace.
        home: `$METAPT_HOME`.
        *options: More words of the command line.
        on: The engine.
        in_worker: Called in each worker before it begins; a function of a module.
    """
    words = ["run", str(study), "--workspace", str(workspace), "--on", on, *options]
    return forked.start(coordinate, log_of(workspace), words, (workspace, home), in_worker)


def log_of(workspace: Path) -> Path:
    """What the run prints."""
    return workspace.with_name(f"{workspace.name}.log")


def said(workspace: Path) -> str:
    """The end of what the run and its workers have printed."""
    logs = [log_of(workspace), *sorted(workspace.glob("studies/*/cells/**/*.log"))]
    return "\n".join(log.read_text(encoding="utf-8", errors="replace")[-1500:] for log in logs if log.exists())


def coordinate(words: Sequence[str], roots: tuple[Path, ...], in_worker: Callable[[], None] | None) -> None:
    """The command line; its workers are forked. Never returns."""
    from metapt_explore.engines import local

    counter = forked._prepare(roots, None)
    os.environ.pop("METAPT_MACHINE", None)
    note_computed(roots[0])

    def popen(command: Sequence[str], stdout: Any, env: dict[str, str], **_: Any) -> forked.Forked:
        pid = os.fork()
        if pid:
            return forked.Forked(pid)
        os.setsid()
        for stream in (1, 2):
            os.dup2(stdout.fileno(), stream)
        os.environ.update(env)
        if in_worker is not None:
            in_worker()
        forked._run(command[3:], counter)  # behind `python -m metapt_explore`
        raise AssertionError("unreachable")

    local.subprocess = SimpleNamespace(Popen=popen, DEVNULL=None, STDOUT=None)  # type: ignore[assignment]
    local.LocalEngine.poll_s = 0.02
    forked._run(words, counter)
