"""Few-shot splits of `shots: all`: every row that there is for training, however many each class has.

Published sets of a few dozen rows with unequal classes are taken whole, dev as given. Where train and dev are one
source, the study states the share of each class that is dev.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from metapt_explore.config import SourceConfig, TaskConfig
from metapt_explore.errors import UserError
from metapt_explore.fewshot.split_rows import SEED_MARK, Row, Sizes, read_rows, rows_by_class, some_rows
from metapt_explore.seeds import stream

RowsOfSeeds = dict[int, list[Row]]


def published_files(task: TaskConfig, sizes: Sizes, dropped: Counter[str]) -> tuple[RowsOfSeeds, RowsOfSeeds]:
    """Train and dev rows as their files have them, in the files' order; blank rows are dropped.

    A file whose name holds ``{seed}`` is read for each data seed; without it all data seeds have the same rows.

    Raises:
        UserError: If a class has no training row, dev has no row, or a share of dev is stated beside a dev file.
    """
    assert task.splits is not None
    if task.dev_share is not None:
        raise UserError(
            f"Task '{task.name}': `dev_share` splits one source into train and dev, but {task.splits.dev.name} is a "
            "dev file of its own: leave `dev_share` out, or name the same source for both."
        )
    train = _rows_of_seeds(task, task.splits.train, sizes.data_seeds, dropped=dropped)
    dev = _rows_of_seeds(task, task.splits.dev, sizes.data_seeds, dropped=dropped)
    for rows in train.values():
        for label, of_class in rows_by_class(task, rows).items():
            some_rows(task, task.splits.train.name, label, rows=len(of_class))
    for seed, rows in dev.items():
        if not rows:
            raise UserError(f"Task '{task.name}', data seed {seed}: {task.splits.dev.name} holds no usable dev row.")
    return train, dev


def _rows_of_seeds(
    task: TaskConfig, source: SourceConfig, data_seeds: Sequence[int], *, dropped: Counter[str]
) -> RowsOfSeeds:
    if source.file is None or SEED_MARK not in source.file:
        rows = read_rows(task, source, dropped)
        return {seed: rows for seed in data_seeds}
    found: RowsOfSeeds = {}
    for seed in data_seeds:
        seeded = source.model_copy(update={"file": source.file.replace(SEED_MARK, str(seed))})
        try:
            found[seed] = read_rows(task, seeded, dropped)
        except UserError as error:
            raise UserError(f"Task '{task.name}', data seed {seed}: {error}") from None
    return found


def shared_out(
    task: TaskConfig, where: str, by_class: Mapping[str, Sequence[Row]], sizes: Sizes
) -> tuple[RowsOfSeeds, RowsOfSeeds]:
    """Every row of one source, shared out between train and dev, class by class, anew for each data seed.

    Of each class dev gets `task.dev_share`, at least one row, and train the rest, at least one.

    Args:
        task: The task.
        where: What to call the source.
        by_class: The rows.
        sizes: Data seeds and study seed.

    Raises:
        UserError: If no share is stated, or a class has fewer than two rows.
    """
    if task.dev_share is None:
        raise UserError(
            f"Task '{task.name}': train and dev come from one source, {where}, and `shots: all` does not say how many "
            "rows are dev. Write `{task: …, shots: all, dev_share: 0.5}`, or give a dev file."
        )
    train: RowsOfSeeds = {seed: [] for seed in sizes.data_seeds}
    dev: RowsOfSeeds = {seed: [] for seed in sizes.data_seeds}
    for label, rows in by_class.items():
        some_rows(task, where, label, rows=len(rows))
        if len(rows) < 2:
            raise UserError(
                f"Task '{task.name}': class '{label}' of {where} has one row, which cannot be both train and dev. Give "
                "more rows, or take the class out."
            )
        for_dev = min(max(1, round(task.dev_share * len(rows))), len(rows) - 1)
        for seed in sizes.data_seeds:
            order = stream(sizes.seed, "splits", task.name, "train", seed, label).permutation(len(rows))
            dev[seed] += [rows[index] for index in order[:for_dev]]
            train[seed] += [rows[index] for index in order[for_dev:]]
    return train, dev
