"""`metapt verify`: is everything in a workspace as it was written?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from metapt_explore.cli.options import JsonLinesOption, WorkspaceOption
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo, escape, make_console, say

if TYPE_CHECKING:
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.verify import Counts, Damage

COLUMNS = ("file", "of", "what is wrong", "what to do")


def verify(
    workspace: WorkspaceOption = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Set aside damaged files, restore what can be restored, remove temporary files."),
    ] = False,
    as_json: JsonLinesOption = False,
) -> None:
    """Check every file of a workspace against its checksum; exit code 1 if something is damaged or lost.

    Deletes nothing but temporary files: with --repair, damaged files move to the workspace's folder `damaged`, and
    `metapt run` computes them anew.
    """
    from metapt_explore.storage.workspace import Workspace

    if not verify_in_terminal(Workspace(workspace), repair=repair, as_json=as_json):
        raise typer.Exit(1)


def verify_in_terminal(workspace: Workspace, *, repair: bool, as_json: bool) -> bool:
    """Checks a workspace and prints a table of what is wrong.

    Args:
        workspace: The workspace.
        repair: Whether to repair what can be repaired.
        as_json: Whether to print one JSON object for each finding instead.

    Returns:
        Whether nothing is damaged, or everything that was has been repaired or set aside.
    """
    from metapt_explore.study.verify import Counts

    if not workspace.folder.is_dir():
        raise UserError(f"There is no workspace {workspace.folder}.")
    counts = Counts()
    findings = _look(workspace, counts, with_bar=not as_json and sys.stderr.isatty())
    repaired = {i: finding.repair() for i, finding in enumerate(findings) if repair and finding.repair is not None}
    unrepaired = [finding for i, finding in enumerate(findings) if finding.is_damage and i not in repaired]
    if as_json:
        for i, finding in enumerate(findings):
            record = {"file": finding.where, "of": finding.of, "wrong": finding.what, "remedy": finding.remedy}
            echo(json.dumps({**record, "repaired": repaired.get(i)}, ensure_ascii=False))
        return not unrepaired
    console = make_console()
    if findings:
        console.print(_table(workspace.folder, findings, repaired))
    _print_counts(console, workspace, counts)
    damaged = sum(finding.is_damage for finding in findings)
    if not damaged:
        say(console, "Nothing is damaged.")
    elif repair:
        say(console, f"{damaged} damaged or lost: run the studies again, and only what was damaged is computed anew.")
    else:
        say(
            console,
            f"{damaged} damaged or lost. `metapt verify --repair` sets aside what is damaged and repairs the rest.",
        )
    return not unrepaired


def _look(workspace: Workspace, counts: Counts, *, with_bar: bool) -> list[Damage]:
    from metapt_explore.study.verify import verify as find_damage

    if not with_bar:
        return list(find_damage(workspace, counts))
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=make_console(sys.stderr), transient=True) as bars:
        bar = bars.add_task("artifacts", total=None)
        return list(find_damage(workspace, counts, lambda done, total: bars.update(bar, completed=done, total=total)))


def _table(folder: Path, findings: list[Damage], repaired: dict[int, str]) -> Table:
    table = Table(title=escape(str(folder)))
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for i, finding in enumerate(findings):
        cells = (finding.where, finding.of, finding.what, repaired.get(i, finding.remedy))
        table.add_row(*(escape(cell) for cell in cells))
    return table


def _print_counts(console: Console, workspace: Workspace, counts: Counts) -> None:
    say(
        console,
        f"{counts.artifacts:,} artifacts ({counts.files:,} files) and {counts.studies:,} studies are as they were "
        f"written; {counts.unfinished:,} artifacts are not finished.",
    )
    if counts.unknown:
        say(
            console,
            f"{counts.unknown:,} artifacts are of an earlier version, without checksums: their files can be opened, "
            "and whether a number in them changed is not known.",
        )
    aside = sum(1 for _ in workspace.damaged.iterdir()) if workspace.damaged.is_dir() else 0
    if aside:
        say(console, f"{aside:,} set aside in {workspace.damaged}, which nothing reads: delete it when you like.")
