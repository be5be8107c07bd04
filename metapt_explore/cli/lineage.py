"""`metapt lineage`: everything behind one score."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metapt_explore.cli.options import InitSeedOption, StoredStudy, WorkspaceOption, takes_options
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo

if TYPE_CHECKING:
    from metapt_explore.results.lineage import Lineage


@dataclass(frozen=True)
class ScoreOptions:
    """Which score; each field is an option of the command."""

    method: Annotated[str, typer.Option(help="One of its methods.")]
    task: Annotated[str, typer.Option(help="One of its tasks.")]
    data_seed: Annotated[int | None, typer.Option(help="Data seed (default: the study's first).")] = None
    init_seed: InitSeedOption = None
    shots: Annotated[int | None, typer.Option(help="One of evaluation.more_shots (default: evaluation.shots).")] = None


@takes_options
def lineage(
    study: StoredStudy,
    score: ScoreOptions,
    *,
    texts: Annotated[Path | None, typer.Option(help="Write the texts behind the prompt to this CSV file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, without texts.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show everything behind one score: artifacts, texts and how often each was drawn, versions, commands."""
    from metapt_explore.config import load_study
    from metapt_explore.results.find_lineage import lineage as find_lineage
    from metapt_explore.storage.workspace import Workspace

    opened = Workspace(workspace)
    name = load_study(study).name if study.endswith((".yaml", ".yml")) else study
    evaluation = opened.study_config(name).evaluation
    init_seed = evaluation.init_seeds[0] if score.init_seed is None else score.init_seed
    data_seed = score.data_seed
    if data_seed is None:
        known = init_seed if init_seed in evaluation.init_seeds else evaluation.init_seeds[0]
        data_seed = evaluation.data_seeds_of(known)[0]
    tree = find_lineage(
        opened, name, score.method, score.task, data_seed=data_seed, init_seed=init_seed, shots=score.shots
    )
    echo(json.dumps(tree.as_dict(), ensure_ascii=False) if as_json else str(tree))
    if texts is not None:
        _write_texts(tree, texts, to_stderr=as_json)


def _write_texts(tree: Lineage, file: Path, *, to_stderr: bool) -> None:
    from metapt_explore.escaping import csv_text

    table = tree.texts()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(csv_text(table).encode())
    except OSError as error:
        raise UserError(f"--texts: cannot write {file}: {error.strerror or error}.") from None
    drawn = int((table["drawn"] > 0).sum())
    echo(f"{len(table):,} lines in {file}, {drawn:,} of them drawn at least once.", err=to_stderr)
