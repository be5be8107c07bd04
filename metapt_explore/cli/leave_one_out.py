"""`metapt leave-one-out`: which cluster helps which task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from metapt_explore.cli.options import StudySource, WorkspaceOption
from metapt_explore.progress.console import escape, make_console, say

if TYPE_CHECKING:
    import pandas as pd

#: A smaller pool is a reason by itself.
CONFOUNDED = (
    "Without a cluster a method also learns from fewer rows, each of them drawn more often: that is part of what is "
    "seen here, and not the cluster's content (docs/why.md)."
)


def leave_one_out(
    study: StudySource,
    *,
    method: Annotated[str, typer.Option(help="One of its methods that learns from clusters.")],
    out: Annotated[
        Path | None, typer.Option(help="YAML file to write (default: beside the study in the workspace).")
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Run it: one whole pre-training for each cluster.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a study that leaves out one cluster at a time; with --run, say which cluster helps which task."""
    from metapt_explore.cli.run import run_in_terminal
    from metapt_explore.config import to_yaml
    from metapt_explore.diagnostics.leave_one_out import help_table, left_out
    from metapt_explore.progress.terminal import terminal_progress
    from metapt_explore.results.tables import results_table
    from metapt_explore.storage.files import write_bytes
    from metapt_explore.study.study import Study

    console = make_console()
    with terminal_progress(console) as progress:
        opened = Study(study, workspace, progress)
        expanded = opened.leave_one_out(method)
        names = opened.task_names(opened.config.method(method).clusterings)
    file = out or opened.workspace.study_folder(opened.config.name) / f"{expanded.name}.yaml"
    write_bytes(file, to_yaml(expanded).encode())
    count = len(expanded.methods) - 1
    say(console, f"{expanded.name}: {method} with all {count} clusters, and without each of them, in {file}")
    if run:
        run_in_terminal(str(file), workspace)
    table = help_table(results_table(opened.workspace, expanded.name), method, left_out(expanded, method))
    if table.empty:
        say(console, f"Run it: metapt run {file} --workspace {opened.workspace.folder}")
    else:
        print_help(table, names, method, console=console)


def print_help(table: pd.DataFrame, names: dict[int, str], method: str, *, console: Console) -> None:
    """Prints how much each cluster helps each task, in points of accuracy."""
    from metapt_explore.diagnostics.leave_one_out import format_help
    from metapt_explore.statistics.numbers import points

    shown = Table(title=escape(f"{method}: accuracy with all clusters minus without this one, points"))
    shown.add_column("cluster")
    tasks = list(dict.fromkeys(table["task"]))
    for task in tasks:
        shown.add_column(escape(str(task)), justify="right")
    for cluster, rows in table.groupby("cluster", sort=True):
        by_task = {row["task"]: row for row in rows.to_dict(orient="records")}
        cells = [
            f"{points(row['help'])} [{points(row['low'])}, {points(row['high'])}]"
            if (row := by_task.get(task)) is not None
            else "–"
            for task in tasks
        ]
        shown.add_row(escape(names.get(int(str(cluster)), str(cluster))), *map(escape, cells))
    console.print(shown)
    for sentence in format_help(table, names):
        say(console, sentence)
    units = int(table["units"].min())
    say(console, f"95 % intervals over {units} pairs of seeds; words are corrected for all cells (Holm). {CONFOUNDED}")
