"""`metapt lens`: prompts beside the vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table

from metapt_explore.progress.console import echo, escape, make_console, say
from metapt_explore.storage.files import json_line
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study


def study_of(workspace: Workspace, study: str) -> Study:
    """A study of the workspace by its name, or by its YAML file."""
    return Study(study if study.endswith((".yaml", ".yml")) else workspace.study_config(study), workspace)


def lens_in_terminal(study: str, workspace: Path | None, as_json: bool) -> None:
    """Prints a line for each vector of each pre-trained prompt."""
    found = study_of(Workspace(workspace), study).lens()
    records = found.table("vectors").to_dict(orient="records")
    if as_json:
        for record in records:
            echo(json_line({**record, "nearest": json.loads(record["nearest"])}))
        return
    console = make_console()
    table = Table(title="pre-trained prompts beside the vocabulary")
    for column in ("prompt", "vector", "nearest tokens", "similarity", "length", "drift"):
        table.add_column(column)
    for row in records:
        if row["task"] is None or row["task"] != row["task"]:
            drift = "–" if row["drift"] is None or row["drift"] != row["drift"] else f"{row['drift']:.2f}"
            nearest = " · ".join(repr(token)[1:-1] for token in json.loads(row["nearest"]))
            numbers = [f"{row['similarity']:.2f}", f"{row['norm_ratio']:.2f}", drift]
            table.add_row(escape(str(row["prompt"])), str(row["vector"]), escape(nearest), *numbers)
    console.print(table)
    say(
        console,
        "similarity: cosine with the nearest token (1: a token of the vocabulary); length: against the vocabulary's "
        "mean; drift: way from the start, in lengths of the start.",
    )
