"""`metapt verify`: whether everything in a workspace is what was written."""

from __future__ import annotations

from typing import Annotated

import typer

from metapt_explore.cli.job_commands import WorkspaceOption


def add_verify_command(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command()(verify)


def verify(
    workspace: WorkspaceOption = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Set aside what is damaged, put back what can be, remove temporary files."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each thing that is wrong.")] = False,
) -> None:
    """Check every file of a workspace against its checksum; exit code 1 where something is damaged or lost.

    Nothing is deleted but temporary files: what is damaged is moved to the workspace's folder `damaged`, and
    `metapt run` computes it anew.
    """
    from metapt_explore.cli.verify import verify_in_terminal
    from metapt_explore.storage.workspace import Workspace

    if not verify_in_terminal(Workspace(workspace), repair, as_json):
        raise typer.Exit(1)
