"""`metapt duplicate` and `metapt delete`: the studies of a workspace."""

from __future__ import annotations

from typing import Annotated

import typer

from metapt_explore.cli.options import WorkspaceOption
from metapt_explore.progress.console import make_console, say


def duplicate(
    study: Annotated[str, typer.Argument(help="A study of the workspace.")],
    name: Annotated[str, typer.Argument(help="What the copy is called.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Copy a study under another name; what is computed belongs to both."""
    from metapt_explore.jobs.changes import duplicate_study
    from metapt_explore.storage.workspace import Workspace

    opened = Workspace(workspace)
    copy = duplicate_study(opened, study, name)
    say(make_console(), f"'{copy.name}' is a copy of '{study}': {opened.study_folder(copy.name) / 'study.yaml'}")


def delete(
    study: Annotated[str, typer.Argument(help="A study of the workspace.")],
    workspace: WorkspaceOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """Delete a study and what was computed for it alone; what other studies use stays."""
    from metapt_explore.jobs.changes import delete_study, what_goes
    from metapt_explore.storage.workspace import Workspace

    opened, console = Workspace(workspace), make_console()
    if not yes:
        say(console, f"'{study}' goes with its settings, its log and {what_goes(opened, study)}")
        typer.confirm("Delete it?", abort=True)
    say(console, f"'{study}' is deleted: {delete_study(opened, study)}")
