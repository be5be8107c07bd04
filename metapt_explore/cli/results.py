"""`metapt results`: the scores of a workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from metapt_explore.cli.options import JsonLinesOption, WorkspaceOption
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo, escape, make_console

if TYPE_CHECKING:
    import pandas as pd


def results(
    workspace: WorkspaceOption = None,
    study: Annotated[str | None, typer.Option(help="Only this study (default: all).")] = None,
    as_json: JsonLinesOption = False,
) -> None:
    """Print the scores that are finished."""
    from metapt_explore.jobs.state import missing_parts
    from metapt_explore.results.tables import results_table, summary_table
    from metapt_explore.storage.files import json_line
    from metapt_explore.storage.workspace import Workspace

    opened = Workspace(workspace)
    names = [study] if study else sorted(opened.study_names())
    if not names:
        raise UserError(
            f"The workspace {opened.folder} holds no study yet: run `metapt tour` or `metapt run STUDY.yaml`."
        )
    for name in names:
        config = opened.study_config(name)
        table = results_table(opened, name)
        if as_json:
            for record in table.to_dict(orient="records"):
                echo(json_line({str(key): value for key, value in record.items()}))
        elif table.empty:
            echo(f"{name}: nothing is finished yet.")
        else:
            missing = missing_parts(opened, name)
            print_summary(name, summary_table(table), rows=config.evaluation.scored_rows, missing=missing)


def print_summary(
    name: str,
    summary: pd.DataFrame,
    *,
    console: Console | None = None,
    rows: str = "test",
    missing: Sequence[Mapping[str, str]] = (),
) -> None:
    """Prints accuracy and mean macro F1 in percent, a row for each task and method.

    Args:
        name: The study.
        summary: What `summary_table` returned.
        console: Where to; the terminal when absent.
        rows: What was scored (`scored_on`).
        missing: Parts of the study that failed or are lost, told below the table: for each ``key`` and ``reason``.
    """
    import pandas as pd

    table = Table(title=f"{escape(name)}: accuracy on {rows}, %")
    for column in ("task", "method"):
        table.add_column(column)
    for column in ("start", "mean", "std", "worst", "macro F1", "seeds"):
        table.add_column(column, justify="right")
    previous = None
    for row in summary.to_dict(orient="records"):
        if previous is not None and previous != row["task"]:
            table.add_section()
        previous = row["task"]
        keys = ("start", "mean", "std", "worst", "macro_f1")
        numbers = ["–" if pd.isna(row.get(key)) else f"{100 * row[key]:.1f}" for key in keys]
        table.add_row(escape(row["task"]), escape(row["method"]), *numbers, str(row["seeds"]))
    out = console or make_console()
    out.print(table)
    for part in missing:
        out.print(f"Missing: {escape(part['key'])}: {escape(part['reason'])}", highlight=False, soft_wrap=True)
