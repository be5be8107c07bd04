"""`metapt leave-one-out`: writes the study, runs it where asked to, and says which cluster helps which task."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from metapt_explore.cli.run import run_in_terminal
from metapt_explore.config import to_yaml
from metapt_explore.diagnostics.leave_one_out import format_help, help_table, left_out
from metapt_explore.errors import Cancelled
from metapt_explore.progress.console import escape, make_console, say
from metapt_explore.progress.state import Progress
from metapt_explore.progress.terminal import TerminalView
from metapt_explore.results.tables import results_table
from metapt_explore.storage.files import write_bytes
from metapt_explore.study.study import Study

#: A smaller pool is a reason by itself.
CONFOUNDED = (
    "Without a cluster a method also learns from fewer rows, each of them drawn more often: that is part of what is "
    "seen here, and not the cluster's content (docs/why.md)."
)


def leave_one_out_in_terminal(source: str, method: str, out: Path | None, run: bool, workspace: Path | None) -> None:
    """Writes the study without each cluster; prints what there is of its scores.

    Args:
        source: The study.
        method: One of its methods that learns from clusters.
        out: Where to write; beside the study in the workspace when absent.
        run: Whether to run it.
        workspace: Folder for what is computed.

    Raises:
        UserError: Where the method learns from no clusters, or a setting is wrong.
    """
    console = make_console()
    view = TerminalView(console)
    try:
        study = Study(source, workspace, Progress(view.show))
        expanded = study.leave_one_out(method)
        names = study.task_names(study.config.method(method).clustering)
    except KeyboardInterrupt:
        raise Cancelled from None
    finally:
        view.close()
    opened = study.workspace
    file = out or opened.study_folder(study.config.name) / f"{expanded.name}.yaml"
    write_bytes(file, to_yaml(expanded).encode())
    count = len(expanded.methods) - 1
    say(console, f"{expanded.name}: {method} with all {count} clusters, and without each of them, in {file}")
    if run:
        run_in_terminal(str(file), workspace)
    table = help_table(results_table(opened, expanded.name), method, left_out(expanded, method))
    if table.empty:
        say(console, f"Run it: metapt run {file} --workspace {opened.folder}")
        return
    print_help(table, names, method, console)


def print_help(table: pd.DataFrame, names: dict[int, str], method: str, console: Console) -> None:
    """Prints how much each cluster helps each task, in points of accuracy."""
    shown = Table(title=escape(f"{method}: accuracy with all clusters minus without this one, points"))
    shown.add_column("cluster")
    tasks = list(dict.fromkeys(table["task"]))
    for task in tasks:
        shown.add_column(escape(str(task)), justify="right")
    for cluster, rows in table.groupby("cluster", sort=True):
        by_task = {row["task"]: row for row in rows.to_dict(orient="records")}
        cells = [
            f"{100 * row['help']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
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
