"""Hands out the cells of a run: the one process that writes the study's list and its job while workers compute.

It runs inside of `metapt run` (`study.elsewhere`): whatever the run is about to make is made here first, in batches
that last minutes. The run then finds it and lists it in the study's order, whichever worker was first. What a worker
could not make becomes a failed part of the run, with the worker's reason.
"""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from metapt_explore.config.machine import MachineConfig
from metapt_explore.engines.base import Engine, SubmitFailed
from metapt_explore.engines.batches import plan_batches
from metapt_explore.engines.live import LiveBatches
from metapt_explore.engines.pace import Pace
from metapt_explore.engines.patience import Patience
from metapt_explore.errors import TakenOver, UserError
from metapt_explore.stages.base import Stage
from metapt_explore.study.cell_table import CellTable
from metapt_explore.study.cells import is_light, needed_by, with_ancestors
from metapt_explore.study.failures import Named, PartFailed
from metapt_explore.study.pipeline import StudyPipeline
from metapt_explore.study.worker_file import BatchRecord, WorkerRecord

#: Times that a cell is given to a worker which is lost over it, before it counts as failed.
MAX_ATTEMPTS = 3
#: Titles that the line of progress names.
MAX_NAMED = 2


class Coordinator:
    """Makes stages of one study by the workers of an engine.

    Args:
        study: The study; the process that runs it holds its lock.
        engine: Where workers are started.
        machine: Settings of this machine.
    """

    def __init__(self, study: StudyPipeline, engine: Engine, machine: MachineConfig) -> None:
        self._study, self._engine, self._machine = study, engine, machine
        self._live = LiveBatches(study, engine, lost_s=60 * machine.lost_minutes)
        #: Why stages cannot be made, by their keys; a reason that many share has a name.
        self._reasons: dict[str, tuple[Named | None, str]] = {}
        self._attempts: Counter[str] = Counter()
        self._shares: dict[str, float] = {}
        self._listed: set[str] = set()
        self._cells: dict[str, Stage] = {}
        self._parents: dict[str, list[str]] = {}
        self._done: set[str] = set()
        self._is_making = False
        #: How fast workers are, and what cells take them by that.
        self._pace: Pace | None = None
        self._seconds: dict[str, float] = {}
        #: A full disk fails every cell alike, so it stops the run as it does in one process.
        self._no_place: OSError | None = None
        self._table = CellTable(study.workspace, study.config.name)
        self._patience = Patience(engine.name, 60 * machine.lost_minutes, study.progress.notice)

    # ------------------------------------------------------------------------------ what a run asks of it

    def make(self, stages: Sequence[Stage]) -> None:
        """Returns when each of the stages is made or cannot be made (see `study.elsewhere`)."""
        study = self._study
        if self._is_making:
            return  # asked from inside
        self._is_making = True
        with study.remembering():
            try:
                self._look_at(stages)
                self._live.adopt(self._ids())
                if len(self._done) < len(self._cells):
                    self._pace = self._pace or Pace(study, self._engine.name, self._engine.slots)
                    self._plan_time(self._pace)
                while self._step():
                    time.sleep(self._engine.poll_s)
            except TakenOver:
                self._live.forget()  # the run of another host watches these workers now
                raise
            except BaseException:
                self.close()
                raise
            finally:
                self._is_making = False
                study.progress.back_here()

    def refuse(self, stage: Stage) -> None:
        """Raises where a worker could not make the stage.

        Raises:
            UserError: With its reason.
        """
        named, reason = self._reasons.get(stage.key, (None, ""))
        if not reason:
            return  # it failed in this process, which knows why
        failures = self._study.failures
        if named is None or failures is None:
            raise UserError(reason)
        failures.refuse(named.title)
        raise PartFailed(failures.add(named, UserError(reason), named.title))

    def close(self) -> None:
        """Stops all workers, with a checkpoint each, and waits for their ends."""
        for batch, record, said, _ in self._live.stop():
            self._take_in(batch, record, said, lost=False)
        self._engine.close()

    # ---------------------------------------------------------------------------------------- the loop

    def _look_at(self, stages: Sequence[Stage]) -> None:
        """Which cells there are for these stages, and which of them are made."""
        self._cells = with_ancestors(stages)
        self._done, self._parents = set(), {key: [] for key in self._cells}
        self._reasons = {key: reason for key, reason in self._reasons.items() if reason[1]}
        for key, stage in self._cells.items():
            try:
                self._parents[key] = [parent.key for parent in needed_by(stage)]
                if stage.is_there:
                    self._done.add(key)
            except UserError:
                # The run says what cannot be read, when it comes to this stage.
                self._reasons.setdefault(key, (None, ""))
        self._study.progress.found(self._done)

    def _ids(self) -> dict[str, str]:
        """The ids of cells, as far as they can be named."""
        ids = {}
        for key, stage in self._cells.items():
            with suppress(UserError):
                ids[key] = stage.id
        return ids

    def _plan_time(self, pace: Pace) -> None:
        self._seconds = pace.seconds()
        pace.plan(self._study.progress, self._seconds, parents=self._parents, done=self._done)

    def _step(self) -> bool:
        """Takes in what has ended, hands out what can be made; returns whether there is more to wait for."""
        self._study.progress.stop_if_asked()
        for batch, record, said, end in self._live.ended():
            self._take_in(batch, record, said, lost=True, end=end)
        if self._no_place is not None:
            raise self._no_place
        if silent_s := self._live.unanswered_s:
            self._patience.unanswered(silent_s, self._engine.trouble, at_work=self._live.show_life)
        if self._pace is not None and self._pace.take(self._live.speeds()):
            self._plan_time(self._pace)
        waiting = self._waiting()
        while light := [key for key in waiting if is_light(self._cells[key]) and self._is_ready(key)]:
            for key in light:
                self._make_here(self._cells[key])
            waiting = self._waiting()
        at_work = self._live.keys & self._cells.keys()
        if not waiting and not at_work:
            self._tell_cells()
            return False
        free = self._engine.slots - self._live.at_engine
        if free > 0 and waiting and self._patience.may_submit:
            longest = 60 * self._machine.batch_minutes
            heavy = {key: self._parents[key] for key in waiting if not is_light(self._cells[key])}
            slots = self._engine.slots
            batches = plan_batches(heavy, self._done, self._seconds, free=free, slots=slots, longest=longest)
            self._submit(batches)
        self._tell()
        return True

    def _waiting(self) -> list[str]:
        """Cells that are to be made and that no worker has."""
        blocked = self._blocked()
        taken = self._live.keys
        return [key for key in self._cells if key not in self._done and key not in blocked and key not in taken]

    def _blocked(self) -> set[str]:
        """Cells that cannot be made, or are made from such; parents stand before what is made from them."""
        blocked: set[str] = set()
        for key in self._cells:
            if key not in self._done and (
                key in self._reasons or any(parent in blocked for parent in self._parents[key])
            ):
                blocked.add(key)
        return blocked

    def _is_ready(self, key: str) -> bool:
        return all(parent in self._done for parent in self._parents[key])

    def _make_here(self, stage: Stage) -> None:
        """Makes a stage that takes seconds; where it fails, the run says so when it comes to it."""
        study = self._study
        study.progress.back_here()
        make = partial(study.make, stage)
        if (study.failures.attempt(stage, make) if study.failures is not None else make()) is not None:
            self._done.add(stage.key)
        else:
            self._reasons[stage.key] = (None, "")

    def _submit(self, batches: Sequence[Sequence[str]]) -> None:
        study = self._study
        for batch in batches:
            # Pages find what runs through the study's list.
            for stage in with_ancestors(self._cells[key] for key in batch).values():
                if stage.id not in self._listed:
                    study.enter(stage)
                    self._listed.add(stage.id)
        if not batches:
            return
        try:
            self._live.submit([{key: self._cells[key].id for key in batch} for batch in batches])
        except SubmitFailed as error:
            self._patience.refused(error, at_work=len(self._live) > 0)
        else:
            self._patience.accepted()

    def _tell(self) -> None:
        self._tell_cells()
        shares = self._live.shares()
        # A stage that was stopped goes on from its checkpoint, so its share stays.
        self._shares |= {key: share for key, share in shares.items() if share > self._shares.get(key, 0.0)}
        titles = [self._cells[key].title for key in shares if key in self._cells]
        more = f" and {len(titles) - MAX_NAMED} more" if len(titles) > MAX_NAMED else ""
        said = f": {', '.join(titles[:MAX_NAMED])}{more}" if titles else ""
        number = self._live.at_engine
        others = "".join(f", {count} on '{host}'" for host, count in Counter(self._live.hosts).items())
        title = f"{number} worker{'s' * (number != 1)} on {self._engine.name}{others}{said}"
        self._study.progress.at_work(title, self._shares, done=len(self._done), total=len(self._cells))

    def _tell_cells(self) -> None:
        failed = {key: reason for key, (_, reason) in self._reasons.items() if key not in self._done}
        blocked = dict.fromkeys(self._blocked() - failed.keys(), "what it is made from cannot be made")
        self._table.write(self._cells, done=self._done, failed=failed | blocked)

    # ------------------------------------------------------------------------------- what workers say

    def _take_in(self, batch: str, record: BatchRecord, said: WorkerRecord, *, lost: bool, end: str = "") -> None:
        """Takes in a batch whose worker has ended."""
        keys = [key for key in record.get("cells", {}) if key in self._cells]
        for part in said.get("failed", []):
            self._note_failed(part)
        made = [key for key in keys if self._is_made(key)]
        self._done.update(made)
        self._table.made(set(made) & {*said.get("made", [])}, said.get("worker", ""))
        self._study.progress.found(made)
        left = [key for key in keys if key not in self._done and key not in self._blocked()]
        state, current = said.get("state"), said.get("current", "")
        if state == "refused":
            named = Named(f"worker {said.get('error', '')}", "a worker could not begin or go on")
            for key in left:
                self._reasons[key] = (named, said.get("error", ""))
        elif state == "stopped" and said.get("no_place"):
            self._no_place = OSError(errno.ENOSPC, f"a worker could not write its results: {said.get('error', '')}")
        elif state == "stopped" and said.get("error"):
            self._count_attempt([current] if current in left else left, said["error"])
        elif state == "stopped":
            if not made and said.get("fraction", 0.0) <= self._shares.get(f"stopped {current}", 0.0):
                self._count_attempt([current] if current in left else left, "it was stopped before it got any further")
            self._shares[f"stopped {current}"] = said.get("fraction", 0.0)
        elif state == "ended":
            self._count_attempt(left, "it was not there after its worker had ended")
        elif lost:
            # It died over the cell that it was making; before that, nobody knows over which.
            last = "" if said else self._live.last_line(batch)
            told = ": ".join(part for part in (end or "it gave no sign of life", last) if part)
            why = f"its worker was lost ({told}{'' if last else '; often memory ran out'})"
            self._count_attempt([current] if current in left else left, why)
        self._live.put_away(batch)

    def _is_made(self, key: str) -> bool:
        try:
            return self._cells[key].is_there
        except UserError:
            return False

    def _note_failed(self, part: Mapping[str, Any]) -> None:
        key, reason = str(part["key"]), str(part["reason"])
        if key in self._cells:
            self._reasons[key] = (None, reason)
            return
        named = Named(key, str(part["title"]))
        for needing in part.get("needed_by", []):
            if needing in self._cells:
                self._reasons[needing] = (named, reason)

    def _count_attempt(self, keys: Sequence[str], why: str) -> None:
        for key in keys:
            self._attempts[key] += 1
            if self._attempts[key] >= MAX_ATTEMPTS:
                self._reasons[key] = (None, f"{why}, {MAX_ATTEMPTS} times in a row. The log lies in {self._live.past}.")
