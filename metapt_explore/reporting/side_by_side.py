"""Scores of methods of any studies, side by side, as far as they were measured on the same few-shot rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from metapt_explore.reporting.notes import grounds_of
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.results.record import Record, scores_of
from metapt_explore.statistics.ground import TaskGround
from metapt_explore.storage.workspace import Workspace


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Two methods, ready for `statistics.compare`.

    Attributes:
        results: Their scores; ``method`` holds the two names.
        first: What the first method is called there.
        second: The same of the second.
        notes: What was left out, and why.
        grounds: What their verdict stands on, by task.
        stands_for: Of the first and of the second the methods whose scores it joins; empty where it is one method.
    """

    results: pd.DataFrame
    first: str
    second: str
    notes: list[str] = field(default_factory=list)
    stands_for: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    grounds: dict[str, TaskGround] = field(default_factory=dict)


def side_by_side(workspace: Workspace, first: tuple[str, str], second: tuple[str, str]) -> SideBySide:
    """Puts two methods side by side.

    Scores of two studies can be compared where both were tuned and tested on the same rows: tasks whose few-shot rows
    differ (other shots, test rows, seeds or data) are left out.

    Args:
        workspace: Where both studies are.
        first: Study and method; or what stands for a method under several seeds, see `over_seeds`.
        second: The same of what it is compared with.

    Raises:
        UserError: Where there is no such study.
    """
    if first[0] == second[0]:
        return within(scores_of(workspace, first[0]), first[1], second[1])
    names = [f"{study}: {method}" for study, method in (first, second)]
    records = [scores_of(workspace, study) for study in (first[0], second[0])]
    tables, members = [], []
    for record, (_, method), name in zip(records, (first, second), names, strict=True):
        table, joined = _of_method(record, method)
        tables.append(table.assign(method=name, study=record.name))
        members.append(joined)
    notes: list[str] = []
    splits = [_splits(workspace, study) for study in (first[0], second[0])]
    tasks = [set(table["task"]) for table in tables]
    same = {task for task in tasks[0] & tasks[1] if splits[0].get(task) == splits[1].get(task)}
    if differ := sorted((tasks[0] & tasks[1]) - same):
        notes.append(f"Not compared, because the two studies have other few-shot rows there: {', '.join(differ)}.")
    if alone := sorted(tasks[0] ^ tasks[1]):
        notes.append(f"Only one of the two has scores on: {', '.join(alone)}.")
    whole = pd.concat([table[table["task"].isin(same)] for table in tables], ignore_index=True)
    return SideBySide(whole, names[0], names[1], notes, (members[0], members[1]), grounds_of(records[0]))


def within(record: Record, first: str, second: str) -> SideBySide:
    """Puts two methods of one study side by side.

    Args:
        record: The study's scores, of a workspace or published.
        first: A method; or what stands for a method under several seeds, see `over_seeds`.
        second: What it is compared with.
    """
    tables, members = zip(*(_of_method(record, method) for method in (first, second)), strict=True)
    notes = [
        f"{method} is one of the methods that the other stands for: their scores are not independent."
        for method, joined in zip((second, first), members, strict=True)
        if method in joined
    ]
    return SideBySide(pd.concat(tables, ignore_index=True), first, second, notes, members, grounds_of(record))


def _of_method(record: Record, method: str) -> tuple[pd.DataFrame, list[str]]:
    """Scores of a method, and the methods that it stands for."""
    table, joined = record.results, []
    if method not in set(table["method"]):
        swept = over_seeds(table, record.study)
        table, joined = swept.results, swept.stands_for.get(method, [])
    return table[table["method"] == method].assign(study=record.name), joined


def _splits(workspace: Workspace, study: str) -> dict[str, str]:
    """The artifact of few-shot rows that a study's scores were made on, by task."""
    return {entry["task"]: entry["id"] for entry in workspace.current_index(study) if entry["kind"] == "split"}
