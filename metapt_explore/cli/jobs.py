"""`metapt jobs` and `metapt cancel`: the queue of a workspace. `metapt worker` is started by itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from metapt_explore.cli.options import JsonLinesOption, WorkspaceOption
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.progress.console import echo, escape, make_console, say

if TYPE_CHECKING:
    import pandas as pd

    from metapt_explore.storage.workspace import Workspace

#: Seconds between two looks while waiting.
LOOK_EVERY_S = 1.0
#: The same while it is not known whether a host is alive.
WATCH_EVERY_S = 0.2


def jobs(
    workspace: WorkspaceOption = None,
    as_json: JsonLinesOption = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the queue is empty; exit code 1 if a job failed.")
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Look once: of a job on another host nobody may know then if that is gone.")
    ] = False,
) -> None:
    """List the jobs of a workspace: what runs, what waits, how far it is.

    Where a job runs on another host whose locks are not seen here, its heartbeat is watched first: five seconds if it
    is alive, two minutes if it is gone. Ctrl-C ends that, and shows what is known by then.
    """
    from metapt_explore.storage.workspace import Workspace

    opened = Workspace(workspace)
    if not now:
        with suppress(KeyboardInterrupt):
            watch_hosts(opened)
    if not show_jobs(opened, as_json=as_json, wait=wait):
        raise typer.Exit(1)


def cancel(
    study: Annotated[str, typer.Argument(help="A study of the workspace that runs or waits.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Stop a study that runs or waits. What is computed is kept; run again, it goes on from there."""
    from metapt_explore.engines.orphans import call_back
    from metapt_explore.jobs import queue
    from metapt_explore.jobs.state import ACTIVE, job_state
    from metapt_explore.storage.workspace import Workspace

    opened = Workspace(workspace)
    if study not in opened.study_names():
        names = opened.study_names() or ["(none)"]
        raise UserError(f"The workspace {opened.folder} has no study '{study}'. {did_you_mean(study, names)}")
    watch_hosts(opened, [study])
    status = job_state(opened, study)["status"]
    left = call_back(opened, study) if status not in ACTIVE else ""
    if left:
        say(make_console(), f"'{study}': its run is gone; {left}.")
        return
    if status not in ACTIVE:
        raise UserError(f"'{study}' neither runs nor waits: {'interrupted' if status == 'stopped' else status}.")
    queue.cancel(opened, study)
    say(make_console(), f"'{study}' is taken out." if status == "queued" else f"'{study}' is asked to stop.")


def worker(
    workspace: WorkspaceOption = None,
    number: Annotated[int, typer.Option(min=0, help="Which of the machine's workers this is.")] = 0,
) -> None:
    """Work on a workspace's queue. Started by itself when a study is queued."""
    from metapt_explore.jobs.worker import serve
    from metapt_explore.storage.workspace import Workspace

    serve(Workspace(workspace), number)


def watch_hosts(workspace: Workspace, names: Sequence[str] | None = None) -> None:
    """Waits until it is known which other hosts are alive: two minutes at most.

    Args:
        workspace: The workspace.
        names: Studies that matter; all that wait or run when absent.
    """
    from metapt_explore.jobs.state import hosts_in_doubt
    from metapt_explore.jobs.study_list import active_studies
    from metapt_explore.storage.presence import BEAT_S

    names, began, told = active_studies(workspace) if names is None else names, time.monotonic(), False
    while hosts := {host for name in names for host in hosts_in_doubt(workspace, name)}:
        if not told and time.monotonic() - began > 1.5 * BEAT_S:
            told = True
            who = " and ".join(f"'{host}'" for host in sorted(hosts))
            say(make_console(sys.stderr), f"No sign of life from {who} yet; watching for up to two minutes …")
        time.sleep(WATCH_EVERY_S)


def show_jobs(workspace: Workspace, *, as_json: bool, wait: bool) -> bool:
    """Prints the jobs of a workspace, at once or when the queue is empty.

    Returns:
        False where a job that was waited for failed, or parts of it did.
    """
    from metapt_explore.jobs import queue
    from metapt_explore.storage.files import json_line

    waited_for = {name for name, _ in queue.requests(workspace)} if wait else set()
    while wait and queue.requests(workspace):
        queue.ensure_workers(workspace)
        time.sleep(LOOK_EVERY_S)
    table = queue.jobs_table(workspace)
    if as_json:
        for record in table.to_dict(orient="records"):
            echo(json_line({str(key): value for key, value in record.items()}))
    elif table.empty:
        say(make_console(), f"No study has been asked for in {workspace.folder}.")
    else:
        _print_jobs(workspace, table)
    failed = set(table.loc[table["status"].isin(["failed", "incomplete"]), "study"])
    return not waited_for & failed


def _print_jobs(workspace: Workspace, table: pd.DataFrame) -> None:
    from metapt_explore.storage.disk import format_full

    shown = Table(title=escape(str(workspace.folder)))
    for column in ("study", "status", "progress", "time left", "now"):
        shown.add_column(column)
    full = format_full(workspace.folder)
    for row in table.to_dict(orient="records"):
        shown.add_row(*_cells(row, disk_is_full=bool(full)))
    make_console().print(shown)
    if full:
        say(make_console(), full)


def _cells(row: dict[Any, Any], *, disk_is_full: bool) -> list[str]:
    import pandas as pd

    from metapt_explore.jobs.state import ACTIVE, format_gone, format_silent
    from metapt_explore.progress.state import format_time

    left = "" if pd.isna(row["seconds_left"]) else format_time(row["seconds_left"])
    now = row["error"] or row["stage"] if row["status"] in ("failed", "incomplete", "running") else ""
    if row["status"] == "stopped":
        now = f"{format_gone(row)}; `metapt run` goes on from there"
    now = format_silent(row) or now
    if disk_is_full and row["status"] in ACTIVE:
        now = "the disk is full, see below"
    status = f"waits, number {row['position']:.0f}" if row["status"] == "queued" else row["status"]
    if row["status"] == "running" and row["host"]:
        status = f"running on {row['host']}"
    status = "interrupted" if status == "stopped" else status
    return [escape(row["study"]), escape(status), f"{100 * row['fraction']:.0f} %", left, escape(now)]
