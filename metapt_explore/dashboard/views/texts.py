"""Texts: what the source holds, what became of its rows, and a new study on the user's own texts."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from metapt_explore.config import StudyConfig
from metapt_explore.dashboard.parts import drawing, format_view, messages, published_record, shared, study_choice
from metapt_explore.dashboard.parts.new_study import builder
from metapt_explore.reporting.published import is_record
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace


def _page(workspace: Workspace, name: str) -> None:
    st.header(f"Texts of {messages.plain(name)}")
    entry = next(iter(shared.entries(workspace, name, "texts")), None)
    texts = shared.ready(workspace, name, entry, what="the pre-training texts")
    if texts is not None:
        with messages.guard(texts.folder):
            _decontamination(texts, shared.study_config(workspace, name))
        format_view.made_rows(workspace, name)


def _decontamination(texts: Artifact, config: StudyConfig) -> None:
    summary = texts.summary
    dropped, leaks = summary["dropped"], summary["leaks_by_task"]
    columns = st.columns(3)
    columns[0].metric("Texts kept", f"{summary['kept']:,}")
    columns[1].metric("Dropped", f"{sum(dropped.values()):,}")
    columns[2].metric("Overlap with dev or test", f"{sum(leaks.values()):,}")
    if dropped:
        drawing.show_table(
            pd.DataFrame({"reason": list(dropped), "texts": list(dropped.values())}),
            key="dropped",
            hide_index=True,
            column_config=drawing.counted("texts"),
        )
    st.caption(
        f"Texts that equal, or nearly equal, one of the {summary['held_out_rows']:,} dev and test rows of the tasks "
        "are dropped before anything is learned, so that no score rests on rows seen in pre-training."
    )
    own_labels = config.labelling is None and config.auxiliary_tasks.by_labels
    with st.expander("Source report, before texts are dropped", key="report_box"):
        drawing.data_report(summary["report"], own_labels=own_labels)
    if leaks:
        with st.expander("Dropped for overlap with dev or test rows", key="leaks_box"):
            rows = drawing.table(texts, "leaks")
            # A study that came without its texts has empty ones.
            drawing.show_table(rows.loc[:, (rows != "").any()], key="leaks", hide_index=True)
            st.caption(drawing.READ_WHOLE)


def _whole() -> None:
    st.title("Texts")
    with messages.guard():
        workspace = shared.open_workspace()
        name = st.session_state.get("study")
        if study_choice.said_to_be_gone():
            st.divider()
        elif is_record(name):
            published_record.show_record(workspace, str(name), None, "This page")
            st.divider()
        elif name:
            with messages.guard():
                _page(workspace, name)
            st.divider()
        else:
            st.info(
                f"There is no study in {messages.plain(workspace.folder)} yet. Choose your texts here, start the tour "
                "on the Start page, or run `metapt run STUDY.yaml` in a terminal."
            )
        builder(workspace)


_whole()
