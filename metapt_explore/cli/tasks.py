"""`metapt tasks`: the packaged downstream tasks, and what they have in common."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo, escape, make_console, say

DATA_SEEDS = [13, 21, 42, 87, 100]


def tasks(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tasks, or `benchmark` or `starter` (default: all packaged ones).")
    ] = None,
    overlaps: Annotated[
        bool, typer.Option(help="Count texts that tasks, or splits of a task, have in common.")
    ] = False,
    shots: Annotated[int, typer.Option(min=1, help="Few-shot rows per class for --overlaps.")] = 16,
) -> None:
    """List the packaged downstream tasks, or what they have in common."""
    from metapt_explore.config import TASK_SETS, load_task, packaged_tasks

    chosen = [task for name in names or packaged_tasks() for task in TASK_SETS.get(name, [name])]
    if overlaps:
        print_overlaps(chosen, shots)
        return
    for name in chosen:
        task = load_task(name)
        task_set = next((label for label, members in TASK_SETS.items() if name in members), "")
        echo(f"{name:16} {task_set:10} {len(task.labels)} classes  {task.title}")


def print_overlaps(names: list[str], shots: int) -> None:
    """Reads the whole test sets and the few-shot rows of five data seeds, and prints what they share.

    A task whose data is not there is named and left out.
    """
    import pandas as pd

    from metapt_explore.config import load_task
    from metapt_explore.fewshot.overlaps import task_overlaps
    from metapt_explore.fewshot.splits import make_splits

    console = make_console()
    splits = {}
    for name in names:
        try:
            task = load_task(name)
            made = make_splits(task, shots, DATA_SEEDS, test_rows=None, seed=0)
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
