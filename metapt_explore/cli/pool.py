"""`metapt pool`: what the records of several studies say together of two methods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metapt_explore.progress.console import echo, make_console, say


def pool(
    records: Annotated[list[Path], typer.Argument(help="Folders of records, two or more (`metapt report --record`).")],
    *,
    method: Annotated[str, typer.Option(help="A method of all records (default: by the first one's question).")] = "",
    baseline: Annotated[str, typer.Option(help="What it is compared with.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder for a report with a forest plot.")] = None,
) -> None:
    """Pool the difference of two methods over several studies (random effects)."""
    from rich.table import Table

    from metapt_explore.progress.console import escape
    from metapt_explore.reporting.pool import pool as pooled_over
    from metapt_explore.reporting.pool import pooled_report, pooled_table
    from metapt_explore.statistics.verdict import metric_name

    pooled, console = pooled_over(records, method, baseline), make_console()
    unit = f"points of {metric_name(pooled.metric)}"
    table = Table(title=f"{escape(pooled.method)} − {escape(pooled.baseline)}, {unit}")
    rows = pooled_table(pooled)
    for column in rows:
        table.add_column(str(column), justify="left" if column == "study" else "right")
    for row in rows.astype(str).to_numpy().tolist():
        table.add_row(*map(escape, row))
    console.print(table)
    say(console, pooled.sentence)
    for caveat in pooled.caveats:
        say(console, f"Note: {caveat}")
    if out is not None:
        for file in pooled_report(pooled).write(out):
            echo(str(file))
