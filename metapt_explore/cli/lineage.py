"""`metapt lineage`: the tree behind a score in a terminal, and its texts in a file."""

from __future__ import annotations

import json
from pathlib import Path

from metapt_explore.config import load_study
from metapt_explore.errors import UserError
from metapt_explore.escaping import csv_text
from metapt_explore.progress.console import echo
from metapt_explore.results.find_lineage import lineage
from metapt_explore.storage.workspace import Workspace


def show_lineage(
    workspace: Workspace,
    study: str,
    method: str,
    task: str,
    texts: Path | None,
    as_json: bool,
    data_seed: int | None = None,
    init_seed: int | None = None,
    shots: int | None = None,
) -> None:
    """Prints what is behind a score, and writes its texts.

    Args:
        workspace: Where the study was run.
        study: Its name, or its YAML file.
        method: One of its methods.
        task: One of its tasks.
        texts: CSV file for the texts; none is written when absent.
        as_json: One JSON object instead of a tree.
        data_seed: The first of the initialisation seed when absent.
        init_seed: The study's first when absent.
        shots: The study's own when absent.

    Raises:
        UserError: Where there is no such score, or the file cannot be written.
    """
    name = load_study(study).name if study.endswith((".yaml", ".yml")) else study
    evaluation = workspace.study_config(name).evaluation
    init_seed = evaluation.init_seeds[0] if init_seed is None else init_seed
    if data_seed is None:
        known = init_seed if init_seed in evaluation.init_seeds else evaluation.init_seeds[0]
        data_seed = evaluation.data_seeds_of(known)[0]
    found = lineage(workspace, name, method, task, data_seed, init_seed, shots)
    echo(json.dumps(found.as_dict(), ensure_ascii=False) if as_json else str(found))
    if texts is None:
        return
    table = found.texts()
    try:
        texts.parent.mkdir(parents=True, exist_ok=True)
        texts.write_bytes(csv_text(table).encode())
    except OSError as error:
        raise UserError(f"--texts: cannot write {texts}: {error.strerror or error}.") from None
    drawn = int((table["drawn"] > 0).sum())
    echo(f"{len(table):,} lines in {texts}, {drawn:,} of them drawn at least once.", err=as_json)
