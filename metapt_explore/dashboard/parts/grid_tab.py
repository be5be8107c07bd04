"""Grids: how often dev chose the edge of what it searched, and the study with wider ones."""

from __future__ import annotations

import streamlit as st

from metapt_explore.config import StudyConfig, parse
from metapt_explore.dashboard.parts import drawing, messages
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.reporting.background_sections import grid_table
from metapt_explore.results.search_grids import searched
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.widen import Widened, widen


def has_grids(scores: StudyScores) -> bool:
    """Whether dev chose anything from a grid."""
    return bool(searched(scores.record).edges)


def show_grids(scores: StudyScores) -> None:
    """The table, and a study with wider grids by one click, or as a file."""
    found = searched(scores.record)
    drawing.show_table(grid_table(found.edges), key="grids", hide_index=True)
    st.caption(
        "How often dev chose the ends of the grid that it searched. Where that is often, a wider grid may serve the "
        "method better. Steps have no lower edge: 0 is the prompt before tuning."
    )
    with messages.guard():
        wide = widen(parse(StudyConfig, scores.record.study, scores.name), scores.results)
        if not wide.changes:
            st.success("No method chose the edge of its grid in a quarter of its scores.")
            return
        st.markdown("**Wider grids**")
        st.code("\n".join(change.sentence for change in wide.changes), language="yaml")
        if scores.workspace is not None:
            wide = widen(scores.workspace.study_config(scores.name), scores.results)
            _make_button(scores.workspace, wide)
        st.download_button("Download as YAML", wide.yaml, f"{wide.study.name}.yaml", key="wide_yaml")


def _make_button(workspace: Workspace, wide: Widened) -> None:
    name = wide.study.name
    if name in workspace.study_names():
        st.caption(messages.plain(f"The workspace has '{name}': choose it as the study on the left, and start it."))
    elif st.button(messages.plain(f"Make '{name}'"), key="make_wide", help="Pre-trainings are used again"):
        workspace.save_study(wide.study)
        st.rerun()
