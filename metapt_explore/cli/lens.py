"""`metapt lens`: prompts beside the vocabulary."""

from __future__ import annotations

import json

from rich.table import Table

from metapt_explore.cli.options import JsonLinesOption, ShotsOption, StoredStudy, WorkspaceOption, open_study
from metapt_explore.progress.console import echo, escape, make_console, say


def lens(
    study: StoredStudy,
    shots: ShotsOption = None,
    as_json: JsonLinesOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what the finished prompts look like beside the vocabulary: nearest tokens, length, drift.

    Where methods are pre-trained for each number of examples, all of their prompts, or those of `--shots`.
    """
    from metapt_explore.stages.lens import vectors_at
    from metapt_explore.storage.files import json_line

    opened = open_study(study, workspace)
    records = vectors_at(opened.lens(), opened.config, shots).to_dict(orient="records")
    if as_json:
        for record in records:
            echo(json_line({**record, "nearest": json.loads(record["nearest"])}))
        return
    console = make_console()
    table = Table(title="pre-trained prompts beside the vocabulary")
    for column in ("prompt", "vector", "nearest tokens", "similarity", "length", "drift"):
        table.add_column(column)
    for row in records:
        if row["task"] is None or row["task"] != row["task"]:  # a pre-trained prompt has no task, or NaN
            drift = "–" if row["drift"] is None or row["drift"] != row["drift"] else f"{row['drift']:.2f}"
            nearest = " · ".join(repr(token)[1:-1] for token in json.loads(row["nearest"]))
            numbers = [f"{row['similarity']:.2f}", f"{row['norm_ratio']:.2f}", drift]
            table.add_row(escape(str(row["prompt"])), str(row["vector"]), escape(nearest), *numbers)
    console.print(table)
    say(
        console,
        "similarity: cosine with the nearest token (1: a token of the vocabulary); length: against the vocabulary's "
        "mean; drift: distance from the initial vector, in lengths of the initial vector.",
    )
