"""Decisions and rows as a published record keeps them: every class score and facts of every scored row, never a text.

A row is known by its number in the task's few-shot rows and by a hash of its text: whoever has the same rows finds
their texts again, nobody reads them out of a record.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from metapt_explore.config import StudyConfig
from metapt_explore.fewshot.predictions import SCORE
from metapt_explore.results.predictions import FIRST, predictions_of, split_of
from metapt_explore.results.row_facts import is_told, row_facts
from metapt_explore.statistics.calibration import OF_PREDICTED
from metapt_explore.storage.workspace import Workspace

#: Bytes of class scores above which a record keeps two of each decision: of the class chosen, and of the right one.
MOST_BYTES = 20 * 2**20
#: The second; the first is `calibration.OF_PREDICTED`.
OF_LABEL = "of_label"
#: What identifies a row of a record, and a score.
ROW, CELL = ["task", "row"], ["method", "task", "data_seed", "init_seed"]


def recorded_decisions(
    workspace: Workspace, config: StudyConfig, tasks: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All decisions of a study at its own number of examples, and facts of the rows that they are about.

    Args:
        workspace: Where artifacts lie.
        config: The study.
        tasks: Its tasks.

    Returns:
        Predictions as `predictions_of` returns them, tasks below one another (scores of classes that a task has not
        are missing; see `compacted`), and rows: ``task``, ``row`` and what `row_facts` says, without texts.
    """
    decisions, rows = [], []
    for task in tasks:
        predictions = predictions_of(workspace, config.name, task)
        if len(predictions):
            split = split_of(workspace, config, task)
            facts = row_facts(workspace, config.name, split).loc[sorted(set(predictions["row"]))]
            told = facts[[name for name in facts if is_told(str(name))]].rename_axis("row").reset_index()
            decisions.append(predictions)
            rows.append(told.assign(task=task)[["task", *told.columns]])
    if not decisions:
        return pd.DataFrame(), pd.DataFrame()
    return compacted(_listed(pd.concat(decisions, ignore_index=True))), pd.concat(rows, ignore_index=True)


def compacted(predictions: pd.DataFrame) -> pd.DataFrame:
    """The same decisions with two scores each, where all class scores would take more than `MOST_BYTES`.

    Args:
        predictions: Of any tasks.

    Returns:
        With ``of_predicted`` and ``of_label`` (log-probability of the class chosen, missing for a word of no class,
        and of the right one) in the place of ``score_0`` …; unchanged where there is room.
    """
    columns = score_columns(predictions)
    if 2 * int(predictions[columns].notna().to_numpy().sum()) <= MOST_BYTES:
        return predictions
    logs = predictions[columns].to_numpy(dtype=np.float16)
    every = np.arange(len(predictions))
    predicted, label = (predictions[name].to_numpy(dtype=np.int64) for name in ("predicted", "label"))
    chosen = np.where(predicted >= 0, logs[every, predicted], np.float16("nan"))
    two = {OF_PREDICTED: chosen.astype(np.float16), OF_LABEL: logs[every, label]}
    return predictions.drop(columns=columns).assign(**two)


def score_columns(predictions: pd.DataFrame) -> list[str]:
    """Columns of class scores, in the order of the classes."""
    columns = [str(name) for name in predictions if str(name).startswith(SCORE)]
    return sorted(columns, key=lambda name: int(name.removeprefix(SCORE)))


def _listed(predictions: pd.DataFrame) -> pd.DataFrame:
    """Names as categories: they stand once, however many decisions there are."""
    names = {name: predictions[name].astype("category") for name in ("method", "task")}
    return predictions[[*FIRST, *score_columns(predictions)]].assign(**names)


def joined_decisions(older: pd.DataFrame, newer: pd.DataFrame, scored: pd.DataFrame) -> pd.DataFrame:
    """Decisions of two records of a study.

    Args:
        older: Of the older record.
        newer: Of the newer one.
        scored: The newer record's scores: an older decision behind a score that was made anew is not kept.
    """
    if older.empty:
        return newer
    kept = older[~_cells(older).isin(_cells(scored))]
    if kept.empty or newer.empty:
        return (newer if kept.empty else kept).reset_index(drop=True)
    plain = [table.astype({name: object for name in ("method", "task")}) for table in (kept, newer)]
    stacked = pd.concat(plain, ignore_index=True)
    return stacked.assign(**{name: stacked[name].astype("category") for name in ("method", "task")})


def lost_decisions(older: pd.DataFrame, newer: pd.DataFrame) -> list[tuple[object, ...]]:
    """Scores (method, task, data seed, initialisation seed) of which only the older record keeps every decision.

    Args:
        older: Decisions of the older record.
        newer: Decisions of the one that would replace it. A score counts as kept where it has as many rows as before.

    Example:
        >>> cell = {"method": "PT", "task": "mood", "data_seed": 1, "init_seed": 5}
        >>> older = pd.DataFrame([{**cell, "row": 0}, {**cell, "row": 1}])
        >>> [list(score) for score in lost_decisions(older, older.iloc[:1])]
        [['PT', 'mood', 1, 5]]
    """
    if older.empty:
        return []
    counts = _cells(older).value_counts()
    now = _cells(newer).value_counts().reindex(counts.index).fillna(0) if len(newer) else 0 * counts
    return sorted(counts.index[counts > now], key=str)


def joined_rows(older: pd.DataFrame, newer: pd.DataFrame) -> pd.DataFrame:
    """Rows of two records of a study; of a row that both have what the newer says."""
    if older.empty or newer.empty:
        return newer if older.empty else older
    return pd.concat([newer, older], ignore_index=True).drop_duplicates(ROW, ignore_index=True)


def _cells(table: pd.DataFrame) -> pd.MultiIndex:
    plain = table[CELL].astype({"method": object, "task": object, "init_seed": "Int64"})
    return pd.MultiIndex.from_frame(plain.fillna({"init_seed": -1}))
