"""What a finished run says of itself in a terminal: its table, its texts, where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from rich.console import Console
from rich.table import Table

from metapt_explore.progress.console import escape, make_console
from metapt_explore.progress.state import format_time
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.labelling import format_labels


def print_summary(
    name: str,
    summary: pd.DataFrame,
    console: Console | None = None,
    rows: str = "test",
    missing: Sequence[Mapping[str, str]] = (),
) -> None:
    """Prints accuracy in percent, a row for each task and method.

    Args:
        name: The study.
        summary: What `summary_table` returned.
        console: Where to; the terminal when absent.
        rows: What was scored (`scored_on`).
        missing: Parts of the study that failed or are lost, told below the table: for each ``key`` and ``reason``.
    """
    table = Table(title=f"{escape(name)}: accuracy on {rows}, %")
    for column in ("task", "method"):
        table.add_column(column)
    for column in ("start", "mean", "std", "worst", "seeds"):
        table.add_column(column, justify="right")
    previous = None
    for row in summary.to_dict(orient="records"):
        if previous is not None and previous != row["task"]:
            table.add_section()
        previous = row["task"]
        numbers = ["–" if pd.isna(row[key]) else f"{100 * row[key]:.1f}" for key in ("start", "mean", "std", "worst")]
        table.add_row(escape(row["task"]), escape(row["method"]), *numbers, str(row["seeds"]))
    out = console or make_console()
    out.print(table)
    for part in missing:
        out.print(f"Missing: {escape(part['key'])}: {escape(part['reason'])}", highlight=False, soft_wrap=True)


def texts_line(workspace: Workspace, study: str) -> str:
    """Says how many texts were pre-trained on, and what became of the others."""
    for entry in workspace.index(study):
        if entry["kind"] == "texts":
            artifact = workspace.artifact(entry["id"])
            if artifact.status != "done":
                return "Texts: they could not be read."
            summary = artifact.summary
            dropped = ", ".join(f"{count:,} {reason}" for reason, count in summary["dropped"].items())
            return f"Texts: {summary['kept']:,} of {summary['report']['rows']:,} kept (not: {dropped or 'none'})."
    return "Texts: none, no method is pre-trained."


def labels_line(workspace: Workspace, study: str) -> str:
    """Says what labels were found for texts, and how often they are those of the data."""
    for entry in workspace.index(study):
        if entry["kind"] == "labels" and workspace.artifact(entry["id"]).status == "done":
            return format_labels(workspace.artifact(entry["id"]).summary)
    return "Labels: none were looked for, no method is pre-trained."


def spent_times(workspace: Workspace, study: str) -> str:
    """Says where the time went, by kind of stage; what was computed earlier counts with its time then."""
    spent: dict[str, float] = {}
    for entry in workspace.index(study):
        stage = workspace.artifact(entry["id"]).stage
        key = {"prompt": f"pre-training {entry.get('method')}", "fewshot": f"few-shot {entry.get('task')}"}
        key["baseline"] = f"baseline {entry.get('method')}"
        name = key.get(entry["kind"], entry["kind"])
        spent[name] = spent.get(name, 0.0) + float(stage.get("seconds", 0.0))
    parts = [f"{name} {format_time(seconds)}" for name, seconds in spent.items() if seconds >= 0.5]
    return f"Time by stage: {', '.join(parts) or 'under a second'}."
