"""Few-shot files of a task: one for each data seed where they are published so, and how many shots rows allow."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from metapt_explore.config import SourceConfig, TaskConfig
from metapt_explore.errors import UserError
from metapt_explore.fewshot.split_rows import SEED_MARK, read_rows, row_keys, rows_by_class, without_duplicates


def is_pattern(file: Path) -> bool:
    """Whether a file's name has ``{seed}`` in it: each data seed has a file of its own."""
    return SEED_MARK in str(file)


def seed_files(pattern: Path) -> dict[int, Path]:
    """The files of a pattern by data seed, in order.

    Args:
        pattern: A path with ``{seed}`` in it, such as ``few-shot/{seed}/train.jsonl``.

    Raises:
        UserError: Where there is none.
    """
    parts = str(pattern).split(SEED_MARK)
    exact = re.compile(re.escape(parts[0]) + r"(\d+)" + r"\1".join(map(re.escape, parts[1:])))
    files = {
        int(matched[1]): Path(file)
        for file in glob.glob("*".join(map(glob.escape, parts)))  # noqa: PTH207 (Path.glob takes no absolute pattern)
        if (matched := exact.fullmatch(file))
    }
    if not files:
        raise UserError(f"There is no file {pattern} with a number in place of {SEED_MARK}.")
    return dict(sorted(files.items()))


def first_file(file: Path) -> Path:
    """The file itself; of a pattern, that of the lowest data seed."""
    return next(iter(seed_files(file).values())) if is_pattern(file) else file


def common_seeds(files: Iterable[Path | None]) -> list[int]:
    """Data seeds for which each of some patterns has a file; empty where none is a pattern.

    Raises:
        UserError: Where patterns have no seed in common.
    """
    patterns = [file for file in files if file is not None and is_pattern(file)]
    if not patterns:
        return []
    seeds = sorted(set.intersection(*(set(seed_files(pattern)) for pattern in patterns)))
    if not seeds:
        raise UserError(f"{patterns[0]} and {patterns[1]} have no data seed in common.")
    return seeds


def shared_texts(task: TaskConfig, data_seeds: Iterable[int]) -> dict[str, int]:
    """How many rows of published files stand in two parts of a data seed, by what they are in ("train and dev").

    A row is known by its text, or by both texts of its pair: one passage with two questions is two rows.
    """
    assert task.splits is not None
    shared: Counter[str] = Counter()
    for seed in data_seeds:
        keys = {
            part: set(row_keys(read_rows(task, _of_seed(source, seed), Counter())))
            for part, source in (("train", task.splits.train), ("dev", task.splits.dev), ("test", task.splits.test))
        }
        for first, second in (("train", "dev"), ("train", "test"), ("dev", "test")):
            shared[f"{first} and {second}"] += len(keys[first] & keys[second])
    return {parts: count for parts, count in shared.items() if count}


def most_shots(task: TaskConfig, data_seeds: Iterable[int] = ()) -> int:
    """The most examples a class for train, and again for dev, that a task's rows allow with test rows left.

    Args:
        task: The task.
        data_seeds: Data seeds that have files of their own.

    Returns:
        0 where a class has too few rows for one.

    Raises:
        UserError: Where a file cannot be read.
    """
    if task.data is not None:
        rows = without_duplicates(read_rows(task, task.data, Counter()), Counter())
        return max(0, min((len(each) - 1) // 2 for each in rows_by_class(task, rows).values()))
    assert task.splits is not None
    train, dev = task.splits.train, task.splits.dev
    if train.place == dev.place and SEED_MARK not in (train.file or ""):
        rows = without_duplicates(read_rows(task, train, Counter()), Counter())
        return min(len(each) // 2 for each in rows_by_class(task, rows).values())
    return min(
        len(each)
        for source in (train, dev)
        for seed in (list(data_seeds) if SEED_MARK in (source.file or "") else [0])
        for each in rows_by_class(task, read_rows(task, _of_seed(source, seed), Counter())).values()
    )


def _of_seed(source: SourceConfig, seed: int) -> SourceConfig:
    return source.model_copy(update={"file": source.file and source.file.replace(SEED_MARK, str(seed))})
