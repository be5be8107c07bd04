"""`metapt cells` and `metapt make`: the parts of a study as other programs see them (see `docs/engines.md`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from metapt_explore.cli.boundary import LATER, PARTS_FAILED
from metapt_explore.cli.options import JsonOption, WorkspaceOption
from metapt_explore.progress.console import echo, escape, make_console, say

if TYPE_CHECKING:
    from metapt_explore.config import StudyConfig
    from metapt_explore.engines.pace import Pace
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.cells import Cell

AnyStudy = Annotated[str, typer.Argument(help="A study of the workspace, its YAML file, or a packaged example.")]


def cells(
    study: AnyStudy,
    *,
    until: Annotated[str, typer.Option(help="How far, as for `metapt run`.")] = "all",
    init_seeds: Annotated[str | None, typer.Option(help="Only these initialisation seeds, such as 0-4.")] = None,
    on: Annotated[
        str | None, typer.Option(help="Where they are computed, as for `metapt run`: ids are those of its workers.")
    ] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the cells of a study: every part that can be made by itself, what it waits for, whether it is there."""
    from metapt_explore.cli.jobs import watch_hosts
    from metapt_explore.cli.run import parse_on, parse_seeds, parse_until
    from metapt_explore.config.machine import machine_config
    from metapt_explore.engines.choose import pace_of
    from metapt_explore.engines.device import compute_as_workers
    from metapt_explore.progress.state import format_time
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.cells import cells_of
    from metapt_explore.study.job_file import read_job
    from metapt_explore.study.study import Study
    from metapt_explore.study.worker_file import cell_states

    opened = Workspace(workspace)
    config = find_study(study, opened)
    seeds = None if init_seeds is None else parse_seeds(init_seeds)
    pipeline = Study(config, opened)
    machine, where = machine_config(), parse_on(on)
    compute_as_workers(pipeline, where, machine)
    pace = pace_of(pipeline, where, machine)
    seconds = None if pace is None else pace.seconds(seeds) if pace.basis else {}
    found = cells_of(pipeline, parse_until(until), seeds, seconds=seconds)
    watch_hosts(opened, [config.name])
    at_workers = {row["key"]: row for row in cell_states(opened, config.name)}
    failed = {part["key"]: part["reason"] for part in read_job(opened, config.name).get("failed", [])}
    states = {cell.key: _state(cell, at_workers.get(cell.key), failed) for cell in found}
    if as_json:
        rows = [{**cell.as_dict(), "state": states[cell.key], "worker": at_workers.get(cell.key)} for cell in found]
        echo(json.dumps({"study": config.name, "cells": rows}, ensure_ascii=False))
        return
    table = Table(title=f"{escape(config.name)}: {sum(cell.done for cell in found)} of {len(found)} cells are there")
    for column in ("cell", "state", "waits for", "time", "memory"):
        table.add_column(column)
    done = {cell.key for cell in found if cell.done}
    for cell in found:
        waits = sum(parent not in done for parent in cell.parents)
        time = "" if cell.done or cell.seconds is None else format_time(cell.seconds)
        memory = "" if cell.memory_mib is None else f"{cell.memory_mib / 1024:.1f} GiB"
        state = cell.problem or _said(states[cell.key], at_workers.get(cell.key), failed.get(cell.key, ""))
        row = (cell.key, state, f"{waits}" if waits else "", time, memory)
        table.add_row(*map(escape, row))
    make_console().print(table)
    say(make_console(), _left_line(found, pace))


def _left_line(cells: list[Cell], pace: Pace | None) -> str:
    """How long what is left takes, and how anybody knows."""
    from metapt_explore.engines.pace import least_time
    from metapt_explore.progress.state import format_time

    left = {cell.key: cell.seconds for cell in cells if not cell.done and cell.seconds is not None}
    if pace is not None and not pace.basis:
        return f"How fast workers on {pace.name} run the model is not known yet: they measure it when they begin."
    if not left:
        return "Nothing is left." if all(cell.done for cell in cells) else "How long it takes is not known."
    total = f"Left: about {format_time(sum(left.values()))} of work"
    if pace is None:
        return f"{total} in one process of this machine (`metapt plan` measures it)."
    wall = least_time(left, {cell.key: cell.parents for cell in cells}, pace.slots)
    return f"{total}, {format_time(wall)} on {pace.name} with {pace.slots} at once ({pace.basis}); not counted: starts."


def _state(cell: Cell, at_worker: dict[str, Any] | None, failed: Mapping[str, str]) -> str:
    """How a cell stands: ``finished``, what its worker says, ``failed`` when the study last ran, or ``waiting``."""
    if cell.done:
        return "finished"
    if at_worker is not None and at_worker["state"] != "made":
        return str(at_worker["state"])
    return "failed" if cell.key in failed else "waiting"


def _said(state: str, at_worker: dict[str, Any] | None, reason: str) -> str:
    """The same in words, with the worker or the reason."""
    if state == "failed":
        return f"failed: {reason}"
    if at_worker is None or state in ("finished", "waiting"):
        return state
    share = f" {100 * at_worker['fraction']:.0f} %" if state in ("running", "stopped") else ""
    who = f" on {at_worker['worker']}" if at_worker["worker"] else ""
    return f"{state}{who}{share}"


def make(
    study: AnyStudy,
    keys: Annotated[list[str] | None, typer.Argument(help="Cells, as `metapt cells` calls them.")] = None,
    *,
    batch: Annotated[str | None, typer.Option(hidden=True, help="A batch that a run has written.")] = None,
    parent: Annotated[int | None, typer.Option(hidden=True, help="Stop when this process ends.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Make some cells of a study and what they are made from; for schedulers of your own.

    Takes no lock on the study: any number of these work beside each other, on all machines that see the workspace, and
    nothing is computed twice. `metapt run` afterwards finds everything and lists it. SIGTERM and SIGUSR2 end it with a
    checkpoint and exit code 75; the same command goes on from there.
    """
    from metapt_explore.errors import Cancelled, UserError
    from metapt_explore.progress.terminal import TerminalView
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.cell_worker import CellWorker, ending_with, stopping_at_signals
    from metapt_explore.study.failures import format_failed
    from metapt_explore.study.worker_file import cells_folder, read_batch

    opened, console = Workspace(workspace), make_console()
    # A worker's study is the workspace's, whatever file of that name lies where it was started.
    config = find_study(study, opened) if batch is None else opened.study_config(study)
    expected: dict[str, str] = {}
    if batch is not None:
        expected = dict(read_batch(cells_folder(opened, config.name), batch).get("cells", {}))
    wanted = list(keys or expected)
    if not wanted:
        raise UserError(f"Name cells of '{config.name}' to make; `metapt cells {config.name}` lists them.")
    view = TerminalView(console, bars=batch is None)
    worker = CellWorker(config, opened, batch, view.show)
    try:
        with stopping_at_signals(worker), ending_with(worker, parent):
            failed = worker.make(wanted, expected)
    except Cancelled:
        say(console, "Stopped; checkpoints are kept, and the same command goes on from there.")
        raise typer.Exit(LATER) from None
    finally:
        view.close()
    for sentence in format_failed(part.as_dict() for part in failed):
        say(console, f"Failed: {sentence}")
    made = len(worker.file.record["made"])
    rest = "; the others were there" if made < len(wanted) and not failed else ""
    say(console, f"{made} of {len(wanted)} cells made{rest}.")
    if failed:
        raise typer.Exit(PARTS_FAILED)


def find_study(study: str, workspace: Workspace) -> StudyConfig:
    """A study by its YAML file, by its name in the workspace, or a packaged example."""
    from metapt_explore.config import load_study

    is_file = study.endswith((".yaml", ".yml")) or Path(study).is_file()
    return load_study(study) if is_file or study not in workspace.study_names() else workspace.study_config(study)
