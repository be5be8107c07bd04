"""`metapt push` and `metapt pull`: a study's finished artifacts over a bucket, a server or a folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from metapt_explore.cli.options import WorkspaceOption
from metapt_explore.errors import UserError
from metapt_explore.progress.console import make_console, say

if TYPE_CHECKING:
    from metapt_explore.storage.transfer import OnPart, Transfer

#: A place is an address, or a path that says so: `owner/name` is what a hub calls a repository.
PLACE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+|[/~\\].*|\.{1,2}([/\\].*)?|[A-Za-z]:[/\\].*", re.DOTALL)


def push(
    study: Annotated[str, typer.Argument(help="A study of the workspace.")],
    url: Annotated[str, typer.Argument(help="s3://bucket/folder, ssh://host/folder …, or a path such as ./shared.")],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Read what lies there already, too; send what is damaged again.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Send a study's finished artifacts, its list and its settings to another place.

    Each file that is sent is read back and its checksum compared. What is there already with its size is not sent
    again; --check reads it and compares its checksum, too.
    """
    from metapt_explore.storage.transfer import push as push_study
    from metapt_explore.storage.workspace import Workspace

    opened = Workspace(workspace)
    with _progress() as on_part:
        done = push_study(opened, study, checked_place(url), check=check, on_part=on_part)
    _report([done])


def pull(
    url: Annotated[str, typer.Argument(help="Where a study was pushed to.")],
    study: Annotated[str | None, typer.Argument(help="Only this study (default: all that lie there).")] = None,
    settings: Annotated[
        str | None, typer.Option(help="Which settings, where several of that name were pushed (default: the last).")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Fetch studies that were pushed into a workspace.

    Each file's checksum is compared before anything of an artifact is seen; nothing in the workspace is replaced by
    something different. Exit code 1 where artifacts had to be left out.
    """
    from metapt_explore.storage.transfer import pull as pull_studies
    from metapt_explore.storage.workspace import Workspace

    opened = Workspace(workspace)
    with _progress() as on_part:
        done = pull_studies(opened, checked_place(url), study, settings=settings, on_part=on_part)
    _report(done)
    if any(each.left for each in done):
        raise typer.Exit(1)


def checked_place(url: str) -> str:
    """An address or a path; a bare name is neither.

    Raises:
        UserError: Saying how to write a folder.

    Example:
        >>> checked_place("s3://bucket/a"), checked_place("./shared")
        ('s3://bucket/a', './shared')
    """
    if not PLACE.fullmatch(url):
        raise UserError(f"'{url}' is no address (s3://bucket/folder); write a folder as ./{url}.")
    return url


@contextmanager
def _progress() -> Iterator[OnPart]:
    if not sys.stderr.isatty():
        yield lambda done, total, title: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=make_console(sys.stderr), transient=True) as bars:
        bar = bars.add_task("artifacts", total=None)
        yield lambda done, total, title: bars.update(bar, completed=done, total=total)


def _report(done: list[Transfer]) -> None:
    console = make_console()
    for transfer in done:
        for note in transfer.notes:
            say(console, note)
        for identifier, why in transfer.left.items():
            say(console, f"{identifier} is left out: {why}.")
        say(console, str(transfer))
