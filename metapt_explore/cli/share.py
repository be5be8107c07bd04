"""`metapt push` and `metapt pull`: a study over a bucket, a server or a folder, and a prompt to a hub."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metapt_explore.cli.options import WorkspaceOption
from metapt_explore.errors import UserError
from metapt_explore.progress.console import make_console, say

if TYPE_CHECKING:
    from metapt_explore.storage.transfer import OnPart, Transfer

#: A place is an address, or a path that says so: `owner/name` is what a hub calls a repository.
PLACE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+|[/~\\].*|\.{1,2}([/\\].*)?|[A-Za-z]:[/\\].*", re.DOTALL)


#: A repository of a hub.
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def push(
    what: Annotated[
        str, typer.Argument(metavar="STUDY_OR_FOLDER", help="A study of the workspace, or the folder of a prompt.")
    ],
    where: Annotated[
        str,
        typer.Argument(
            metavar="PLACE_OR_NAME",
            help="Of a study: s3://bucket/folder, ssh://host/folder, a path such as ./shared. Of a prompt: owner/name "
            "on a hub.",
        ),
    ],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Of a study: read what lies there already, send what is damaged again.")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="Of a prompt: make a new repository private.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Send a study to another place, or a prompt to a hub.

    The second word decides: owner/name is a hub's repository and takes a folder that `metapt export` or an estimator
    wrote; an address, or a path that begins with a dot, a slash or ~, takes a study.

    Of a study finished artifacts, list and settings are sent; each file is read back and its checksum compared, and
    what is there with its size is not sent again. A hub's token is read from HF_TOKEN, or from `hf auth login`.
    """
    from metapt_explore.storage.workspace import Workspace

    if HUB_NAME.fullmatch(where) and not PLACE.fullmatch(where):
        _push_prompt(what, where, check=check, private=private)
        return
    from metapt_explore.storage.transfer import push as push_study

    if private:
        raise UserError("--private is for a prompt that goes to a hub (owner/name).")
    opened = Workspace(workspace)
    if _holds_prompt(what) and what not in opened.study_names():
        raise UserError(
            f"{what} is the folder of a prompt, which goes to a hub: `metapt push {what} owner/name`. To keep it in "
            "another folder, copy it."
        )
    with _progress() as on_part:
        done = push_study(opened, what, checked_place(where), check=check, on_part=on_part)
    _report([done])


def _push_prompt(what: str, name: str, *, check: bool, private: bool) -> None:
    from metapt_explore.export.push import push_prompt

    if check:
        raise UserError("--check is for a study that goes to another place.")
    if not Path(what).expanduser().is_dir():
        raise UserError(
            f"'{name}' is the name of a hub's repository, which takes the folder of a prompt, and there is no folder "
            f"'{what}'. `metapt export` writes one. A study goes to an address or a path: ./{name}."
        )
    console = make_console()
    folder = Path(what).expanduser()
    say(console, push_prompt(folder, name, private=private or None, on_notice=lambda note: say(console, note)))
    say(console, f"It is used by its name: metapt classify --prompt {name}, or `init: {{hub: {name}}}` in a study.")


def _holds_prompt(what: str) -> bool:
    from metapt_explore.prompts.exported_files import FACTS_FILE

    return (Path(what).expanduser() / FACTS_FILE).is_file()


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

    if HUB_NAME.fullmatch(url) and not PLACE.fullmatch(url):
        raise UserError(
            f"'{url}' is no address. A prompt on a hub is used by its name (metapt classify --prompt {url}); a folder "
            f"that a study was pushed to is written ./{url}."
        )
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
