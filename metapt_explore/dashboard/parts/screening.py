"""Is there anything to meta-learn? Displacement of a study's methods, and what screenings found."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore.config import MetaPTMethod, StudyConfig
from metapt_explore.dashboard.parts import drawing, messages, shared
from metapt_explore.diagnostics.displacement import Displacement, expected
from metapt_explore.diagnostics.screen import Screening, Word
from metapt_explore.reporting.screen_section import (
    LOSSES_CAPTION,
    METHODS_CAPTION,
    TASKS_CAPTION,
    headroom_table,
    losses_table,
    screening_table,
)
from metapt_explore.results.looks import screenings_of
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.inner_gradient import kept_inner_gradient
from metapt_explore.study.overview import asked_scores, finished_scores

#: What a word looks like on the page.
SHOWN: dict[Word, str] = {
    "differ": "success",
    "nearly_one": "warning",
    "nothing_to_adapt": "warning",
    "cannot_be_told": "info",
}

#: What to do where only the model can tell how long a step is.
NOT_MEASURED = (
    "how far the inner steps move the prompt is not measured yet. Plain gradient steps are often dozens of times "
    "shorter than a tuning step, and then nothing is meta-learned. Plan the study, or ask whether it is worth trying, "
    "before it is run."
)


def word(workspace: Workspace, name: str, config: StudyConfig) -> None:
    """What screenings say of the study, or an offer to screen it: it stands beside the button that costs hours."""
    methods = [method.name for method in config.methods if isinstance(method, MetaPTMethod)]
    told = _screenings(workspace, name)
    found = {each["method"]: Screening.of(each) for each in told if each["method"] in methods}
    for method, screening in found.items():
        getattr(st, SHOWN[screening.word])(messages.sentence(f"{method}: {screening.sentence}"))
    missing = [method for method in methods if method not in found]
    if not missing or finished_scores(workspace, config) == asked_scores(config):
        return
    of = "" if len(missing) == len(methods) else messages.plain(f" {', '.join(missing)}:")
    st.caption(
        f"Not screened yet.{of} **Worth trying?** says in minutes whether there is anything to meta-learn, before "
        "**Pre-train and compare** spends its time."
    )


def _screenings(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    entries = [e for e in shared.entries(workspace, name, "screen") if shared.finished(workspace.artifact(e["id"]))]
    return screenings_of(workspace, entries)


def section(workspace: Workspace, name: str, config: StudyConfig) -> None:
    """Displacement of every meta-learned method, and the figures of those that were screened."""
    methods = [method for method in config.methods if isinstance(method, MetaPTMethod)]
    if not methods:
        return
    st.header("Is there anything to meta-learn?")
    screenings = _screenings(workspace, name)
    found = {told["method"]: Screening.of(told) for told in screenings}
    gradient = kept_inner_gradient(workspace, config)
    moves = {
        method.name: found[method.name].displacement if method.name in found else expected(method, config, gradient)
        for method in methods
    }
    for method_name, displacement in moves.items():
        if displacement.warning:
            st.warning(messages.sentence(f"{method_name}: {displacement.warning}"))
    if unknown := [method_name for method_name, displacement in moves.items() if displacement.inner is None]:
        st.info(messages.sentence(f"{', '.join(unknown)}: {NOT_MEASURED}"))
    if screenings:
        drawing.show_table(screening_table(screenings), key="screening_table", hide_index=True)
        st.caption(METHODS_CAPTION)
        for told in screenings:
            with st.expander(messages.plain(f"The tasks of {told['method']}"), key=f"headroom_{told['method']}"):
                if told.get("losses"):
                    drawing.show_table(
                        losses_table(told["losses"]), key=f"losses_table_{told['method']}", hide_index=True
                    )
                    st.caption(LOSSES_CAPTION)
                drawing.show_table(
                    headroom_table(told["headroom"]), key=f"headroom_table_{told['method']}", hide_index=True
                )
                st.caption(TASKS_CAPTION)
    if len(found) < len(methods):
        drawing.show_table(_displacement_table(moves), key="displacement_table", hide_index=True)
        st.caption(
            "How far each number of the prompt moves (root mean square): in all inner steps on a task, in one outer "
            "step, in one tuning step. A step of Adam is as long as its rate; a plain gradient step is its rate times "
            "the gradient, of which the plan and every run of some length measure one. **Worth trying?** above "
            "measures all of it, with what adapting gains: minutes, and nothing is pre-trained."
        )


def _displacement_table(moves: dict[str, Displacement]) -> pd.DataFrame:
    rows = [
        {
            "method": method,
            "inner steps": "not measured yet" if each.inner is None else f"{each.inner:.4f}",
            "outer step": f"{each.outer:.4f}",
            "tuning step": f"{each.tuning:.4f}",
        }
        for method, each in moves.items()
    ]
    return pd.DataFrame(rows)
