"""`metapt report`: a study as Markdown and as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metapt_explore.cli.options import WorkspaceOption
from metapt_explore.progress.console import echo


def report(
    study: Annotated[str, typer.Argument(help="A study of the workspace, or the folder of a record.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder to write to (default: the study's or record's own).")] = None,
    record: Annotated[bool, typer.Option(help="Write the record, too: scores and facts without any text.")] = False,
    add: Annotated[
        bool, typer.Option("--add", help="Keep scores of the folder's record that the workspace lacks.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the report of a study, as Markdown and as one HTML file."""
    from metapt_explore.jobs.state import missing_parts
    from metapt_explore.reporting.report import make_report
    from metapt_explore.results.join import joined, refuse_to_lose
    from metapt_explore.results.record import Record, record_of
    from metapt_explore.storage.workspace import Workspace

    published = Path(study)
    missing: list[dict[str, str]] = []
    if (published / "record.json").is_file():
        new, folder = Record.load(published), out or published
    else:
        opened = Workspace(workspace)
        missing = missing_parts(opened, study)
        new, folder = record_of(opened, study), out or opened.study_folder(study) / "report"
    older = Record.load(folder) if (add or record) and (folder / "record.json").is_file() else None
    if older and add:
        new = joined(older, new)
    if record:
        if older:
            refuse_to_lose(older, new, folder)
        new.save(folder)
    for file in make_report(new, missing).write(folder):
        echo(str(file))
