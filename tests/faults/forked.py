"""Processes that begin at once: forked from one that has torch and the package loaded.

A command line takes four seconds to begin, most of them imports; a harness of a thousand kills cannot wait for them.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import moments

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext  # not there on Windows

#: Loaded once, before any process is forked.
LOADED = [
    "torch",
    "transformers.models.llama.modeling_llama",
    "transformers.models.bert.modeling_bert",
    "sklearn.cluster",
    "pyarrow.parquet",
    "metapt_explore.cli.main",
    "metapt_explore.api",
    "metapt_explore.results.tables",
    "metapt_explore.study.study",
    "metapt_explore.jobs.worker",
    "metapt_explore.reporting.report",
]
CAN_FORK = "forkserver" in mp.get_all_start_methods()
WHY_NOT = "this system does not fork processes"


def context() -> ForkServerContext:
    """The context whose processes are forked."""
    forking = mp.get_context("forkserver")
    forking.set_forkserver_preload(LOADED)
    return forking


def start(function: Callable[..., None], log: Path, *arguments: Any) -> BaseProcess:
    """Calls a function in a process of its own; what it prints goes to `log`."""
    process = context().Process(target=_call, args=(function, log, arguments))
    process.start()
    return process


def _call(function: Callable[..., None], log: Path, arguments: Sequence[Any]) -> None:
    quiet(log)
    function(*arguments)


def quiet(log: Path) -> None:
    """Sends what this process prints to a file, and keeps torch to one thread."""
    import torch

    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    torch.set_num_threads(1)


def metapt(words: Sequence[str], roots: tuple[Path, ...], die_at: int | None = None, count: Path | None = None) -> None:
    """The command line, killed at a moment (see `moments`); never returns.

    Args:
        words: Its arguments.
        roots: Folders whose changes are moments; the last is `$METAPT_HOME`.
        die_at: The moment; None lets it live.
        count: Where the number of moments is written at the end.
    """
    _run(words, _prepare(roots, die_at), count)


def _prepare(roots: tuple[Path, ...], die_at: int | None) -> moments.Moments:
    os.environ.update(METAPT_HOME=str(roots[-1]), METAPT_WORKERS="0")  # workers are started by the tests
    counter = moments.Moments(roots, die_at)
    moments.install(counter)
    return counter


def _run(words: Sequence[str], counter: moments.Moments, count: Path | None = None) -> None:
    from metapt_explore.cli.main import main

    sys.argv = ["metapt", *words]
    code: Any = 1
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    if count is not None:
        count.write_text(json.dumps(counter.count), encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 1)


def work(
    workspace: Path,
    roots: tuple[Path, ...],
    die_at: int | None = None,
    children_die_at: Sequence[int | None] = (),
    number: int = 0,
    pretend: bool = False,
) -> None:
    """A worker of the queue, killed at a moment, whose studies' processes are forked; ends when nothing is asked for.

    Args:
        workspace: The workspace.
        roots: As `metapt` has them.
        die_at: The moment of its death.
        children_die_at: The moments of death of the processes that it starts, one after the other.
        number: Which worker it is.
        pretend: Whether its studies only pretend to compute (`pretend_to_compute`).
    """
    from metapt_explore.jobs import worker
    from metapt_explore.storage.workspace import Workspace

    counter, deaths = _prepare(roots, die_at), iter(children_die_at)

    def popen(words: Sequence[str], stdout: Any, **_: Any) -> Forked:
        dies = next(deaths, None)
        pid = os.fork()
        if pid:
            return Forked(pid)
        os.setsid()
        for stream in (1, 2):
            os.dup2(stdout.fileno(), stream)
        counter.count, counter.die_at = 0, dies
        if pretend:
            pretend_to_compute(workspace, Path(words[4]).parent.name)
        _only_one(workspace)
        _run(words[3:], counter)  # behind `python -m metapt_explore`
        raise AssertionError("unreachable")

    worker.subprocess = SimpleNamespace(Popen=popen, DEVNULL=None, STDOUT=None)  # type: ignore
    worker.PROCESS_POLL_S = worker.QUEUE_POLL_S = 0.02
    worker.serve(Workspace(workspace), number, idle=0.0)


def _only_one(workspace: Path) -> None:
    """Notes it in the file `twice` where two processes compute at once."""
    import fcntl

    from metapt_explore.study.study import Study

    run = Study.run

    def alone(self: Study, *arguments: Any, **options: Any) -> Any:
        with (workspace / "computes").open("ab") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                (workspace / "twice").touch()
            return run(self, *arguments, **options)

    Study.run = alone  # type: ignore[method-assign]


def pretend_to_compute(workspace: Path, name: str) -> None:
    """Works on a study as `metapt run` does, and computes nothing twice; never returns.

    It writes when each study was asked for into the file `order`, in the order in which they are begun.
    """
    from metapt_explore.errors import UserError
    from metapt_explore.jobs.state import request_file
    from metapt_explore.storage.files import read_json
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.job_file import working_on

    opened = Workspace(workspace)
    computed = opened.study_folder(name) / "computed"
    try:
        with working_on(opened, name) as progress:
            if not computed.exists():
                request = read_json(request_file(opened, name))
                with (workspace / "order").open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps([name, request["asked"]]) + "\n")
                for step in range(20):
                    progress.advance(step)
                    time.sleep(0.001)
                computed.touch(exist_ok=False)
    except UserError:
        os._exit(2)  # another process is at it
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ask(workspace: Path, names: Sequence[str], threads: int) -> None:
    """Asks for studies by several threads at once."""
    from concurrent.futures import ThreadPoolExecutor

    from pretended import study

    from metapt_explore.jobs import queue
    from metapt_explore.storage.workspace import Workspace

    os.environ["METAPT_WORKERS"] = "0"
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda name: queue.enqueue(Workspace(workspace), study(name)), names))


class Forked:
    """A child process with what `worker` reads of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._wait(os.WNOHANG)

    def wait(self) -> int | None:
        """Waits for its end."""
        return self._wait(0)

    def _wait(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode
