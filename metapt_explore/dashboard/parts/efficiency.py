"""What fewer and more labelled examples are worth: two curves, and how many labels a method saves."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.config import StudyConfig
from metapt_explore.dashboard.parts import drawing, messages
from metapt_explore.reporting.efficiency_section import Efficiency, efficiency_of, needed_rows
from metapt_explore.results.record import scores_of
from metapt_explore.results.tables import efficiency_table
from metapt_explore.statistics import LabelsNeeded
from metapt_explore.statistics.labels_needed import told_together
from metapt_explore.storage.workspace import Workspace


def show(workspace: Workspace, name: str, config: StudyConfig, methods: list[str]) -> None:
    """Draws the section of a study that is scored at several numbers of examples.

    Args:
        workspace: Where the study lies.
        name: Its name.
        config: The study.
        methods: Methods and baselines in its order.
    """
    st.header("With fewer and with more examples")
    table = efficiency_table(workspace, name)
    found = _ordered(str(workspace.folder), name, methods, _stamp(table), _table=table)
    if found is None or not found.baselines:
        st.info("Scores at several numbers of examples per class follow as they are computed.")
        return
    for sentence in found.left_out:
        st.caption(messages.plain(sentence))
    baseline = st.selectbox(
        "Compared with",
        found.baselines,
        index=found.baselines.index(found.baseline),
        key=f"efficiency_baseline_{name}",
        help="Whose score the others are compared with, and who is to reach theirs.",
    )
    efficiency = found.table(baseline)
    left, right = st.columns(2)
    with left:
        drawing.draw(
            plots.efficiency_curve(efficiency, found.methods, config.evaluation.scored_rows),
            "efficiency",
            "Mean accuracy by labelled examples per class; bars are 95 % intervals over pairs of seeds. The further "
            "left a line reaches a height, the fewer labels its method needs.",
        )
    with right:
        drawing.draw(
            plots.efficiency_difference(efficiency, found.methods, baseline),
            "efficiency_difference",
            "The same, less the score of the method chosen above with the same seeds. An interval that does not reach "
            "0 is a difference at that number of examples by itself.",
        )
    needed = _needed(str(workspace.folder), name, baseline, _stamp(table), _found=found)
    if not needed:
        return
    st.markdown(f"**How many labels does it save against {messages.plain(baseline)}?**")
    primary = next((question for question in found.asked if question.primary), None)
    if primary is not None and primary.baseline == baseline and primary.method in needed:
        st.markdown(messages.plain(told_together(needed[primary.method])))
    st.dataframe(needed_rows(needed), key="labels_needed", hide_index=True)
    st.caption(
        "How many examples a class it needs for a method's score, on straight lines between the measured numbers (over "
        "their logarithm). The interval comes from drawing seeds with replacement. *Saved*: all of it lies above what "
        "the method had; *none saved*: none of it; *cannot be told*: anything else, and fewer than five independent "
        "seeds."
    )


def _stamp(table: pd.DataFrame) -> str:
    """A value that changes with the scores."""
    return f"{len(table)} {hash(tuple(table['artifact']))}"


@st.cache_resource(max_entries=16, show_spinner=False)
def _ordered(folder: str, name: str, methods: list[str], stamp: str, *, _table: pd.DataFrame) -> Efficiency | None:
    return efficiency_of(_table, scores_of(Workspace(folder), name).study, methods)


@st.cache_resource(max_entries=16, show_spinner="Drawing seeds …")
def _needed(folder: str, name: str, baseline: str, stamp: str, *, _found: Efficiency) -> dict[str, list[LabelsNeeded]]:
    return _found.needed(baseline)
