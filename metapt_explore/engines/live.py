"""Batches that workers have: in the study's folder before they are submitted, so that the next run finds them.

The engine tells how its jobs stand. What it does not know (another host's processes, another engine's jobs) is left to
its worker while that shows that it lives, by the rule that holds for all locks (`storage.presence`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from metapt_explore.engines.base import Engine, Job
from metapt_explore.errors import shortened
from metapt_explore.storage.files import write_json
from metapt_explore.storage.processes import host_of
from metapt_explore.study.given_out import SAID_ALL, put_away
from metapt_explore.study.pipeline import StudyPipeline
from metapt_explore.study.worker_file import (
    STOP_GRACE_S,
    BatchRecord,
    WorkerRecord,
    batch_file,
    cancel_batch_file,
    cells_folder,
    is_at_work,
    log_file,
    open_batches,
    read_worker,
)

#: Fewest seconds between two looks while they do.
STOP_POLL_S = 0.1
#: Characters of a worker's last line that a message quotes.
MAX_QUOTED = 300

#: A batch that has ended: its name, what it was, what its worker said, how its process ended.
Ended = tuple[str, BatchRecord, WorkerRecord, str]


class LiveBatches:
    """The batches of one study that workers have.

    Args:
        study: The study.
        engine: The engine.
        lost_s: Seconds without a sign of life after which a worker is ended.
    """

    def __init__(self, study: StudyPipeline, engine: Engine, *, lost_s: float) -> None:
        self._study, self._engine, self._lost_s = study, engine, lost_s
        self._folder = cells_folder(study.workspace, study.config.name)
        self.past = self._folder / "ended"
        self._records: dict[str, BatchRecord] = {}
        #: Those whose workers the engine does not know; each with its worker's host.
        self._elsewhere: dict[str, str] = {}
        #: The last beat of each worker and when it was seen, by this process's clock.
        self._beats: dict[str, tuple[int, float]] = {}
        #: Since when the engine does not answer, and when that was seen last.
        self._unanswered: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self._records)

    @property
    def at_engine(self) -> int:
        """How many of them the engine has: others take none of its places."""
        return len(self._records) - len(self._elsewhere)

    @property
    def hosts(self) -> list[str]:
        """The hosts of workers that the engine does not know, one for each."""
        return sorted(self._elsewhere.values())

    @property
    def keys(self) -> set[str]:
        """Cells that workers have."""
        return {key for record in self._records.values() for key in record.get("cells", {})}

    def adopt(self, ids: Mapping[str, str]) -> None:
        """Takes over what an earlier run of the study has submitted and still runs, on whatever host.

        What has ended meanwhile is put away: what it made is found in the workspace, and what it could not make is
        tried again. What makes other artifacts than are asked for now is told to stop.

        Args:
            ids: The id of each cell, by key.
        """
        kind = self._engine.name.partition(":")[0]
        found = open_batches(self._study.workspace, self._study.config.name)
        ours = {batch for batch, record in found.items() if record.get("engine", "").partition(":")[0] == kind}
        states = self._engine.states([found[batch]["handle"] for batch in ours if "handle" in found[batch]])
        for batch, record in found.items():
            if batch in self._records:
                continue
            handle = record.get("handle", "")
            is_known = batch in ours and states.get(handle, "gone") != "gone"
            is_meant = all(ids.get(key, cell) == cell for key, cell in record.get("cells", {}).items())
            if not is_known and self._works_elsewhere(batch):
                self._elsewhere[batch] = host_of(read_worker(self._folder, batch).get("process")).name
                if not is_meant:
                    cancel_batch_file(self._folder, batch).touch()
            elif not is_known or not is_meant:
                if is_known:
                    self._engine.cancel([handle])
                # A worker that has not begun yet finds its batch gone, and ends; each artifact has a lock, too.
                self.put_away(batch)
                continue
            if is_meant:
                cancel_batch_file(self._folder, batch).unlink(missing_ok=True)
            self._records[batch] = record

    def _works_elsewhere(self, batch: str) -> bool:
        return is_at_work(self._study.workspace, read_worker(self._folder, batch))

    def submit(self, batches: Sequence[Mapping[str, str]]) -> None:
        """Submits batches, each the ids of its cells by their keys; those that the engine did not take are forgotten.

        Raises:
            SubmitFailed: Where it took none.
        """
        study, jobs = self._study, []
        self._folder.mkdir(parents=True, exist_ok=True)
        for cells, batch in zip(batches, self._new_names(), strict=False):
            record: BatchRecord = {"id": batch, "cells": dict(cells), "engine": self._engine.name}
            write_json(batch_file(self._folder, batch), record)
            self._records[batch] = record
            jobs.append(Job(study.config.name, study.workspace.folder, batch, log_file(self._folder, batch)))
        if not jobs:
            return
        handles: Sequence[str] = []
        try:
            handles = self._engine.submit(jobs)
        finally:
            for job, handle in zip(jobs, handles, strict=False):
                self._records[job.batch]["handle"] = handle
                write_json(batch_file(self._folder, job.batch), self._records[job.batch])
            # One that was queued all the same finds its batch gone when it begins, and ends.
            for job in jobs[len(handles) :]:
                self.put_away(job.batch)

    def _new_names(self) -> Iterator[str]:
        """Names that no batch has had."""
        files = [*self._folder.glob("*.*"), *self.past.glob("*.*")]
        numbers = [int(name) for file in files if (name := file.name.partition(".")[0]).isdecimal()]
        number = max(numbers, default=0)
        while True:
            number += 1
            yield f"{number:05d}"

    def shares(self) -> dict[str, float]:
        """The cells that are being made now, each with its finished share."""
        shares = {}
        for batch in self._records:
            said = read_worker(self._folder, batch)
            if said.get("state") == "running" and said.get("current"):
                shares[said["current"]] = said.get("fraction", 0.0)
        return shares

    def speeds(self) -> dict[str, dict[str, float]]:
        """What workers have measured, by batch."""
        told = {batch: read_worker(self._folder, batch).get("speed") for batch in self._records}
        return {batch: speed for batch, speed in told.items() if isinstance(speed, dict)}

    def ended(self) -> Iterator[Ended]:
        """Batches whose workers are gone; those that are silent for long are ended first."""
        states = self._engine.states(self._handles())
        self._note_answer(states.values())
        for batch, record in list(self._records.items()):
            if batch in self._elsewhere:
                if not self._works_elsewhere(batch):
                    end = f"'{self._elsewhere[batch]}' shows no sign of life"
                    yield batch, record, read_worker(self._folder, batch), end
                continue
            handle = record.get("handle", "")
            if states.get(handle, "gone") == "gone":
                yield batch, record, read_worker(self._folder, batch), self._engine.end_of(handle)
            elif states[handle] == "waiting":
                # It waits again (its node was taken, or failed): what its worker said before is no sign of anything.
                self._beats.pop(batch, None)
            elif self._is_silent(batch) and states[handle] == "running":
                self._engine.cancel([handle], now=True)
                self._beats.pop(batch, None)
            elif states[handle] == "unknown" and (said := read_worker(self._folder, batch)).get("state") in SAID_ALL:
                yield batch, record, said, ""

    def _note_answer(self, states: Collection[str]) -> None:
        now = time.monotonic()
        since = self._unanswered[0] if self._unanswered is not None else now
        self._unanswered = (since, now) if "unknown" in states else None

    @property
    def unanswered_s(self) -> float:
        """Seconds that the engine has not answered; 0 where it does."""
        return 0.0 if self._unanswered is None else self._unanswered[1] - self._unanswered[0]

    @property
    def show_life(self) -> bool:
        """Whether a worker has shown not long ago that it lives."""
        now = time.monotonic()
        return any(beat and now - seen <= self._lost_s for beat, seen in self._beats.values())

    def _handles(self) -> list[str]:
        """Of the jobs that the engine has."""
        ours = [record for batch, record in self._records.items() if batch not in self._elsewhere]
        return [record["handle"] for record in ours if "handle" in record]

    def _is_silent(self, batch: str) -> bool:
        beat = read_worker(self._folder, batch).get("beat", 0)
        before, seen = self._beats.get(batch, (-1, 0.0))
        if beat != before or not beat:  # one that has said nothing yet may still wait for its turn
            self._beats[batch] = beat, time.monotonic()
            return False
        return time.monotonic() - seen > self._lost_s

    def last_line(self, batch: str) -> str:
        """The last line that a worker printed, for one that ended before it could say anything."""
        with suppress(OSError):
            lines = log_file(self._folder, batch).read_text(encoding="utf-8", errors="replace").split("\n")
            return shortened(next((line.strip() for line in reversed(lines) if line.strip()), ""), MAX_QUOTED)
        return ""

    def stop(self) -> list[Ended]:
        """Asks all workers to stop, waits for their checkpoints, and kills those that do not end.

        One that only another host could kill is left with the file that asks it to stop.
        """
        handles = self._handles()
        for batch in self._records:
            cancel_batch_file(self._folder, batch).touch()
        try:
            if handles:
                self._engine.cancel(handles)
            began = time.monotonic()
            while any(state != "gone" for state in self._engine.states(handles).values()) or self._at_work_elsewhere():
                if time.monotonic() - began > STOP_GRACE_S:
                    break
                time.sleep(max(STOP_POLL_S, self._engine.poll_s))
        finally:
            self._engine.cancel(handles, now=True)
            for batch in self._at_work_elsewhere():
                del self._records[batch], self._elsewhere[batch]
        return [(batch, record, read_worker(self._folder, batch), "") for batch, record in self._records.items()]

    def _at_work_elsewhere(self) -> list[str]:
        return [batch for batch in self._elsewhere if self._works_elsewhere(batch)]

    def forget(self) -> None:
        """Leaves all batches as they are: another run of the study watches them now."""
        self._records.clear()
        self._elsewhere.clear()

    def put_away(self, batch: str) -> None:
        """Moves the files of a batch that has ended; they say which worker made what."""
        self._records.pop(batch, None)
        self._elsewhere.pop(batch, None)
        self._beats.pop(batch, None)
        put_away(self._folder, batch)
