"""`metapt agreement`: cosines of gradients in a terminal."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from metapt_explore.errors import Cancelled
from metapt_explore.progress.console import echo, escape, make_console, say
from metapt_explore.progress.state import Progress
from metapt_explore.progress.terminal import TerminalView
from metapt_explore.storage.artifact import Artifact
from metapt_explore.study.study import Study


def agreement_in_terminal(
    source: str,
    method: str | None,
    clustering: str | None,
    init_seed: int | None,
    as_json: bool,
    workspace: Path | None,
) -> None:
    """Makes the agreement of gradients and prints it; arguments as for `Study.agreement`."""
    console = make_console()
    view = None if as_json else TerminalView(console)
    try:
        study = Study(source, workspace, Progress(view.show) if view else None)
        found = study.agreement(init_seed, method, clustering)
    except KeyboardInterrupt:
        raise Cancelled from None
    finally:
        if view:
            view.close()
    if not as_json:
        where = f"the prompt of {method}" if method else "the common start"
        return print_agreement(found, where, console)
    for record in found.table("agreement").to_dict(orient="records"):
        plain = {
            key: None if isinstance(value, float) and math.isnan(value) else value for key, value in record.items()
        }
        echo(json.dumps({**plain, "draws": [int(draws) for draws in record["draws"]]}, ensure_ascii=False))


def print_agreement(artifact: Artifact, where: str, console: Console) -> None:
    """Prints how reliable each task's gradient is, and its cosine with each downstream task.

    Args:
        artifact: What `Study.agreement` returned.
        where: At which prompt.
        console: Where to.
    """
    tasks = artifact.summary["tasks"]
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for row in artifact.table("agreement").to_dict(orient="records"):
        cells[row["first"], row["second"]] = row
    downstream = [task["name"] for task in tasks if task["kind"] == "downstream"]
    table = Table(title=escape(f"Agreement of gradients at {where}: cosine corrected for noise (as observed)"))
    table.add_column("auxiliary task")
    for column in ("reliability", *downstream):
        table.add_column(escape(column), justify="right")
    for task in tasks:
        if task["kind"] != "auxiliary":
            continue
        own = [_cell(cells[task["name"], name]) for name in downstream]
        table.add_row(escape(task["name"]), _number(task["reliability"]), *own)
    table.add_section()
    table.add_row("(downstream itself)", "", *(_number(t["reliability"]) for t in tasks if t["kind"] == "downstream"))
    console.print(table)
    few = sum(1 for task in tasks if task.get("draws_apart", task["draws"]) < task["draws"])
    if few:
        say(
            console,
            f"{few} auxiliary task{'s' * (few != 1)} had too few rows for draws that share none: standard errors are "
            "too small there.",
        )
    rows = f"{artifact.summary['diagnostic_rows']:,}"
    say(
        console,
        f"± one standard error over draws; – where a gradient is nothing but noise. {rows} rows forward and backward, "
        "no part of any method's budget; training rows only. How to read it: docs/why.md",
    )


def _cell(row: dict[str, Any]) -> str:
    observed = f"({row['cosine']:+.2f} ± {row['standard_error']:.2f})"
    if math.isnan(row["corrected"]):
        return f"– {observed}"
    return f"{row['corrected']:+.2f} ± {row['corrected_standard_error']:.2f} {observed}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
