"""Few-shot splits of a downstream task: K rows per class for train, as many for dev, and a test set.

Sampled splits (a task with `data`): each class is put in a fixed random order, whose first part is
for test and whose rest is the pool from which every data seed draws its train and dev rows. So all
data seeds, shots and test sizes of a study seed share one test order, and no test row is ever a
train or dev row. Published splits (a task with `splits`) are taken as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from datasets import Dataset, Features, Value

from metapt_explore.config import SourceConfig, TaskConfig
from metapt_explore.errors import UserError, nearest
from metapt_explore.seeds import stream
from metapt_explore.texts.normalise import comparison_key
from metapt_explore.texts.rows import TextInput, duplicate_key
from metapt_explore.texts.sources import load_source

SEED_MARK = "{seed}"

Row = tuple[TextInput, str]
"""Text or pair of texts, and class name."""


@dataclass(frozen=True)
class Splits:
    """The rows of a task; each data set has the columns text, text_pair (pair tasks) and label (a class name).

    Attributes:
        train: K rows per class, by data seed.
        dev: Another K rows per class, by data seed.
        test: The same rows for every data seed.
        dropped: Rows left out, by reason: ``blank``, ``unlabelled``, ``duplicate`` (a later copy)
            and ``conflicting`` (equal texts with different labels). Each file is counted once.
        checksums: SHA-256 of texts and labels, for ``test``, ``train/13``, ``dev/13`` and so on.
        warnings: What a reader of scores should know about published splits, as sentences: rows
            that stand in two splits, classes with fewer than K rows.
    """

    train: dict[int, Dataset]
    dev: dict[int, Dataset]
    test: Dataset
    dropped: dict[str, int]
    checksums: dict[str, str]
    warnings: list[str] = field(default_factory=list)


def make_splits(task: TaskConfig, shots: int, data_seeds: list[int], test_rows: int | None, seed: int) -> Splits:
    """Makes the train, dev and test rows of a task.

    With `data`, blank, unlabelled and repeated rows are dropped; test gets at most half of each
    class (less where train and dev need more). With `splits`, a file whose name holds ``{seed}``
    is read for each data seed and its first K rows per class are taken; without it, the data seed
    draws K rows per class (where train and dev are one source, another K of it for dev). Blank rows
    are dropped from published files too: a class of K published rows, one of them blank, gets K - 1.

    Args:
        task: The task file.
        shots: K, rows per class in train, and in dev.
        data_seeds: One train and one dev split is made for each.
        test_rows: Most rows of test, spread evenly over the classes as far as they reach; None for
            all there are.
        seed: The study seed.

    Returns:
        The splits. Equal arguments and data give equal checksums.

    Raises:
        UserError: If a class has too few rows, a published file is missing, or a label of the data
            is not in the task file.

    Example:
        >>> splits = make_splits(load_task("trec"), 16, [13, 21], 400, seed=0)  # doctest: +SKIP
        >>> len(splits.train[13]), len(splits.test)  # doctest: +SKIP
        (96, 400)
    """
    dropped: Counter[str] = Counter({"blank": 0, "unlabelled": 0, "duplicate": 0, "conflicting": 0})
    make = _sampled if task.data is not None else _published
    train, dev, test = make(task, shots, data_seeds, test_rows, seed, dropped)
    checksums = {"test": _checksum(test)}
    for data_seed in data_seeds:
        checksums[f"train/{data_seed}"] = _checksum(train[data_seed])
        checksums[f"dev/{data_seed}"] = _checksum(dev[data_seed])
    return Splits(
        train={data_seed: _dataset(rows, task.pairs) for data_seed, rows in train.items()},
        dev={data_seed: _dataset(rows, task.pairs) for data_seed, rows in dev.items()},
        test=_dataset(test, task.pairs),
        dropped=dict(dropped),
        checksums=checksums,
        warnings=_warnings(task, shots, train, dev, test),
    )


Parts = tuple[dict[int, list[Row]], dict[int, list[Row]], list[Row]]

# ------------------------------------------------------------------------------------ sampled splits


def _sampled(
    task: TaskConfig, shots: int, data_seeds: list[int], test_rows: int | None, seed: int, dropped: Counter[str]
) -> Parts:
    assert task.data is not None
    where = task.data.name
    by_class = _by_class(task, _without_duplicates(_read(task, task.data, dropped), dropped))
    candidates: dict[str, list[Row]] = {}
    pool: dict[str, list[Row]] = {}
    for label, rows in by_class.items():
        if len(rows) < 2 * shots + 1:
            raise UserError(
                f"Task '{task.name}': class '{label}' of {where} has {len(rows)} usable rows, but {shots} shots need "
                f"{2 * shots + 1} ({shots} for train, {shots} for dev, one for test). Lower `shots`, or give more data."
            )
        order = stream(seed, "splits", task.name, "test", label).permutation(len(rows))
        for_test = min(len(rows) // 2, len(rows) - 2 * shots)
        candidates[label] = [rows[index] for index in order[:for_test]]
        pool[label] = [rows[index] for index in order[for_test:]]

    train: dict[int, list[Row]] = {}
    dev: dict[int, list[Row]] = {}
    for data_seed in data_seeds:
        train[data_seed], dev[data_seed] = [], []
        for label, rows in pool.items():
            order = stream(seed, "splits", task.name, "train", data_seed, label).permutation(len(rows))
            train[data_seed] += [rows[index] for index in order[:shots]]
            dev[data_seed] += [rows[index] for index in order[shots : 2 * shots]]
    return train, dev, _balanced(candidates, test_rows, stream(seed, "splits", task.name, "test order"))


def _without_duplicates(rows: list[Row], dropped: Counter[str]) -> list[Row]:
    """Keeps the first of equal texts, and none where they disagree about the class.

    A pair and the same in the other order are equal, but do not disagree: what follows from what depends on the order.
    """
    classes: dict[str, set[str]] = {}
    keys = _keys(rows)
    in_order = ["\n".join(map(comparison_key, [text] if isinstance(text, str) else text)) for text, _ in rows]
    for ordered, (_, label) in zip(in_order, rows, strict=True):
        classes.setdefault(ordered, set()).add(label)
    kept: list[Row] = []
    seen: set[str] = set()
    for key, ordered, row in zip(keys, in_order, rows, strict=True):
        if len(classes[ordered]) > 1:
            dropped["conflicting"] += 1
        elif key in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(key)
            kept.append(row)
    return kept


# ---------------------------------------------------------------------------------- published splits


def _published(
    task: TaskConfig, shots: int, data_seeds: list[int], test_rows: int | None, seed: int, dropped: Counter[str]
) -> Parts:
    assert task.splits is not None
    if task.splits.train == task.splits.dev:
        train, dev = _drawn_together(task, shots, data_seeds, seed, dropped)
        return train, dev, _published_test(task, test_rows, seed, dropped)
    parts: dict[str, dict[int, list[Row]]] = {}
    for part, source in (("train", task.splits.train), ("dev", task.splits.dev)):
        if source.file is not None and SEED_MARK in source.file:
            parts[part] = {data_seed: _first(task, source, data_seed, shots, dropped) for data_seed in data_seeds}
        else:
            by_class = _by_class(task, _read(task, source, dropped))
            parts[part] = {}
            for data_seed in data_seeds:
                parts[part][data_seed] = []
                for label, rows in by_class.items():
                    _enough(task, source.name, label, len(rows), shots)
                    order = stream(seed, "splits", task.name, part, data_seed, label).permutation(len(rows))
                    parts[part][data_seed] += [rows[index] for index in order[:shots]]
    return parts["train"], parts["dev"], _published_test(task, test_rows, seed, dropped)


def _drawn_together(
    task: TaskConfig, shots: int, data_seeds: list[int], seed: int, dropped: Counter[str]
) -> tuple[dict[int, list[Row]], dict[int, list[Row]]]:
    """Train and dev out of one source: no row, and no text, is in both."""
    assert task.splits is not None
    source = task.splits.train
    by_class = _by_class(task, _without_duplicates(_read(task, source, dropped), dropped))
    train: dict[int, list[Row]] = {data_seed: [] for data_seed in data_seeds}
    dev: dict[int, list[Row]] = {data_seed: [] for data_seed in data_seeds}
    for label, rows in by_class.items():
        _enough(task, source.name, label, len(rows) // 2, shots)
        for data_seed in data_seeds:
            order = stream(seed, "splits", task.name, "train", data_seed, label).permutation(len(rows))
            train[data_seed] += [rows[index] for index in order[:shots]]
            dev[data_seed] += [rows[index] for index in order[shots : 2 * shots]]
    return train, dev


def _published_test(task: TaskConfig, test_rows: int | None, seed: int, dropped: Counter[str]) -> list[Row]:
    assert task.splits is not None
    test = _by_class(task, _read(task, task.splits.test, dropped))
    # The same order as for sampled splits: a smaller test set is a part of a larger one.
    for label, rows in test.items():
        order = stream(seed, "splits", task.name, "test", label).permutation(len(rows))
        test[label] = [rows[index] for index in order]
    if not any(test.values()):
        raise UserError(f"Task '{task.name}': {task.splits.test.name} holds no usable test row.")
    return _balanced(test, test_rows, stream(seed, "splits", task.name, "test order"))


def _first(task: TaskConfig, source: SourceConfig, data_seed: int, shots: int, dropped: Counter[str]) -> list[Row]:
    assert source.file is not None
    seeded = source.model_copy(update={"file": source.file.replace(SEED_MARK, str(data_seed))})
    blank: Counter[str] = Counter()
    try:
        rows = _read(task, seeded, dropped, blank)
    except UserError as error:
        raise UserError(f"Task '{task.name}', data seed {data_seed}: {error}") from None
    chosen: list[Row] = []
    for label, of_class in _by_class(task, rows).items():
        # Blank rows count as published, or one of them would make customary splits unusable.
        _enough(task, seeded.name, label, len(of_class) + blank[label] if of_class else 0, shots)
        chosen += of_class[:shots]
    return chosen


def _enough(task: TaskConfig, where: str, label: str, rows: int, shots: int) -> None:
    if rows < shots:
        raise UserError(
            f"Task '{task.name}': class '{label}' of {where} has {rows} rows, but {shots} shots are asked for. "
            f"Lower `shots` to {max(rows, 1)} or less, or give more rows."
        )


# --------------------------------------------------------------------------------------------- rows


def _read(
    task: TaskConfig, source: SourceConfig, dropped: Counter[str], blank: Counter[str] | None = None
) -> list[Row]:
    """Reads text and class name; rows without text or label are counted and left out."""
    if source.starter is None and source.columns.label is None:
        raise UserError(f"Task '{task.name}': {source.name} needs a label column; set `columns: {{label: ...}}`.")
    names = {label.value: name for name, label in task.labels.items()}
    loaded = load_source(source)
    rows: list[Row] = []
    texts: list[TextInput] = list(loaded["text"])
    if task.pairs:
        texts = list(zip(loaded["text"], loaded["text_pair"], strict=True))
    for number, (text, value) in enumerate(zip(texts, loaded["label"], strict=True), 1):
        if value is None:
            dropped["unlabelled"] += 1
            continue
        if value not in names:
            raise UserError(
                f"Task '{task.name}': row {number} of {source.name} has the label '{value}', which the task file does "
                f"not know. {nearest(value, names)}"
            )
        if not all(part.strip() for part in ([text] if isinstance(text, str) else text)):
            dropped["blank"] += 1
            if blank is not None:
                blank[names[value]] += 1
            continue
        rows.append((text, names[value]))
    return rows


def _by_class(task: TaskConfig, rows: list[Row]) -> dict[str, list[Row]]:
    """Groups rows by class, in the order of the task file, classes without rows included."""
    by_class: dict[str, list[Row]] = {label: [] for label in task.labels}
    for row in rows:
        by_class[row[1]].append(row)
    return by_class


def _balanced(by_class: dict[str, list[Row]], limit: int | None, order: np.random.Generator) -> list[Row]:
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


def _warnings(
    task: TaskConfig, shots: int, train: dict[int, list[Row]], dev: dict[int, list[Row]], test: list[Row]
) -> list[str]:
    found = []
    test_keys = set(_keys(test))
    for data_seed, train_rows in train.items():
        where = f"Task '{task.name}', data seed {data_seed}"
        parts = {"train": train_rows, "dev": dev[data_seed]}
        of = {part: set(_keys(rows)) for part, rows in parts.items()}
        for first, second, shared in (
            ("dev", "train", len(of["dev"] & of["train"])),
            ("train", "test", len(of["train"] & test_keys)),
            ("dev", "test", len(of["dev"] & test_keys)),
        ):
            if shared:
                found.append(f"{where}: texts that stand in both {first} and {second}: {shared}.")
        for part, rows in parts.items():
            counts = Counter(label for _, label in rows)
            found += [
                f"{where}: class '{label}' has {counts[label]} rows in {part} instead of {shots}; the others are blank."
                for label in task.labels
                if counts[label] < shots
            ]
    return found


def _keys(rows: list[Row]) -> list[str]:
    """What equal rows have in common; of a pair both texts count, in either order."""
    return [duplicate_key(text) for text, _ in rows]


def _dataset(rows: list[Row], pairs: bool) -> Dataset:
    columns = {
        "text": [text[0] if pairs else text for text, _ in rows],
        **({"text_pair": [text[1] for text, _ in rows]} if pairs else {}),
        "label": [label for _, label in rows],
    }
    return Dataset.from_dict(columns, features=Features({name: Value("string") for name in columns}))


def _checksum(rows: list[Row]) -> str:
    return hashlib.sha256(json.dumps(rows, ensure_ascii=True).encode()).hexdigest()
