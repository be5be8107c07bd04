"""Start: what this is, what is in the workspace, the job of the chosen study, and starting one."""

from __future__ import annotations

import streamlit as st

from metapt_explore import setup_starter
from metapt_explore.pages import job, shared
from metapt_explore.runs.workspace import Workspace

ABOUT = (
    "This tool groups texts into clusters, makes an auxiliary task of each, and meta-learns a soft prompt over "
    "them (MetaPT). It then tunes that prompt on a few labelled examples of other tasks, beside a prompt without "
    "pre-training (PT) and one pre-trained on all texts together (PPT). Scores over many seeds show whether "
    "clustering gave a better and steadier start, or whether nobody can tell."
)


def _here(workspace: Workspace) -> None:
    st.subheader("In this workspace")
    if not shared.study_names(workspace):
        st.info(
            "This workspace is empty. Next: start the tour below (a few minutes on a laptop), or run "
            "`metapt run STUDY.yaml` in a terminal with the same workspace folder."
        )
        return
    job.table(workspace)
    st.caption(
        "A cell is one method on one task with one initialisation seed, over all data seeds. "
        "Progress is a share of the estimated work."
    )
    name = st.session_state.get("study")
    if name:
        st.subheader(f"Job of {shared.plain(name)}")
        with shared.guard():
            shared.entries(workspace, name)
            if (workspace.study_folder(name) / "study.yaml").exists():
                shared.study_config(workspace, name)
        job.panel(workspace, name)


def _start(workspace: Workspace) -> None:
    st.subheader("Start a study")
    job.show_error()
    ready = setup_starter.is_set_up()
    if not ready:
        st.warning(
            "The tour needs the starter model and texts, which are not on this machine yet. Run this in a terminal:"
        )
        st.code("metapt setup", language="bash")
    running = shared.job_state(workspace, "tour")["active"]
    st.button(
        "Start the tour",
        key="start_tour",
        type="primary",
        disabled=not ready or running,
        on_click=job.start,
        args=(workspace, "tour"),
        help="Clusters, PT, PPT and MetaPT on two tasks; takes some minutes on a laptop.",
    )
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    left.text_input("Or a study file (YAML), by its path on the machine where this server runs", key="study_path")
    right.button(
        "Start this study",
        key="start_study",
        on_click=lambda: job.start(workspace, st.session_state["study_path"]),
        width="stretch",
    )


st.title("metapt_explore")
st.markdown(ABOUT)
with shared.guard():
    opened = shared.open_workspace()
    with shared.guard():
        _here(opened)
    _start(opened)
