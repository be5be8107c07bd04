"""Whether decisions that somebody else recorded can be counted: columns, kinds, classes, and each decision once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.api import types

from metapt_explore.errors import UserError, shortened
from metapt_explore.fewshot.predictions import SCORE
from metapt_explore.results.kept_rows import CELL, OF_LABEL, ROW
from metapt_explore.results.predictions import FIRST
from metapt_explore.results.row_facts import SIMILARITY
from metapt_explore.statistics.calibration import OF_PREDICTED

#: A class's number, as the name of a column of scores ends.
NUMBER = re.compile(r"0|[1-9][0-9]*")


def check_decisions(predictions: pd.DataFrame, rows: pd.DataFrame, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Checks the decisions of a record and the rows that they are about.

    Args:
        predictions: Every decision, see `kept_rows`; nothing is asked of the tables where there are none.
        rows: The rows.
        tasks: What the record says of its tasks.

    Raises:
        UserError: Naming the file, the column or task, and what is wrong with it.
    """
    if not len(predictions):
        return
    for file, table, needed in (("predictions", predictions, FIRST), ("rows", rows, [*ROW, "id", "label"])):
        missing = [name for name in needed if name not in table]
        if missing:
            raise UserError(f"{file}.parquet has no column {', '.join(map(repr, missing))}; decisions need it.")
    _each("predictions", predictions, ("method", "task"), _is_text, "text")
    _each("predictions", predictions, ("data_seed", "row", "label", "predicted"), _is_whole, "whole numbers")
    _each("predictions", predictions, ("init_seed",), _is_seed, "whole numbers or nothing")
    _each("rows", rows, ("task", "id", "label"), _is_text, "text")
    _each("rows", rows, ("row",), _is_whole, "whole numbers")
    _each("rows", rows, [name for name in ("words", SIMILARITY) if name in rows], _is_number, "numbers or nothing")
    scores = [str(name) for name in predictions if str(name).startswith(SCORE)]
    for name in scores:
        if not NUMBER.fullmatch(name.removeprefix(SCORE)):
            raise UserError(f"predictions.parquet: column '{shortened(name)}' is the score of no class.")
    pair = [name for name in (OF_PREDICTED, OF_LABEL) if name in predictions]
    _each("predictions", predictions, [*scores, *pair], types.is_float_dtype, "numbers (float16)")
    classes = _classes(tasks)
    for task, said in predictions.groupby("task", observed=True):
        names = classes.get(str(task))
        if names is None:
            raise UserError(f"predictions.parquet has a task '{task}' that record.json does not list with classes.")
        low, high = said[["label", "predicted"]].min(), said[["label", "predicted"]].max()
        if low["label"] < 0 or low["predicted"] < -1 or high.max() >= len(names):
            raise UserError(
                f"predictions.parquet: task '{task}' has classes 0 to {len(names) - 1}, and others stand there."
            )
        _check_scores(str(task), said, scores, len(names))
        known = rows.loc[rows["task"] == task, "row"]
        if known.duplicated().any() or not said["row"].isin(known).all():
            raise UserError(f"rows.parquet must hold each row of '{task}' that predictions.parquet names, once.")
    _check_once(predictions)


def _classes(tasks: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Names of the classes by task, of those that have any; of a task that stands twice the first, as everywhere."""
    found: dict[str, Any] = {}
    for task in tasks if isinstance(tasks, list) else []:
        if isinstance(task, dict) and isinstance(task.get("name"), str):
            found.setdefault(task["name"], task.get("classes"))
    for name, names in found.items():
        wrong = not isinstance(names, list) or not all(isinstance(each, str) for each in names)
        if names and (wrong or len(set(names)) < len(names)):
            raise UserError(f"record.json: task '{name}': 'classes' must be a list of names, each once.")
    return {name: names for name, names in found.items() if names}


def _check_once(predictions: pd.DataFrame) -> None:
    """Decisions of two methods are joined by their seeds and rows: what stands twice would be multiplied."""
    by_init = predictions["init_seed"].isna().groupby(predictions["method"], observed=True).nunique()
    if (by_init > 1).any():
        raise UserError(
            f"predictions.parquet: column 'init_seed' is missing for some decisions of '{by_init.idxmax()}' and not "
            "for others."
        )
    if predictions.duplicated([*CELL, "row"]).any():
        raise UserError(f"predictions.parquet has a decision twice (columns {', '.join(CELL)} and row are the same).")


def _check_scores(task: str, said: pd.DataFrame, scores: Sequence[str], classes: int) -> None:
    """A score for each class and no other, or that of the class chosen alone (`kept_rows.compacted`)."""
    known = {name for name in scores if said[name].notna().any()}
    needed = [f"{SCORE}{index}" for index in range(classes)]
    if known:
        wrong = [name for name in needed if name not in known] or sorted(known.difference(needed))
        if wrong:
            does = "has no number" if wrong[0] in needed else "has numbers"
            raise UserError(
                f"predictions.parquet: column '{wrong[0]}' {does} for task '{task}', which has {classes} classes."
            )
        return
    chosen = said["predicted"] >= 0
    if OF_PREDICTED not in said or (chosen.any() and said.loc[chosen, OF_PREDICTED].isna().all()):
        raise UserError(
            f"predictions.parquet has no class scores for task '{task}': columns '{needed[0]}' to '{needed[-1]}', or "
            f"'{OF_PREDICTED}'."
        )


def _each(file: str, table: pd.DataFrame, names: Sequence[str], fits: Callable[[pd.Series], bool], kind: str) -> None:
    for name in names:
        if not fits(table[name]):
            raise UserError(f"{file}.parquet: column '{name}' must hold {kind}.")


def _is_text(column: pd.Series) -> bool:
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    return not column.isna().any() and bool(types.is_string_dtype(values))


def _is_whole(column: pd.Series) -> bool:
    return bool(types.is_integer_dtype(column)) and not column.isna().any()


def _is_number(column: pd.Series) -> bool:
    plain = types.is_numeric_dtype(column) and not types.is_bool_dtype(column)
    return bool(plain or column.isna().all())


def _is_seed(column: pd.Series) -> bool:
    return _is_number(column) and bool((column.dropna().astype(float) % 1 == 0).all())
