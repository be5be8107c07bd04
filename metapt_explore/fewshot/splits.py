"""Few-shot splits of a downstream task: K rows per class for train, as many for dev, and a test set; or all rows.

Sampled splits (a task with `data`): each class is put in a fixed random order, whose first part is
for test and whose rest is the pool from which every data seed draws its train and dev rows. So all
data seeds, shots and test sizes of a study seed share one test order, and no test row is ever a
train or dev row. Published splits (a task with `splits`) are taken as they are.

With `shots: all` train is every row that there is for it (`all_rows.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from datasets import Dataset

from metapt_explore.config import SourceConfig, TaskConfig
from metapt_explore.errors import UserError
from metapt_explore.fewshot.all_rows import published_files, shared_out
from metapt_explore.fewshot.split_rows import (
    SEED_MARK,
    Parts,
    Row,
    Sizes,
    as_dataset,
    balanced,
    checksum,
    enough_rows,
    read_rows,
    row_keys,
    rows_by_class,
    some_rows,
    without_duplicates,
)
from metapt_explore.seeds import stream


class OfSeeds(Mapping[int, Dataset]):
    """Rows of each data seed, a data set when one is asked for: making it takes longer than drawing its rows.

    Args:
        rows: Rows by data seed.
        pairs: Whether texts are pairs.
    """

    def __init__(self, rows: Mapping[int, list[Row]], *, pairs: bool) -> None:
        self.rows, self._pairs = rows, pairs

    def __getitem__(self, data_seed: int) -> Dataset:
        return as_dataset(self.rows[data_seed], pairs=self._pairs)

    def __iter__(self) -> Iterator[int]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


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
        warnings: Sentences on published splits: rows that are in two splits, classes with fewer than K rows.
    """

    train: OfSeeds
    dev: OfSeeds
    test: Dataset
    dropped: dict[str, int]
    checksums: dict[str, str]
    warnings: list[str] = field(default_factory=list)


def make_splits(
    task: TaskConfig, shots: int | Literal["all"], data_seeds: list[int], *, test_rows: int | None, seed: int
) -> Splits:
    """Makes the train, dev and test rows of a task.

    With `data`, blank, unlabelled and repeated rows are dropped; test gets at most half of each
    class (less where train and dev need more). With `splits`, a file whose name holds ``{seed}``
    is read for each data seed and its first K rows per class are taken; without it, the data seed
    draws K rows per class (where train and dev are one source, another K of it for dev). Blank rows
    are dropped from published files too: a class of K published rows, one of them blank, gets K - 1.

    Args:
        task: The task file.
        shots: K, rows per class in train, and in dev; ``all`` for every row of the train file, and of the dev file.
            Where they are one source, `task.dev_share` of each class is dev.
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
        >>> splits = make_splits(load_task("trec"), 16, [13, 21], test_rows=400, seed=0)  # doctest: +SKIP
        >>> len(splits.train[13]), len(splits.test)  # doctest: +SKIP
        (96, 400)
    """
    dropped: Counter[str] = Counter({"blank": 0, "unlabelled": 0, "duplicate": 0, "conflicting": 0})
    make = _sampled if task.data is not None else _published
    train, dev, test = make(task, Sizes(0 if isinstance(shots, str) else shots, data_seeds, test_rows, seed), dropped)
    checksums = {"test": checksum(test)}
    for data_seed in data_seeds:
        checksums[f"train/{data_seed}"] = checksum(train[data_seed])
        checksums[f"dev/{data_seed}"] = checksum(dev[data_seed])
    return Splits(
        train=OfSeeds(train, pairs=task.pairs),
        dev=OfSeeds(dev, pairs=task.pairs),
        test=as_dataset(test, pairs=task.pairs),
        dropped=dict(dropped),
        checksums=checksums,
        warnings=_warnings(task, shots, (train, dev, test)),
    )


# ------------------------------------------------------------------------------------ sampled splits


def _sampled(task: TaskConfig, sizes: Sizes, dropped: Counter[str]) -> Parts:
    shots, data_seeds, seed = sizes.shots, sizes.data_seeds, sizes.seed
    assert task.data is not None
    where = task.data.name
    by_class = rows_by_class(task, without_duplicates(read_rows(task, task.data, dropped), dropped))
    candidates: dict[str, list[Row]] = {}
    pool: dict[str, list[Row]] = {}
    for label, rows in by_class.items():
        some_rows(task, where, label, rows=len(rows))
        least = shots or 1
        if len(rows) < 2 * least + 1:
            raise UserError(
                f"Task '{task.name}': class '{label}' of {where} has {len(rows)} usable rows, but {shots or 'all'} "
                f"shots need {2 * least + 1} ({least} for train, {least} for dev, one for test). Lower `shots`, or "
                "give more data."
            )
        order = stream(seed, "splits", task.name, "test", label).permutation(len(rows))
        for_test = min(len(rows) // 2, len(rows) - 2 * least)
        candidates[label] = [rows[index] for index in order[:for_test]]
        pool[label] = [rows[index] for index in order[for_test:]]

    test = balanced(candidates, sizes.test_rows, stream(seed, "splits", task.name, "test order"))
    if shots == 0:
        return *shared_out(task, where, pool, sizes), test
    train: dict[int, list[Row]] = {}
    dev: dict[int, list[Row]] = {}
    for data_seed in data_seeds:
        train[data_seed], dev[data_seed] = [], []
        for label, rows in pool.items():
            order = stream(seed, "splits", task.name, "train", data_seed, label).permutation(len(rows))
            train[data_seed] += [rows[index] for index in order[:shots]]
            dev[data_seed] += [rows[index] for index in order[shots : 2 * shots]]
    return train, dev, test


# ---------------------------------------------------------------------------------- published splits


def _published(task: TaskConfig, sizes: Sizes, dropped: Counter[str]) -> Parts:
    shots, data_seeds, seed = sizes.shots, sizes.data_seeds, sizes.seed
    assert task.splits is not None
    if task.splits.train.place == task.splits.dev.place:
        train, dev = _drawn_together(task, sizes, dropped)
        return train, dev, _published_test(task, sizes, dropped)
    if shots == 0:
        return *published_files(task, sizes, dropped), _published_test(task, sizes, dropped)
    parts: dict[str, dict[int, list[Row]]] = {}
    for part, source in (("train", task.splits.train), ("dev", task.splits.dev)):
        if source.file is not None and SEED_MARK in source.file:
            parts[part] = {
                data_seed: _first(task, source, data_seed, shots=shots, dropped=dropped) for data_seed in data_seeds
            }
        else:
            by_class = rows_by_class(task, read_rows(task, source, dropped))
            parts[part] = {}
            for data_seed in data_seeds:
                parts[part][data_seed] = []
                for label, rows in by_class.items():
                    enough_rows(task, source.name, label, rows=len(rows), shots=shots)
                    order = stream(seed, "splits", task.name, part, data_seed, label).permutation(len(rows))
                    parts[part][data_seed] += [rows[index] for index in order[:shots]]
    return parts["train"], parts["dev"], _published_test(task, sizes, dropped)


def _drawn_together(
    task: TaskConfig, sizes: Sizes, dropped: Counter[str]
) -> tuple[dict[int, list[Row]], dict[int, list[Row]]]:
    """Train and dev from one source: no row, and no text, is in both.

    Raises:
        UserError: If they read other columns of it.
    """
    assert task.splits is not None
    shots, data_seeds, seed = sizes.shots, sizes.data_seeds, sizes.seed
    source = task.splits.train
    read, read_for_dev = (each.columns.model_copy(update={"group": None}) for each in (source, task.splits.dev))
    if read != read_for_dev:
        raise UserError(
            f"Task '{task.name}': train and dev come from one source, {source.name}, so each row is drawn for one of "
            "them, but their `columns` differ: name the same ones, or give a dev file."
        )
    by_class = rows_by_class(task, without_duplicates(read_rows(task, source, dropped), dropped))
    if shots == 0:
        return shared_out(task, source.name, by_class, sizes)
    train: dict[int, list[Row]] = {data_seed: [] for data_seed in data_seeds}
    dev: dict[int, list[Row]] = {data_seed: [] for data_seed in data_seeds}
    for label, rows in by_class.items():
        enough_rows(task, source.name, label, rows=len(rows) // 2, shots=shots)
        for data_seed in data_seeds:
            order = stream(seed, "splits", task.name, "train", data_seed, label).permutation(len(rows))
            train[data_seed] += [rows[index] for index in order[:shots]]
            dev[data_seed] += [rows[index] for index in order[shots : 2 * shots]]
    return train, dev


def _published_test(task: TaskConfig, sizes: Sizes, dropped: Counter[str]) -> list[Row]:
    assert task.splits is not None
    test = rows_by_class(task, read_rows(task, task.splits.test, dropped))
    # The same order as for sampled splits: a smaller test set is a part of a larger one.
    for label, rows in test.items():
        order = stream(sizes.seed, "splits", task.name, "test", label).permutation(len(rows))
        test[label] = [rows[index] for index in order]
    if not any(test.values()):
        raise UserError(f"Task '{task.name}': {task.splits.test.name} holds no usable test row.")
    return balanced(test, sizes.test_rows, stream(sizes.seed, "splits", task.name, "test order"))


def _first(task: TaskConfig, source: SourceConfig, data_seed: int, *, shots: int, dropped: Counter[str]) -> list[Row]:
    assert source.file is not None
    seeded = source.model_copy(update={"file": source.file.replace(SEED_MARK, str(data_seed))})
    blank: Counter[str] = Counter()
    try:
        rows = read_rows(task, seeded, dropped, blank=blank)
    except UserError as error:
        raise UserError(f"Task '{task.name}', data seed {data_seed}: {error}") from None
    chosen: list[Row] = []
    for label, of_class in rows_by_class(task, rows).items():
        # Blank rows count as published, or one of them would make customary splits unusable.
        rows_published = len(of_class) + blank[label] if of_class else 0
        enough_rows(task, seeded.name, label, rows=rows_published, shots=shots)
        chosen += of_class[:shots]
    return chosen


def _warnings(task: TaskConfig, shots: int | Literal["all"], parts: Parts) -> list[str]:
    train, dev, test = parts
    warnings = []
    test_keys = set(row_keys(test))
    for data_seed, train_rows in train.items():
        where = f"Task '{task.name}', data seed {data_seed}"
        few_shot = {"train": train_rows, "dev": dev[data_seed]}
        keys = {part: set(row_keys(rows)) for part, rows in few_shot.items()}
        for first, second, shared in (
            ("dev", "train", len(keys["dev"] & keys["train"])),
            ("train", "test", len(keys["train"] & test_keys)),
            ("dev", "test", len(keys["dev"] & test_keys)),
        ):
            if shared:
                warnings.append(f"{where}: texts that stand in both {first} and {second}: {shared}.")
        for part, rows in few_shot.items():
            counts = Counter(label for _, label in rows)
            if isinstance(shots, str):
                missing = [label for label in task.labels if not counts[label]]
                warnings += [f"{where}: no row of the class '{label}' in {part}." for label in missing]
                continue
            warnings += [
                f"{where}: class '{label}' has {counts[label]} rows in {part} instead of {shots}; the others are blank."
                for label in task.labels
                if counts[label] < shots
            ]
    return warnings
