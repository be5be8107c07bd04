"""The Few-shot page's part on ensembles: which readers they took, how often."""

from __future__ import annotations

import streamlit as st

from metapt_explore.dashboard.parts import drawing, messages
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.reporting.readers_section import caption, decides, taken_table, undecided_sentence
from metapt_explore.results.readers import readers_table


def show_readers(scores: StudyScores) -> None:
    """A table for each ensemble.

    Args:
        scores: The study's scores.
    """
    table = readers_table(scores.results)
    st.header("Readers together")
    for number, entry in enumerate(scores.record.study.get("baselines", [])):
        if isinstance(entry, dict) and entry["name"] in set(table["method"]):
            if decides(entry):
                drawing.show_table(taken_table(table, entry), key=f"readers_{number}", hide_index=True)
            st.caption(messages.sentence(f"{caption(entry)} {undecided_sentence(table, entry)}"))
