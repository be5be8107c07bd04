"""What pages show of a study with several formats of auxiliary tasks."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from metapt_explore.dashboard.parts import drawing, messages, shared
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace

#: Rows of each format that are shown.
EXAMPLES = 3


def made_rows(workspace: Workspace, study: str) -> None:
    """How many rows each format made of the texts, and some of them."""
    entry = next(iter(shared.entries(workspace, study, "format_rows")), None)
    artifact = workspace.artifact(entry["id"]) if entry else None
    if artifact is None or not shared.finished(artifact):
        return
    with messages.guard(artifact.folder):
        st.header("Rows made of the texts")
        told = artifact.summary["formats"]
        counts = pd.DataFrame(
            {
                "format": list(told),
                "rows": [facts["rows"] for facts in told.values()],
                "dropped: repeat a dev or test row": [facts["repeat_dev_or_test"] for facts in told.values()],
            }
        )
        numbers = drawing.counted(*counts.columns[1:])
        drawing.show_table(counts, key="format_rows", hide_index=True, column_config=numbers)
        st.caption(
            "Formats make rows of the texts that were kept above, so that something can be learned without labels. "
            "Tasks whose classes are clusters make none: they read the texts themselves."
        )
        rows = drawing.table(artifact, "texts")
        with st.expander("Some of these rows", key="format_examples_box"):
            made = rows[rows["format"] != ""].groupby("format").head(EXAMPLES)
            drawing.show_table(made[["format", "text", "text_pair", "label"]], key="format_examples", hide_index=True)


def mean_of_formats(metrics: pd.DataFrame, tasks: Artifact) -> tuple[pd.DataFrame, dict[int, str]]:
    """Losses of each format: the mean over the tasks that a step drew of it, and the formats' names.

    Args:
        metrics: A prompt's metrics; returned as they are where all tasks are of one format, or are few.
        tasks: Its auxiliary tasks.
    """
    summary = tasks.summary
    names = {int(task): str(name) for task, name in summary.get("names", {}).items()}
    if "formats" not in summary or "task" not in metrics or "query" not in metrics:
        return metrics, names
    place = dict(enumerate(summary["task_formats"]))
    of_format = metrics.assign(task=metrics["task"].map(place))
    mean = of_format.groupby(["step", "task"], as_index=False).mean(numeric_only=True)
    listed = {number: f"{each['name']}: {each['tasks']:,} tasks" for number, each in enumerate(summary["formats"])}
    return mean, listed


def tasks_sentence(summary: dict[str, object]) -> str:
    """What the auxiliary tasks of several formats are made of."""
    formats = summary["formats"]
    assert isinstance(formats, list)
    parts = [f"{each['tasks']:,} {each['name']} of {each['rows']:,} rows" for each in formats]
    return f"{summary['tasks']:,} auxiliary tasks of {len(parts)} formats: {'; '.join(parts)}."
