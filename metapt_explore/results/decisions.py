"""Decisions of a task's methods with the rows they are about, out of a workspace or of a published record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pandas as pd

from metapt_explore.config import StudyConfig
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.results.kept_rows import score_columns
from metapt_explore.results.predictions import predictions_of, split_of
from metapt_explore.results.record import Record
from metapt_explore.results.row_facts import row_facts, row_id, slicings
from metapt_explore.statistics.errors import by_slice
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.rows import as_inputs

#: Columns of `TaskDecisions.slice_table`.
SLICES = ["by", "slice", "rows", "method", "accuracy", "low", "high"]


@dataclass(frozen=True, eq=False)
class TaskDecisions:
    """What methods and baselines said of the scored rows of a task.

    Attributes:
        task: The task.
        classes: Names of its classes, in the order of their indices.
        predictions: What `predictions_of` returns; in a large record without ``score_0`` … (`kept_rows.compacted`).
        rows: A row for each scored row, by its number: ``id``, ``label``, and what else is known of it (`row_facts`);
            ``text`` (and ``text_pair``) where it is at hand.
    """

    task: str
    classes: list[str]
    predictions: pd.DataFrame
    rows: pd.DataFrame

    @property
    def methods(self) -> list[str]:
        """Methods and baselines that keep decisions, in the order of the study."""
        return [str(name) for name in dict.fromkeys(self.predictions["method"])]

    def of(self, method: str) -> pd.DataFrame:
        """The decisions of a method.

        Raises:
            UserError: Where it has none; it names the nearest that has.
        """
        own = self.predictions[self.predictions["method"] == method]
        if own.empty:
            raise UserError(
                f"No decisions of '{method}' on '{self.task}' are kept. {did_you_mean(method, self.methods)} Scores "
                "of earlier versions have none: run the study in a new workspace."
            )
        return own

    @property
    def shown(self) -> pd.DataFrame:
        """What is shown of each row, by its number: its text or texts; its ``id`` where the text is not at hand."""
        if "text" not in self.rows:
            return pd.DataFrame({"row": self.rows["id"].astype(str)})
        texts = self.rows["text"].where(self.rows["text"].notna(), "row " + self.rows["id"].astype(str))
        shown = pd.DataFrame({"text": texts.astype(str)})
        if "text_pair" in self.rows:
            shown["second text"] = self.rows["text_pair"].fillna("").astype(str)
        return shown

    def slice_table(self, methods: Sequence[str] | None = None) -> pd.DataFrame:
        """Accuracy in parts of the scored rows, in every way that the facts of rows allow.

        Args:
            methods: Only these.

        Returns:
            Columns ``by`` (what rows are cut by), ``slice``, ``rows``, ``method``, ``accuracy``, and ``low`` and
            ``high`` of an interval over rows (`statistics.errors.by_slice`).
        """
        names = self.methods if methods is None else list(methods)
        tables = [
            by_slice(self.of(method), slices).assign(by=by, method=method)
            for by, slices in slicings(self.rows, self.classes).items()
            for method in names
        ]
        return pd.concat(tables, ignore_index=True)[SLICES] if tables else pd.DataFrame(columns=SLICES)


def decisions_in(workspace: Workspace, config: StudyConfig, task: str, shots: int | None = None) -> TaskDecisions:
    """The decisions of a study in a workspace on a task.

    Args:
        workspace: Where artifacts lie.
        config: The study.
        task: One of its tasks.
        shots: One of `evaluation.more_shots`; the study's own number of examples when absent.

    Raises:
        UserError: Where the task has no rows here.
    """
    split = split_of(workspace, config, task, shots)
    predictions = predictions_of(workspace, config.name, task, shots=shots)
    rows = row_facts(workspace, config.name, split).loc[sorted(set(predictions["row"]))]
    return TaskDecisions(task, list(split.stage["config"]["labels"]), predictions, rows)


def recorded_tasks(record: Record) -> list[str]:
    """Tasks of which a record keeps decisions, in its order."""
    kept = set(record.predictions["task"]) if len(record.predictions) else set()
    return [task["name"] for task in record.tasks if task["name"] in kept]


def decisions_of(record: Record, task: str, workspace: Workspace | None = None) -> TaskDecisions:
    """The decisions that a published record keeps of a task.

    Args:
        record: The record.
        task: One of its tasks.
        workspace: Whose own few-shot rows of a task of this name are looked through for the texts; none are shown
            where it has not the same rows.

    Raises:
        UserError: Where the record keeps none of the task.
    """
    known = recorded_tasks(record)
    if task not in known:
        raise UserError(f"The record keeps no decisions on a task '{task}'. {did_you_mean(task, known)}")
    of_task = record.predictions[record.predictions["task"] == task]
    empty = [name for name in score_columns(of_task) if of_task[name].isna().all()]  # classes of other tasks
    predictions = of_task.drop(columns=empty).astype({"method": object, "task": object}).reset_index(drop=True)
    rows = record.rows[record.rows["task"] == task].drop(columns="task").set_index("row")
    rows = rows.dropna(axis="columns", how="all").sort_index()
    if workspace is not None:
        for texts in _texts(workspace, task):
            here = rows["id"].isin(texts.index)
            if here.any():
                rows = rows.join(texts, on="id")
                break
    classes = next(entry["classes"] for entry in record.tasks if entry["name"] == task)
    return TaskDecisions(task, list(classes), predictions, rows)


def _texts(workspace: Workspace, task: str) -> Iterator[pd.DataFrame]:
    """Texts by the id of their row, for each study of the workspace that has rows of the task."""
    seen: set[str] = set()
    for study in workspace.study_names():
        with suppress(UserError, OSError):  # a study that cannot be read has no texts to show
            for entry in workspace.index(study):
                artifact = workspace.artifact(entry["id"])
                if entry["kind"].startswith("split") and entry.get("task") == task and artifact.id not in seen:
                    seen.add(artifact.id)
                    if artifact.finished:
                        rows = artifact.table("rows")
                        texts = rows[[name for name in ("text", "text_pair") if name in rows]]
                        texts.index = pd.Index([row_id(text) for text in as_inputs(rows)], name="id")
                        yield texts[~texts.index.duplicated()]
