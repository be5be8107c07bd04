"""The queue in a terminal: asking for a study, looking at what runs and waits, stopping it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.table import Table

from metapt_explore.config import load_study
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.jobs import queue
from metapt_explore.jobs import state as jobs
from metapt_explore.progress.console import echo, escape, make_console, say
from metapt_explore.progress.state import format_time
from metapt_explore.storage.disk import format_full
from metapt_explore.storage.files import json_line
from metapt_explore.storage.workspace import Workspace

if TYPE_CHECKING:
    from metapt_explore.stages.registry import Until

#: Seconds between two looks while waiting.
LOOK_EVERY = 1.0


def enqueue_in_terminal(source: str, workspace: Path | None, init_seeds: Sequence[int] | None, until: Until) -> None:
    """Puts a study into the queue and says how many stand before it."""
    config, opened, console = load_study(source), Workspace(workspace), make_console()
    where = f" --workspace {opened.folder}" if workspace is not None else ""
    if not queue.enqueue(opened, config, init_seeds, until):
        status = jobs.job_state(opened, config.name)["status"]
        say(console, f"'{config.name}' is in the queue of {opened.folder} already: {status}.")
        return
    before = [name for name, _ in queue.requests(opened)].index(config.name)
    say(console, f"'{config.name}' is in the queue of {opened.folder}; {before or 'nothing'} before it.")
    say(console, f"Look: metapt jobs{where}   Stop: metapt cancel {config.name}{where}")


def show_jobs(workspace: Workspace, as_json: bool, wait: bool) -> bool:
    """Prints the jobs of a workspace, at once or when the queue is empty.

    Returns:
        False where a job that was waited for failed, or parts of it did.
    """
    waited_for = {name for name, _ in queue.requests(workspace)} if wait else set()
    while wait and queue.requests(workspace):
        queue.ensure_workers(workspace)
        time.sleep(LOOK_EVERY)
    table = queue.jobs_table(workspace)
    if as_json:
        for record in table.to_dict(orient="records"):
            echo(json_line(record))
    elif table.empty:
        say(make_console(), f"No study has been asked for in {workspace.folder}.")
    else:
        shown = Table(title=escape(str(workspace.folder)))
        for column in ("study", "status", "progress", "time left", "now"):
            shown.add_column(column)
        full = format_full(workspace.folder)
        for row in table.to_dict(orient="records"):
            left = "" if pd.isna(row["seconds_left"]) else format_time(row["seconds_left"])
            told = row["status"] in ("failed", "incomplete", "running")
            now = row["error"] or row["stage"] if told else ""
            if full and row["status"] in jobs.AT_IT:
                now = "the disk is full, see below"
            status = f"waits, number {row['position']:.0f}" if row["status"] == "queued" else row["status"]
            shown.add_row(escape(row["study"]), status, f"{row['fraction']:.0%}", left, escape(now))
        make_console().print(shown)
        if full:
            say(make_console(), full)
    bad = set(table.loc[table["status"].isin(["failed", "incomplete"]), "study"])
    return not waited_for & bad


def cancel_in_terminal(workspace: Workspace, study: str) -> None:
    """Stops a study that runs or waits.

    Raises:
        UserError: Where there is no such study, or nobody is at it.
    """
    if study not in workspace.study_names():
        names = workspace.study_names() or ["(none)"]
        raise UserError(f"The workspace {workspace.folder} has no study '{study}'. {did_you_mean(study, names)}")
    status = jobs.job_state(workspace, study)["status"]
    if status not in jobs.AT_IT:
        raise UserError(f"'{study}' neither runs nor waits: {status}.")
    queue.cancel(workspace, study)
    say(make_console(), f"'{study}' is taken out." if status == "queued" else f"'{study}' is asked to stop.")
