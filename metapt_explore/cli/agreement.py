"""`metapt agreement`: do auxiliary tasks pull the prompt where downstream tasks want it?"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from metapt_explore.cli.options import InitSeedOption, StudySource, WorkspaceOption
from metapt_explore.progress.console import echo, escape, make_console, say

if TYPE_CHECKING:
    from metapt_explore.storage.artifact import Artifact


def agreement(
    study: StudySource,
    *,
    method: Annotated[
        str | None, typer.Option(help="Measure at this method's prompt (default: where all begin).")
    ] = None,
    clustering: Annotated[str | None, typer.Option(help="Whose clusters (default: the method's).")] = None,
    init_seed: InitSeedOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, one for each pair.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Compare gradients of auxiliary and downstream tasks: cosines, corrected for noise."""
    from metapt_explore.progress.terminal import terminal_progress
    from metapt_explore.study.study import Study

    console = make_console()
    with terminal_progress(console, quiet=as_json) as progress:
        artifact = Study(study, workspace, progress).agreement(
            init_seed=init_seed, method=method, clustering=clustering
        )
    if as_json:
        for record in artifact.table("agreement").to_dict(orient="records"):
            echo(json.dumps(_plain(record), ensure_ascii=False))
    else:
        print_agreement(artifact, f"the prompt of {method}" if method else "the common start", console)


def _plain(record: dict[Any, Any]) -> dict[str, Any]:
    """A row of the table as JSON has it: null for NaN, whole numbers of draws."""
    values = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in record.items()}
    return {**values, "draws": [int(draws) for draws in record["draws"]]}


def print_agreement(artifact: Artifact, prompt: str, console: Console) -> None:
    """Prints how reliable each task's gradient is, and its cosine with each downstream task.

    Args:
        artifact: What `Study.agreement` returned.
        prompt: Which prompt the gradients were taken at, in words.
        console: Where to.
    """
    from metapt_explore.statistics.numbers import number

    tasks = artifact.summary["tasks"]
    rows = {(row["first"], row["second"]): row for row in artifact.table("agreement").to_dict(orient="records")}
    downstream = [task["name"] for task in tasks if task["kind"] == "downstream"]
    table = Table(title=escape(f"Agreement of gradients at {prompt}: cosine corrected for noise (as observed)"))
    table.add_column("auxiliary task")
    for column in ("reliability", *downstream):
        table.add_column(escape(column), justify="right")
    for task in tasks:
        if task["kind"] == "auxiliary":
            cosines = [_format_cosine(rows[task["name"], name]) for name in downstream]
            table.add_row(escape(task["name"]), number(task["reliability"]), *cosines)
    table.add_section()
    reliability = [number(task["reliability"]) for task in tasks if task["kind"] == "downstream"]
    table.add_row("(downstream itself)", "", *reliability)
    console.print(table)
    few = sum(1 for task in tasks if task.get("draws_apart", task["draws"]) < task["draws"])
    if few:
        say(
            console,
            f"{few} auxiliary task{'s' * (few != 1)} had too few rows for draws that share none: standard errors are "
            "too small there.",
        )
    say(
        console,
        "± one standard error over draws; – where a gradient is nothing but noise. "
        f"{artifact.summary['diagnostic_rows']:,} rows forward and backward, no part of any method's budget; training "
        "rows only. How to read it: docs/why.md",
    )


def _format_cosine(row: dict[Any, Any]) -> str:
    from metapt_explore.statistics.numbers import number

    observed = f"({number(row['cosine'], sign=True)} ± {number(row['standard_error'])})"
    if math.isnan(row["corrected"]):
        return f"– {observed}"
    return f"{number(row['corrected'], sign=True)} ± {number(row['corrected_standard_error'])} {observed}"
