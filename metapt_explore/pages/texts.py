"""Texts: what the source holds, what became of its rows, and a new study on texts of one's own."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore.config import StudyConfig
from metapt_explore.pages import shared
from metapt_explore.runs.artifact import Artifact
from metapt_explore.runs.workspace import Workspace
from metapt_explore.texts.report import missing_labels


def _page(workspace: Workspace, name: str) -> None:
    entry = next(iter(shared.entries(workspace, name, "texts")), None)
    texts = shared.ready(workspace, name, entry, "the pre-training texts")
    if texts is not None:
        with shared.guard(texts.folder):
            _decontamination(texts, shared.study_config(workspace, name))


def _decontamination(texts: Artifact, config: StudyConfig) -> None:
    st.subheader("What became of the texts")
    summary = texts.summary
    dropped, leaks = summary["dropped"], summary["leaks_by_task"]
    columns = st.columns(3)
    columns[0].metric("Texts kept", f"{summary['kept']:,}")
    columns[1].metric("Dropped", f"{sum(dropped.values()):,}")
    columns[2].metric("Nearly or quite in dev or test", f"{sum(leaks.values()):,}")
    if dropped:
        st.dataframe(
            pd.DataFrame({"reason": list(dropped), "texts": list(dropped.values())}),
            key="dropped",
            hide_index=True,
        )
    st.caption(
        f"Texts that equal or nearly equal one of the {summary['held_out_rows']:,} dev and test rows of the tasks "
        "are dropped before anything is learned, so that no score rests on rows seen in pre-training."
    )
    own_labels = config.labelling is None and config.auxiliary_tasks.classes == "labels"
    _source_report(summary["report"], own_labels)
    if leaks:
        with st.expander("Dropped because of a dev or test row", key="leaks_box"):
            st.dataframe(shared.table(texts, "leaks"), key="leaks", hide_index=True)


def _source_report(report: dict[str, Any], own_labels: bool) -> None:
    """What the source held before anything was dropped.

    Args:
        report: Of the data.
        own_labels: Whether auxiliary tasks need the data's own labels: else it is no fault if there are none.
    """
    words = report["words"]
    with st.expander("Report of the source, before anything was dropped", key="report_box"):
        columns = st.columns(4)
        columns[0].metric("Rows", f"{report['rows']:,}")
        columns[1].metric("Blank", f"{report['blank']:,}")
        columns[2].metric("Duplicates", f"{report['duplicates']:,}")
        columns[3].metric("Words, median (longest)", f"{words['median']:g} ({words['max']:g})")
        labels = {**report["labels"], "(unlabelled)": report["unlabelled"]}
        st.dataframe(
            pd.DataFrame({"label": list(labels), "texts": list(labels.values())}), key="source_labels", hide_index=True
        )
        beside_the_point = [] if own_labels else missing_labels(report)
        for warning in report["warnings"]:
            if warning not in beside_the_point:
                st.text(warning)


shared.show_page("Texts", _page)
