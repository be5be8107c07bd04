"""How templates and label words rank on the few-shot training rows (`metapt rank-templates`)."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.dashboard.parts import drawing, messages
from metapt_explore.storage.artifact import Artifact


def show_ranking(artifact: Artifact) -> None:
    """The candidates of a task, the best first; a damaged one is named."""
    with messages.guard(artifact.folder):
        _ranking(artifact)


def _ranking(artifact: Artifact) -> None:
    summary = artifact.summary
    ranking, task = summary["ranking"], summary["task"]
    figure, table = plots.probe_dots(ranking), pd.DataFrame([_row(record) for record in ranking])
    st.header(f"Template ranking of {messages.plain(task)}")
    drawing.draw(
        figure,
        f"probe_{task}",
        "The frozen model on the few-shot training rows, without a prompt (`metapt rank-templates`): the dot is the "
        "mean over data seeds, the line spans the worst to the best. Best first, by calibrated loss; accuracy on so "
        "few rows is mostly ties and luck.",
    )
    drawing.show_table(table, key=f"probe_table_{task}", hide_index=True)


def _row(record: dict[str, Any]) -> dict[str, Any]:
    def percent(key: str) -> float | None:
        return None if record.get(key) is None else round(100 * record[key], 1)

    return {
        "rank": record["rank"],
        "template": record["template"],
        "label words": " / ".join(", ".join(words) for words in record["words"].values()),
        "loss, calibrated": None if record["reason"] else round(record["calibrated_loss"], 3),
        "level with the best": record.get("level"),
        "accuracy, calibrated (%)": percent("calibrated_accuracy"),
        "accuracy (%)": percent("accuracy"),
        "commonest prediction (%)": percent("commonest"),
        "not readable because": record["reason"] or "",
    }
