"""`metapt app`, `jobs`, `cancel`: the dashboard, and the queue that it shares with the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        help="Folder for everything computed (default: $METAPT_WORKSPACE or ./workspace).",
    ),
]


def add_job_commands(app: typer.Typer) -> None:
    """Adds this module's commands to the command line."""
    app.command(name="app")(dashboard)
    app.command()(jobs)
    app.command()(cancel)
    app.command(hidden=True)(worker)


def dashboard(
    workspace: WorkspaceOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it listens.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Address to listen on; browsers may call the server by it.")
    ] = "127.0.0.1",
    host: Annotated[
        list[str] | None,
        typer.Option(help="Another name by which browsers may call it, of a proxy for example; several times."),
    ] = None,
) -> None:
    """Open the dashboard on a workspace; the same pages as `streamlit run app.py`."""
    from metapt_explore.cli.app import open_dashboard

    raise typer.Exit(open_dashboard(workspace, port, address, host or ()))


def jobs(
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when the queue is empty; exit code 1 if one failed.")
    ] = False,
) -> None:
    """List the jobs of a workspace: what runs, what waits, how far it is."""
    from metapt_explore.cli.jobs import show_jobs
    from metapt_explore.storage.workspace import Workspace

    if not show_jobs(Workspace(workspace), as_json, wait):
        raise typer.Exit(1)


def cancel(
    study: Annotated[str, typer.Argument(help="A study of the workspace that runs or waits.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Stop a study that runs or waits. What is computed stays; run again it goes on from there."""
    from metapt_explore.cli.jobs import cancel_in_terminal
    from metapt_explore.storage.workspace import Workspace

    cancel_in_terminal(Workspace(workspace), study)


def worker(
    workspace: WorkspaceOption = None,
    number: Annotated[int, typer.Option(min=0, help="Which of the machine's workers this is.")] = 0,
) -> None:
    """Work on a workspace's queue. Started by itself whenever a study is asked for."""
    from metapt_explore.jobs.worker import serve
    from metapt_explore.storage.workspace import Workspace

    serve(Workspace(workspace), number)
