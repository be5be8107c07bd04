"""`metapt report`: a study as Markdown and as one HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from metapt_explore.cli.options import WorkspaceOption, takes_options
from metapt_explore.progress.console import echo


@dataclass(frozen=True)
class Recording:
    """Whether a record is written, and over which one."""

    record: Annotated[bool, typer.Option(help="Write the record, too: scores and facts without any text.")] = False
    add: Annotated[bool, typer.Option("--add", help="Keep scores of the folder's record that the workspace lacks.")] = (
        False
    )
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a record although decisions or tables of it would be lost.")
    ] = False


@takes_options
def report(
    study: Annotated[str, typer.Argument(help="A study of the workspace, or the folder of a record.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder to write to (default: the study's or record's own).")] = None,
    recording: Recording,
    published: Annotated[
        Path | None, typer.Option(help="YAML of published numbers, shown apart; a copy is kept beside the study.")
    ] = None,
    tables: Annotated[
        list[str] | None, typer.Option(help="Write each table to tables/, too: latex, typst or csv; may be repeated.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the report of a study, as Markdown and as one HTML file."""
    from metapt_explore.config import load_tasks
    from metapt_explore.config.paper_numbers import keep_paper_numbers
    from metapt_explore.jobs.state import missing_parts
    from metapt_explore.reporting.report import make_report
    from metapt_explore.reporting.table_files import write_tables
    from metapt_explore.results.join import joined, refuse_to_lose
    from metapt_explore.results.record import Record, record_of
    from metapt_explore.storage.workspace import Workspace

    recorded = Path(study)
    missing: list[dict[str, str]] = []
    if (recorded / "record.json").is_file():
        if published is not None:
            keep_paper_numbers(published, recorded, [task["name"] for task in Record.load(recorded).tasks])
        new, folder = Record.load(recorded), out or recorded
    else:
        opened = Workspace(workspace)
        if published is not None:
            tasks = [task.name for task in load_tasks(opened.study_config(study).evaluation)]
            keep_paper_numbers(published, opened.study_folder(study), tasks)
        missing = missing_parts(opened, study)
        new, folder = record_of(opened, study), out or opened.study_folder(study) / "report"
    older = Record.load(folder) if (recording.add or recording.record) and (folder / "record.json").is_file() else None
    if older and recording.add:
        new = joined(older, new)
    if recording.record:
        if older:
            refuse_to_lose(older, new, folder, but_scores=recording.replace)
        new.save(folder)
    document = make_report(new, missing)
    for file in [*document.write(folder), *write_tables(document, folder, tables or ())]:
        echo(str(file))
