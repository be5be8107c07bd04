"""The answer on top of a page: one sentence, one figure, the doubt."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from metapt_explore import plots
from metapt_explore.config import NOT_ON_TEST
from metapt_explore.dashboard.parts import drawing, messages
from metapt_explore.dashboard.parts.study_scores import Answered, StudyScores
from metapt_explore.reporting.answer_sections import one_primary, question_table
from metapt_explore.reporting.questions import StudyQuestion
from metapt_explore.statistics import Comparison

COLOURS = {
    "helped": "green",
    "hurt": "red",
    "no difference": "blue",
    "nothing learned": "gray",
    "cannot tell": "orange",
}


def show_answer(comparison: Comparison, question: StudyQuestion | None) -> None:
    """The verdict on two methods, the difference task by task, and what speaks against it.

    Args:
        comparison: What `compare` found.
        question: The study's own question about the two, where it asks one.
    """
    asked = "" if question is None else f"**{messages.plain(question.text)}** "
    st.markdown(
        f"{asked}:{COLOURS[comparison.verdict]}-badge[{comparison.verdict}] {messages.sentence(comparison.sentence)}"
    )
    drawing.draw(
        plots.difference_forest(comparison),
        "forest",
        "Difference on each task and in the mean, with 95 % intervals (single tasks uncorrected). Blue intervals "
        "exclude 0; grey ones include it: undecided.",
    )
    doubts = list(filter(None, [comparison.to_settle, *comparison.caveats]))
    if doubts:
        st.markdown("**What is in doubt**" + "".join(f"\n- {messages.sentence(doubt)}" for doubt in doubts))


def show_notes(notes: Sequence[str], scores: StudyScores) -> None:
    """What a reader must know beside any answer: the first in sight, the others behind it."""
    if scores.rows != "test":
        st.info(NOT_ON_TEST)
    notes = [note.replace("`", "") for note in notes]  # they are shown as they are, without markup
    for note in notes[:1]:
        st.warning(messages.sentence(note))
    if notes[1:]:
        with st.expander(f"{len(notes) - 1} more to keep in mind", key="more_notes"):
            for note in notes[1:]:
                st.warning(messages.sentence(note))


def show_questions(found: Answered) -> None:
    """All questions of the study in a table."""
    drawing.show_table(question_table(found.asked, found.answers).astype(str), key="questions", hide_index=True)
    st.caption(
        f"{messages.sentence(one_primary(found.asked))} The others are secondary, their p-values corrected after Holm. "
        "All are of the mean over tasks, a pair of seeds being the unit. *No difference* means that the interval lies "
        "within the margin; *nothing learned* that neither method is above guessing; *cannot tell* that the interval "
        "reaches 0 and beyond the margin, or that there is too little to judge by. A verdict goes by its own interval, "
        "which is not corrected."
    )
