"""Rows of a task on their way into splits: read, freed of duplicates, by class, balanced, counted."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features

from metapt_explore.config import SourceConfig, TaskConfig
from metapt_explore.config.label_values import class_of_values
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.texts.messages import shown
from metapt_explore.texts.normalise import comparison_key
from metapt_explore.texts.rows import TextInput, as_inputs, duplicate_key, missing_among
from metapt_explore.texts.sources import load_source

#: Text or pair of texts, and class name.
Row = tuple[TextInput, str]
#: Train and dev rows of each data seed, and test rows.
Parts = tuple[dict[int, list[Row]], dict[int, list[Row]], list[Row]]
#: Stands for the data seed in a file's name.
SEED_MARK = "{seed}"


@dataclass(frozen=True)
class Sizes:
    """Arguments of `splits.make_splits`; `shots` is 0 for all rows."""

    shots: int
    data_seeds: list[int]
    test_rows: int | None
    seed: int


def read_rows(
    task: TaskConfig, source: SourceConfig, dropped: Counter[str], *, blank: Counter[str] | None = None
) -> list[Row]:
    """Reads text and class name; rows without text or label are counted and left out.

    A label such as "nan" is one only where the task has a class of that value.
    """
    if source.starter is None and source.columns.label is None:
        raise UserError(f"Task '{task.name}': {source.name} needs a label column; set `columns: {{label: ...}}`.")
    loaded = load_source(source)
    names = class_of_values(task.labels, filter(None, loaded["label"]))
    rows: list[Row] = []
    texts: list[TextInput] = list(loaded["text"])
    if task.pairs:
        texts = list(zip(loaded["text"], loaded["text_pair"], strict=True))
    for number, (text, value) in enumerate(zip(texts, loaded["label"], strict=True), 1):
        if value is None:
            dropped["unlabelled"] += 1
            continue
        if value not in names and value in missing_among({value, *names}):
            dropped["unlabelled"] += 1
            continue
        if value not in names:
            raise UserError(
                f"Task '{task.name}': row {number} of {source.name} has the label '{shown(value)}', which the task "
                f"file does not know. {did_you_mean(value, [label.value for label in task.labels.values()])}"
            )
        if not all(part.strip() for part in ([text] if isinstance(text, str) else text)):
            dropped["blank"] += 1
            if blank is not None:
                blank[names[value]] += 1
            continue
        rows.append((text, names[value]))
    return rows


def rows_by_class(task: TaskConfig, rows: list[Row]) -> dict[str, list[Row]]:
    """Groups rows by class, in the order of the task file, classes without rows included."""
    by_class: dict[str, list[Row]] = {label: [] for label in task.labels}
    for row in rows:
        by_class[row[1]].append(row)
    return by_class


def balanced(by_class: dict[str, list[Row]], limit: int | None, order: np.random.Generator) -> list[Row]:
    """Takes the first rows of each class, as evenly as the classes reach, and mixes the classes."""
    quota = dict.fromkeys(by_class, 0)
    left = sum(map(len, by_class.values())) if limit is None else limit
    while left > 0 and (open_classes := [label for label, rows in by_class.items() if quota[label] < len(rows)]):
        share = max(left // len(open_classes), 1)
        for label in open_classes[:left]:
            taken = min(share, len(by_class[label]) - quota[label])
            quota[label] += taken
            left -= taken
    rows = [row for label, of_class in by_class.items() for row in of_class[: quota[label]]]
    return [rows[index] for index in order.permutation(len(rows))]


def without_duplicates(rows: list[Row], dropped: Counter[str]) -> list[Row]:
    """Keeps the first of equal texts, and none where they disagree about the class.

    A pair and the same in the other order are equal, but do not disagree: what follows from what depends on the order.
    """
    classes: dict[str, set[str]] = {}
    keys = row_keys(rows)
    in_order = ["\n".join(map(comparison_key, [text] if isinstance(text, str) else text)) for text, _ in rows]
    for ordered, (_, label) in zip(in_order, rows, strict=True):
        classes.setdefault(ordered, set()).add(label)
    distinct: list[Row] = []
    seen: set[str] = set()
    for key, ordered, row in zip(keys, in_order, rows, strict=True):
        if len(classes[ordered]) > 1:
            dropped["conflicting"] += 1
        elif key in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(key)
            distinct.append(row)
    return distinct


def row_keys(rows: list[Row]) -> list[str]:
    """What equal rows have in common; of a pair both texts count, in either order."""
    return [duplicate_key(text) for text, _ in rows]


def as_dataset(rows: list[Row], *, pairs: bool) -> Dataset:
    """Rows as a data set with the columns text, text_pair (where rows are pairs) and label."""
    columns = {
        "text": [text[0] if pairs else text for text, _ in rows],
        **({"text_pair": [text[1] for text, _ in rows]} if pairs else {}),
        "label": [label for _, label in rows],
    }
    table = pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})
    # Its name in the cache of `datasets`, which takes twenty times as long to find one as rows take to be read.
    named = checksum([*rows, (str(pairs), "")])
    return Dataset(table, DatasetInfo(features=Features.from_arrow_schema(table.schema)), fingerprint=named[:16])


def checksum(rows: list[Row]) -> str:
    """SHA-256 of texts and labels."""
    return hashlib.sha256(json.dumps(rows, ensure_ascii=True).encode()).hexdigest()


def some_rows(task: TaskConfig, where: str, label: str, *, rows: int) -> None:
    """Raises where a class has no row at all."""
    if not rows:
        raise UserError(
            f"Task '{task.name}': no usable row of {where} has the label '{task.labels[label].value}' of the class "
            f"'{label}'. Correct `labels.{label}.value` in the task file, or take the class out."
        )


def enough_rows(task: TaskConfig, where: str, label: str, *, rows: int, shots: int) -> None:
    """Raises where a class has fewer rows than examples are asked for."""
    some_rows(task, where, label, rows=rows)
    if rows < shots:
        raise UserError(
            f"Task '{task.name}': class '{label}' of {where} has {rows} rows, but {shots} shots are asked for. "
            f"Lower `shots` to {max(rows, 1)} or less, or give more rows."
        )


def with_groups(rows: pd.DataFrame, task: TaskConfig, data_seeds: Sequence[int]) -> pd.DataFrame:
    """Adds the known group of each row, where a source of the task names a column of groups; errors are cut by it.

    Args:
        rows: Columns text and, for pairs, text_pair.
        task: The task.
        data_seeds: Seeds that stand in for ``{seed}`` in names of files.

    Returns:
        The same with a column ``group``, missing where none is known; unchanged where no source names one.
    """
    groups: dict[TextInput, str] = {}
    sources = [source for source in task.sources if source.columns.group]
    for source in sources:
        by_seed = "{seed}" in (source.file or "")
        for seed in data_seeds if by_seed else [None]:
            file = str(source.file).replace("{seed}", str(seed)) if by_seed else source.file
            loaded = load_source(source.model_copy(update={"file": file})).to_pandas()
            inputs = as_inputs(loaded if task.pairs else loaded[["text"]])
            for text, group in zip(inputs, loaded["group"], strict=True):
                if isinstance(group, str):
                    groups.setdefault(text, group)
    return rows.assign(group=[groups.get(text) for text in as_inputs(rows)]) if sources else rows
