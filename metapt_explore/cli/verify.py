"""What `metapt verify` prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo, escape, make_console, say
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.verify import Counts, Damage, verify

COLUMNS = ("file", "of", "what is wrong", "what to do")


def verify_in_terminal(workspace: Workspace, repair: bool, as_json: bool) -> bool:
    """Checks a workspace and prints a table of what is wrong.

    Args:
        workspace: The workspace.
        repair: Whether to repair what can be repaired.
        as_json: Whether to print one JSON object for each finding instead.

    Returns:
        Whether nothing is damaged, or everything that was has been repaired or set aside.
    """
    if not workspace.folder.is_dir():
        raise UserError(f"There is no workspace {workspace.folder}.")
    counts = Counts()
    findings = _look(workspace, counts, not as_json and sys.stderr.isatty())
    done = {place: finding.repair() for place, finding in enumerate(findings) if repair and finding.repair is not None}
    open_ = [finding for place, finding in enumerate(findings) if finding.is_damage and place not in done]
    if as_json:
        for place, finding in enumerate(findings):
            told = {"file": finding.where, "of": finding.of, "wrong": finding.what, "remedy": finding.remedy}
            echo(json.dumps({**told, "repaired": done.get(place)}, ensure_ascii=False))
        return not open_
    console = make_console()
    if findings:
        console.print(_table(workspace.folder, findings, done))
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
    return not open_


def _look(workspace: Workspace, counts: Counts, with_bar: bool) -> list[Damage]:
    if not with_bar:
        return list(verify(workspace, counts))
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=make_console(sys.stderr), transient=True) as bars:
        bar = bars.add_task("artifacts", total=None)
        return list(verify(workspace, counts, lambda done, total: bars.update(bar, completed=done, total=total)))


def _table(folder: Path, findings: list[Damage], done: dict[int, str]) -> Table:
    table = Table(title=escape(str(folder)))
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for place, finding in enumerate(findings):
        cells = (finding.where, finding.of, finding.what, done.get(place, finding.remedy))
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
