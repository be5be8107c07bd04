"""What downstream tasks have in common, in a terminal."""

from __future__ import annotations

import pandas as pd
from rich.table import Table

from metapt_explore.config import load_task
from metapt_explore.errors import UserError
from metapt_explore.fewshot.overlaps import task_overlaps
from metapt_explore.fewshot.splits import make_splits
from metapt_explore.progress.console import escape, make_console, say

DATA_SEEDS = [13, 21, 42, 87, 100]


def print_overlaps(names: list[str], shots: int) -> None:
    """Reads the whole test sets and the few-shot rows of five data seeds, and prints what they share.

    A task whose data is not there is named and left out.
    """
    console = make_console()
    splits = {}
    for name in names:
        try:
            task = load_task(name)
            made = make_splits(task, shots, DATA_SEEDS, None, seed=0)
        except UserError as error:
            say(console, f"{name} is left out: {error}")
            continue
        parts: list[tuple[str, int | None, pd.DataFrame]] = [("test", None, made.test.to_pandas())]
        parts += [("train", seed, rows.to_pandas()) for seed, rows in made.train.items()]
        parts += [("dev", seed, rows.to_pandas()) for seed, rows in made.dev.items()]
        splits[task.name] = pd.concat([rows.assign(split=part, data_seed=seed) for part, seed, rows in parts])
    table = Table(title="Texts in common")
    for column in ("rows", "also in"):
        table.add_column(column)
    for column in ("texts", "share of the first"):
        table.add_column(column, justify="right")
    for row in task_overlaps(splits).to_dict(orient="records"):
        first, other = f"{row['task']} {row['part']}", f"{row['other_task']} {row['other_part']}"
        table.add_row(escape(first), escape(other), f"{row['texts']:,}", f"{100 * row['share']:.1f} %")
    console.print(table)
