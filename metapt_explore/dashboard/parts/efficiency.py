"""What fewer and more labelled examples are worth: two curves, and how many labels a method saves."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.dashboard.parts import drawing, messages
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.reporting.efficiency_section import Efficiency, efficiency_of, needed_rows
from metapt_explore.statistics import LabelsNeeded
from metapt_explore.statistics.labels_needed import told_together


def show(scores: StudyScores) -> None:
    """Draws the section of a study that is scored at several numbers of examples."""
    st.header("With fewer and with more examples")
    table = scores.efficiency()
    stamp = f"{scores.stamp} {len(table)} {hash(tuple(table.get('artifact', ())))}"
    found = _ordered(stamp, _scores=scores, _table=table)
    if found is None or not found.baselines:
        st.info("Scores at several numbers of examples per class follow as they are computed.")
        return
    for sentence in found.left_out:
        st.caption(messages.sentence(sentence))
    baseline = st.selectbox(
        "Compared with",
        found.baselines,
        index=found.baselines.index(found.baseline),
        key=f"efficiency_baseline_{scores.name}",
        help="Whose score the others are compared with, and who is to reach theirs.",
    )
    efficiency = found.table(baseline)
    left, right = st.columns(2)
    with left:
        drawing.draw(
            plots.efficiency_curve(efficiency, found.methods, scores.rows),
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
    needed = _needed(baseline, stamp, _found=found)
    if not needed:
        return
    st.markdown(f"**How many labels does it save against {messages.plain(baseline)}?**")
    primary = next((question for question in found.asked if question.primary), None)
    if primary is not None and primary.baseline == baseline and primary.method in needed:
        st.markdown(messages.sentence(told_together(needed[primary.method])))
    drawing.show_table(needed_rows(needed), key="labels_needed", hide_index=True)
    st.caption(
        "How many examples a class it needs for a method's score, on straight lines between the measured numbers (over "
        "their logarithm). The interval comes from drawing seeds with replacement. *Saved*: all of it lies above what "
        "the method had; *none saved*: none of it; *cannot be told*: anything else, and fewer than five independent "
        "seeds."
    )


@st.cache_resource(max_entries=16, show_spinner=False)
def _ordered(stamp: str, *, _scores: StudyScores, _table: pd.DataFrame) -> Efficiency | None:
    return efficiency_of(_table, _scores.record.study, _scores.methods)


@st.cache_resource(max_entries=16, show_spinner="Drawing seeds …")
def _needed(baseline: str, stamp: str, *, _found: Efficiency) -> dict[str, list[LabelsNeeded]]:
    return _found.needed(baseline)
