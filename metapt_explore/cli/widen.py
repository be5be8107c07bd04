"""`metapt widen`: a study with wider grids, where dev often chose the edge of the ones it had."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from metapt_explore.cli.options import WorkspaceOption
from metapt_explore.progress.console import make_console, say

#: How names of a user's own files end.
FILE_ENDINGS = {".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".xlsx", ".gz", ".npy", ".yaml", ".yml"}


def own_files(settings: Any) -> list[str]:
    """Names of files in the settings of a record, which keeps no folders.

    Example:
        >>> own_files({"texts": {"path": "reviews.csv"}, "evaluation": {"tasks": ["trec", "own.yaml"]}})
        ['reviews.csv', 'own.yaml']
    """
    if isinstance(settings, str):
        return [settings] if Path(settings).suffix.lower() in FILE_ENDINGS else []
    inside = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else ()
    return list(dict.fromkeys(file for value in inside for file in own_files(value)))


def widen(
    study: Annotated[str, typer.Argument(help="A study of the workspace, or the folder of a record.")],
    *,
    out: Annotated[Path | None, typer.Option(help="The YAML file to write (default: STUDY-wide.yaml here).")] = None,
    share: Annotated[
        float, typer.Option(help="Share of a method's scores at the edge from which it is widened.")
    ] = 0.25,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a study that searches further where dev chose the last value tried: one value more, twice the steps.

    In the same workspace pre-trainings are used again; tuning is done anew.
    """
    from metapt_explore.config import StudyConfig, parse
    from metapt_explore.errors import UserError
    from metapt_explore.results.record import Record, scores_of
    from metapt_explore.storage.files import write_bytes
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.widen import widen as widened

    folder = Path(study)
    if (folder / "record.json").is_file():
        record = Record.load(folder)
        config = parse(StudyConfig, record.study, study)
    else:
        opened = Workspace(workspace)
        config, record = opened.study_config(study), scores_of(opened, study)
    console = make_console()
    wide = widened(config, record.results, share=share)
    if not wide.changes:
        say(console, f"Nothing to widen: no method of '{config.name}' chose the edge of its grid so often.")
        return
    file = out or Path(f"{wide.study.name}.yaml")
    if file.exists():
        raise UserError(f"{file} is there already: give another name with --out.")
    write_bytes(file, wide.yaml.encode())
    for change in wide.changes:
        say(console, change.sentence)
    if (folder / "record.json").is_file() and (cut := own_files(record.study)):
        say(console, f"A record keeps no folders: write in {file} where these files lie: {', '.join(cut)}.")
    where = "" if workspace is None else f" --workspace {workspace}"
    say(console, f"Written: {file}. Run it: metapt run {file}{where}")
