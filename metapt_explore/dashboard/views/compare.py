"""Compare: the answer first; then any two methods of any studies, and from a score down to its texts."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from metapt_explore.dashboard.parts import (
    grid_tab,
    many_methods,
    messages,
    score_lineage,
    setting_tab,
    shared,
    study_scores,
    two_methods,
)
from metapt_explore.dashboard.parts.answer import show_answer, show_notes, show_questions
from metapt_explore.dashboard.parts.over_rows import show_over_rows
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.dashboard.parts.tabs import show_tabs
from metapt_explore.dashboard.parts.two_methods import Pair
from metapt_explore.storage.workspace import Workspace


def _page(workspace: Workspace, name: str) -> None:
    shared.study_config(workspace, name)
    scores = study_scores.of_study(workspace, name)
    if scores is None:
        shared.ready(workspace, name, None, what="the first few-shot evaluation")
        return
    _compare(scores)


def _compare(scores: StudyScores) -> None:
    above = st.container()
    scores = study_scores.choose_metric(scores)
    found = scores.answered
    with above:
        if not found.asked:
            st.info(
                "No two methods of this study have scores on all tasks with the same seeds yet."
                if scores.prompts
                else "This study compares baselines only, and asks no question of its own: choose any two below."
            )
        answer = st.container()  # first: what to keep in mind of it stands below
        show_notes(found.notes, scores)
    pair = two_methods.choose_pair(scores)
    if pair is not None:
        with answer, messages.guard():
            show_answer(pair.comparison, found.question(pair.both.first, pair.both.second))
            if pair.first[0] == pair.second[0] == scores.name:
                show_over_rows(scores, pair.comparison)
    show_tabs("compare", _tabs(scores, pair))


def _tabs(scores: StudyScores, pair: Pair | None) -> dict[str, Callable[[], None]]:
    tabs: dict[str, Callable[[], None]] = {}
    if pair is not None:
        tabs["Task by task"] = lambda: two_methods.show_tasks(pair)
        tabs["Seeds"] = lambda: two_methods.show_seeds(pair)
    tabs["All methods"] = lambda: many_methods.show_matrix(scores)
    of_pair = [] if pair is None else [pair.first, pair.second]
    joined = scores.answered.joined
    own = [name for study, method in of_pair if study == scores.name for name in joined.get(method, [method])]
    tabs["Curves"] = lambda: many_methods.show_curves(scores, own)
    tabs["Cost"] = lambda: many_methods.show_cost(scores)
    if not setting_tab.settings_of(scores).empty:
        tabs["Settings"] = lambda: setting_tab.show_settings(scores)
    if scores.record.published:
        tabs["Published by others"] = lambda: many_methods.show_published(scores)
    if grid_tab.has_grids(scores):
        tabs["Grids"] = lambda: grid_tab.show_grids(scores)
    if scores.answered.asked:
        tabs["Questions"] = lambda: show_questions(scores.answered)
    workspace = scores.workspace
    if pair is not None and workspace is not None:
        tabs["Trace"] = lambda: score_lineage.pairs(workspace, pair.both, first=pair.first, second=pair.second)
    return tabs


shared.show_page("Compare", _page, record=_compare)
