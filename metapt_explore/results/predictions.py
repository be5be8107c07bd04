"""What methods and baselines said of the scored rows, out of a study's artifacts; reads files only."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from metapt_explore.config import StudyConfig
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.fewshot.predictions import SCORE
from metapt_explore.results.tables import OTHER_SHOTS, ordered_index
from metapt_explore.stages.base import listed_at
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace

#: What names a decision, before what was decided.
FIRST = ["method", "task", "init_seed", "data_seed", "row", "label", "predicted"]


def predictions_of(
    workspace: Workspace, study: str, task: str, *, shots: int | None = None, methods: list[str] | None = None
) -> pd.DataFrame:
    """Every decision of the finished methods and baselines of a study on a task.

    Args:
        workspace: Where artifacts lie.
        study: The study.
        task: One of its tasks.
        shots: One of `evaluation.more_shots`; the study's own number of examples when absent.
        methods: Only these methods and baselines.

    Returns:
        Columns ``method``, ``task``, ``init_seed`` (absent for baselines without initialisation), ``data_seed``,
        ``row``, ``label``, ``predicted`` (class indices, −1 for a word of no class) and ``score_0`` …
        (log-probabilities).
        Scores that an earlier version made have no predictions and are left out.
    """
    kinds = ("fewshot", "baseline") if shots is None else OTHER_SHOTS
    frames = []
    for entry in ordered_index(workspace, study):
        if entry["kind"] not in kinds or entry["task"] != task or entry.get("shots") != shots:
            continue
        if methods is not None and entry["method"] not in methods:
            continue
        artifact = workspace.artifact(entry["id"])
        if artifact.finished and keeps_predictions(artifact):
            table = artifact.table("predictions")
            init_seed = pd.array([entry.get("init_seed", pd.NA)] * len(table), dtype="Int64")
            frames.append(table.assign(method=entry["method"], task=task, init_seed=init_seed))
    if not frames:
        return pd.DataFrame(columns=FIRST)
    stacked = pd.concat(frames, ignore_index=True)
    return stacked[[*FIRST, *(column for column in stacked if str(column).startswith(SCORE))]]


def keeps_predictions(score: Artifact) -> bool:
    """Whether a score has predictions with labels: scores of earlier versions have none."""
    import pyarrow.parquet as pq

    file = Path(score.folder) / "predictions.parquet"
    return file.exists() and "label" in pq.read_schema(file).names


def split_of(workspace: Workspace, config: StudyConfig, task: str, shots: int | None = None) -> Artifact:
    """The finished few-shot rows of a task.

    Raises:
        UserError: Where there are none.
    """
    entries = [entry for entry in ordered_index(workspace, config.name) if entry["kind"] == listed_at("split", shots)]
    for entry in entries:
        artifact = workspace.artifact(entry["id"])
        if entry["task"] == task and entry.get("shots") == shots and artifact.finished:
            return artifact
    known = sorted({entry["task"] for entry in entries})
    raise UserError(f"'{config.name}' has no finished few-shot rows of a task '{task}'. {did_you_mean(task, known)}")
