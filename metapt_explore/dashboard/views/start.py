"""Start: what this is, how far the chosen study is, the job, and beginning something."""

from __future__ import annotations

import streamlit as st

from metapt_explore.dashboard.parts import (
    edit_study,
    job,
    job_mending,
    messages,
    published_record,
    shared,
    start_study,
    study_choice,
)
from metapt_explore.errors import UserError
from metapt_explore.models import setup as setup_starter
from metapt_explore.reporting.published import is_record
from metapt_explore.stages.steps import Step
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import example as example_study
from metapt_explore.study.overview import pipeline

ABOUT = (
    "This tool groups texts into clusters, makes an auxiliary task of each, and meta-learns a soft prompt over "
    "them (MetaPT). It then tunes that prompt on a few labelled examples of other tasks, beside a prompt without "
    "pre-training (PT) and one pre-trained on all texts together (PPT). Scores over many seeds show whether "
    "clustering gives a better and steadier init, or whether the data cannot tell."
)
#: Page of each step of the pipeline.
PAGES = {
    "Texts": "texts",
    "Clusters": "clusters",
    "Tasks": "clusters",
    "Prompts": "pretraining",
    "Scores": "fewshot",
    "Answer": "compare",
}
SIGNS = {"done": ":material/check_circle:", "running": ":material/sync:", "partly": ":material/timelapse:"}
NOTHING = ":material/radio_button_unchecked:"


def _begin(workspace: Workspace) -> None:
    """Three ways in, the quickest first."""
    start_study.show_start()
    first, second, third = st.columns(3)
    with first.container(border=True, height="stretch"):
        st.markdown("**Look at a finished study**")
        st.caption("The tour as it ran on two cores, with its scores and manifest. Nothing is computed.")
        opened = example_study.NAME in study_choice.study_names(workspace)
        if st.button("Open the example", key="open_example", width="stretch", disabled=opened):
            _open_example(workspace)
    with second.container(border=True, height="stretch"):
        st.markdown("**Take the tour**")
        st.caption(
            "Computed here: clusters in seconds; PT, PPT, MetaPT and the recommended *PPT and probe* on two tasks in "
            "minutes."
        )
        ready = setup_starter.is_set_up()
        running = shared.job_state(workspace, "tour")["active"]
        st.button(
            "Start the tour",
            key="start_tour",
            type="primary",
            disabled=not ready or running,
            on_click=start_study.start,
            args=(workspace, "tour"),
            width="stretch",
        )
        st.button(
            "A tour without labels",
            key="start_unlabelled",
            disabled=not ready or shared.job_state(workspace, "unlabelled")["active"],
            on_click=start_study.start,
            args=(workspace, "unlabelled"),
            width="stretch",
            help="Learns from raw film reviews; clusters, sentence pairs and selection make the tasks.",
        )
        if not ready:
            st.warning("It needs SmolLM2-135M-Instruct, rounded to 4 bits, and texts: once, here or in a terminal.")
            job_mending.install_starter("start")
            st.code("metapt setup", language="bash")
    with third.container(border=True, height="stretch"):
        st.markdown("**Your own texts**")
        st.caption("A CSV, TSV, JSON, JSONL, Parquet or Excel file, a packaged set, or a data set on the hub.")
        if st.button("Choose texts", key="own_texts", width="stretch"):
            st.switch_page(shared.page_file("texts"))
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    left.text_input("Or the path of a study file (YAML) on the server", key="study_path")
    right.button(
        "Start this study",
        key="start_study",
        on_click=lambda: start_study.start(workspace, st.session_state["study_path"]),
        width="stretch",
    )

    published_record.open_box(workspace)


def _open_example(workspace: Workspace) -> None:
    try:
        study_choice.look_at(example_study.open_example(workspace))
    except (UserError, OSError) as error:
        st.error(messages.sentence(error))
        return
    st.rerun()


def _pipeline(workspace: Workspace, name: str) -> None:
    """The stages as boxes with what exists; each leads to its page."""
    steps = pipeline(workspace, shared.study_config(workspace, name))
    with st.container(key="steps"):  # rows of six, three or two (`style.css`)
        boxes = st.columns(len(steps))
    for box, step in zip(boxes, steps, strict=True):
        with box.container(border=True, height="stretch"):
            st.page_link(shared.page_file(PAGES[step.name]), label=step.name, icon=SIGNS.get(step.status, NOTHING))
            st.caption(messages.sentence(_said(step)))


def _said(step: Step) -> str:
    return step.said or "not there yet"


def _here(workspace: Workspace) -> None:
    study_choice.said_to_be_gone()
    name = st.session_state.get("study")
    if is_record(name):
        published_record.show_on_start(workspace, str(name))
    elif name:
        st.header(messages.plain(name))
        with messages.guard():
            shared.entries(workspace, name)
            if (workspace.study_folder(name) / "study.yaml").exists():
                _pipeline(workspace, name)
        job.panel(workspace, name)
        with messages.guard():
            edit_study.section(workspace, name)
    if not study_choice.study_names(workspace):
        st.info(
            "This workspace is empty. Choose one of the three below, or run `metapt run STUDY.yaml` in a terminal "
            "with the "
            "same workspace folder. The tour takes a few minutes on a laptop."
        )
        return
    st.header("In this workspace")
    job.table(workspace)
    st.caption(
        "A score is one method or baseline on one task, over all data seeds, with one initialisation seed. "
        "Progress is a share of the estimated work that was last asked for."
    )


st.title("metapt_explore")
st.markdown(ABOUT)
with messages.guard():
    opened_workspace = shared.open_workspace()
    with messages.guard():
        _here(opened_workspace)
    st.header("Start a study")
    _begin(opened_workspace)
