"""Makes some cells of a study, in any process on any machine that sees the workspace.

It takes no lock on the study and writes neither its list nor its job: whoever runs the study does. Each artifact has a
lock of its own (`Workspace.make`), so two workers never compute one twice.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType

from metapt_explore.config import StudyConfig
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.progress.failed_part import FailedPart
from metapt_explore.progress.state import Progress, State
from metapt_explore.stages.base import Stage
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.processes import identity, runs_here
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.cells import stages_of
from metapt_explore.study.failures import Failures, stops_everything
from metapt_explore.study.job_file import cancel_file
from metapt_explore.study.pipeline import StudyPipeline
from metapt_explore.study.preview import worker_speed
from metapt_explore.study.trackers import trackers_of
from metapt_explore.study.worker_file import (
    STOP_GRACE_S,
    WorkerFile,
    cancel_batch_file,
    cells_folder,
    is_withdrawn,
    worker_file,
)

#: Signals by which schedulers take a machine back: they send one, and kill some seconds later.
STOPPING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR2") if hasattr(signal, name))
#: Seconds between two looks at the process that a worker ends with.
PARENT_POLL_S = 1.0
#: What a worker exits with that does not stop in time after that one has ended.
ORPHANED = 75


class CellPipeline(StudyPipeline):
    """A study's pipeline that lists nothing: it only makes artifacts."""

    def enter(self, stage: Stage) -> Artifact:
        """The stage's artifact; the study's list is left to whoever runs the study."""
        return self.workspace.artifact(stage.id)

    def save(self) -> None:
        """Writes nothing."""


class CellWorker:
    """Makes cells one after another, and tells how it stands.

    Args:
        config: The study.
        workspace: The workspace.
        batch: Name of its batch; its files are called so. None writes none.
        listener: Told of progress.
    """

    def __init__(
        self,
        config: StudyConfig,
        workspace: Workspace,
        batch: str | None = None,
        listener: Callable[[State], None] = lambda state: None,
    ) -> None:
        self._told, self._stop_asked, self._batch = listener, False, batch
        self._has_measured = False
        folder = cells_folder(workspace, config.name)
        self._cancels = [cancel_file(workspace, config.name)]
        #: When a cancel was asked for that a killed run has left; a worker by hand goes on in spite of it.
        self._left = _asked_at(self._cancels[0]) if batch is None else None
        if self._left is not None and workspace.is_locked(config.name):
            self._left = None  # the run that it is meant for is at work
        if batch is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._cancels.append(cancel_batch_file(folder, batch))
        self.file = WorkerFile(workspace, None if batch is None else worker_file(folder, batch))
        self.pipeline = CellPipeline(config, workspace, Progress(self._on_state, self._should_stop))

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop_asked

    def stop(self) -> None:
        """Asks it to stop: the pass that runs is finished, then a checkpoint is written."""
        self._stop_asked = True

    def _should_stop(self) -> bool:
        return self._stop_asked or any(_asked_at(file) not in (None, self._left) for file in self._cancels)

    def _on_state(self, state: State) -> None:
        self.file.tell(state.done / state.total if state.total else 0.0)
        self._told(state)

    def make(self, keys: Sequence[str], expected: Mapping[str, str] | None = None) -> list[FailedPart]:
        """Makes cells and what they are made from, unless it is there.

        Args:
            keys: Their keys.
            expected: The id that whoever asks expects of each; others are refused.

        Returns:
            Parts that failed; the other cells are made.

        Raises:
            Cancelled: Where it was asked to stop; checkpoints are kept.
            UserError: Where there is no such cell, or it would be another one here.
        """
        pipeline, file = self.pipeline, self.file
        with file.beating():
            try:
                self._make(keys, expected or {})
                file.write(state="ended", current="")
            except (Cancelled, KeyboardInterrupt):
                file.write(state="stopped")
                raise
            except OSError as error:
                # A full disk or a lost share is no fault of a cell: others go on, and it is tried again.
                with suppress(OSError):
                    file.write(state="stopped", error=str(error), no_place=stops_everything(error))
                raise
            except BaseException as error:
                said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                file.write(state="refused", error=said)
                raise
            finally:
                if self._is_withdrawn:
                    file.remove()
        return pipeline.failed

    def _measure(self, stage: Stage) -> None:
        """Times the language model once, before its first cell: the run tells by that how long the rest takes."""
        if self._batch is None or self._has_measured or stage.uses != "model":
            return
        self._has_measured = True
        try:
            speed = worker_speed(self.pipeline)
        except Cancelled:
            raise
        except Exception as error:  # a prediction that fails stops nothing; the cell says what is wrong
            if stops_everything(error):
                raise
            return
        if speed is not None:
            self.file.write(speed=asdict(speed))

    @property
    def _is_withdrawn(self) -> bool:
        """Whether another run of the study has taken its batch back and gives the cells out anew."""
        folder = cells_folder(self.pipeline.workspace, self.pipeline.config.name)
        return self._batch is not None and is_withdrawn(folder, self._batch)

    def _make(self, keys: Sequence[str], expected: Mapping[str, str]) -> None:
        pipeline, file = self.pipeline, self.file
        folder = pipeline.workspace.study_folder(pipeline.config.name)
        stages = stages_of(pipeline, keys)
        pipeline.trackers = trackers_of(pipeline.config.name, folder / "trackers", pipeline.progress.notice)
        pipeline.failures = failures = Failures(folder)
        try:
            for stage in stages:
                if self._is_withdrawn:
                    raise Cancelled("The run has taken these cells back.")
                if stage.key in expected:
                    refuse_another(stage, expected[stage.key])
                if stage.is_there:
                    continue
                file.write(current=stage.key, fraction=0.0)
                self._measure(stage)
                made = failures.attempt(stage, partial(pipeline.make, stage))
                told = [*file.record["made"], stage.key] if made is not None else file.record["made"]
                file.write(made=told, failed=[part.as_dict() for part in failures.parts])
        finally:
            pipeline.failed, pipeline.failures = failures.parts, None


def _asked_at(file: Path) -> int | None:
    """When a cancel file was written; None where there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


def refuse_another(stage: Stage, expected: str) -> None:
    """Refuses a cell that is another question here than where the study runs.

    Raises:
        UserError: Saying what may differ.
    """
    if stage.id != expected:
        model = stage.pipeline.model
        facts = {"model": [model.device, str(model.identity["dtype"])], "encoder": [model.device]}.get(stage.uses, [])
        here = f" (here {', '.join(facts)})" if facts else ""
        raise UserError(
            f"{stage.title} is {expected} where the study runs, and {stage.id} on this machine: it depends on the "
            f"device, the number format{here}, the version of this package and the files of models and texts. Make "
            "them the same. `device` and `dtype` under `slurm` or `ray` in the machine file say what workers have; "
            "`model.device` and `model.dtype` of the study, which are meant."
        )


@contextmanager
def stopping_at_signals(worker: CellWorker) -> Iterator[None]:
    """Inside, SIGTERM and SIGUSR2 ask the worker to stop; a second SIGTERM stops it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if worker.is_stopping and number == signal.SIGTERM:
            raise KeyboardInterrupt
        worker.stop()

    before = {number: signal.signal(number, on_signal) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ending_with(worker: CellWorker, pid: int | None) -> Iterator[None]:
    """Inside, the end of another process of this host stops the worker: a task of Ray is killed without its children.

    Args:
        worker: The worker.
        pid: The process; nothing happens without one.
    """
    if pid is None:
        yield
        return
    process, ended = identity(pid), threading.Event()

    def watch() -> None:
        while not ended.wait(PARENT_POLL_S):
            if not runs_here(process):
                worker.stop()
                if not ended.wait(STOP_GRACE_S):
                    os._exit(ORPHANED)  # it computes something that does not end

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
