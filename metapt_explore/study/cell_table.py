"""The cells of a run on an engine as people see them: which wait, run, are finished, have failed, and at which worker.

The run writes ``studies/<name>/cells/cells.json``: what it waits for, has, and could not get. What workers say of their
cells meanwhile is newer, and is laid over it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.processes import identity, is_same
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import read_job
from metapt_explore.study.worker_file import cell_states, cells_folder

#: States of a cell, in the order in which people want to see them. A worker has those that are `submitted`, but its
#: process may still wait in a queue.
STATES = ("running", "stopped", "lost", "failed", "submitted", "waiting", "finished")


class CellRow(TypedDict, total=False):
    """One cell.

    Attributes:
        key: Its key.
        state: One of `STATES`.
        worker: Who makes or made it; empty where nobody does, or it was there before.
        fraction: Its finished share.
        reason: Why it failed.
    """

    key: str
    state: str
    worker: str
    fraction: float
    reason: str


class CellTable:
    """The file of a run, written where something changed.

    Args:
        workspace: The workspace.
        name: The study.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._file = table_file(workspace, name)
        self._made_by: dict[str, str] = {}
        #: A run asks for its cells part by part; those of earlier parts stay.
        self._rows: dict[str, CellRow] = {}

    def made(self, keys: Iterable[str], worker: str) -> None:
        """Cells that a worker has computed."""
        self._made_by.update(dict.fromkeys(keys, worker))

    def write(self, keys: Iterable[str], *, done: set[str], failed: Mapping[str, str]) -> None:
        """Writes how the cells stand.

        Args:
            keys: All of them, in the study's order.
            done: Those that are there.
            failed: Why others cannot be made.
        """
        rows = dict(self._rows)
        for key in keys:
            row: CellRow = {"key": key, "state": "finished" if key in done else "waiting"}
            if key in done and key in self._made_by:
                row["worker"] = self._made_by[key]
            elif key in failed:
                row["state"], row["reason"] = "failed", failed[key]
            rows[key] = row
        if rows != self._rows:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, {"process": identity(), "cells": list(rows.values())})
            self._rows = rows


def table_file(workspace: Workspace, name: str) -> Path:
    """Where it lies."""
    return cells_folder(workspace, name) / "cells.json"


def cell_table(workspace: Workspace, name: str) -> list[CellRow]:
    """The cells of a study's run on an engine, those that change first; empty where it runs on none."""
    record = read_json(table_file(workspace, name))
    is_of_this_run = isinstance(record, dict) and is_same(
        record.get("process"), read_job(workspace, name).get("process")
    )
    written = cast(list[CellRow], record.get("cells", [])) if is_of_this_run else []
    rows: dict[str, CellRow] = {}
    for row in written:
        usual: CellRow = {"worker": "", "fraction": 1.0 if row["state"] == "finished" else 0.0, "reason": ""}
        rows[row["key"]] = {**usual, **row}
    for said in cell_states(workspace, name):
        state = "finished" if said["state"] == "made" else said["state"]
        if rows.get(said["key"], {}).get("state") not in ("finished", "failed"):
            rows[said["key"]] = CellRow(
                key=said["key"], state=state, worker=said["worker"], fraction=said["fraction"], reason=""
            )
    return sorted(rows.values(), key=lambda row: STATES.index(row["state"]))


def format_counts(rows: Sequence[CellRow]) -> str:
    """How many cells stand how, in words.

    Example:
        >>> format_counts([{"key": "a", "state": "running"}, {"key": "b", "state": "finished"}])
        '2 cells: 1 running, 1 finished'
    """
    counts = Counter(row["state"] for row in rows)
    parts = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    return f"{len(rows)} cell{'s' * (len(rows) != 1)}: {', '.join(parts)}"
