"""The chosen study, and other choices that are kept in the page's address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from metapt_explore.dashboard.parts import messages
from metapt_explore.jobs import study_list
from metapt_explore.reporting.published import PREFIX, is_record, record_names
from metapt_explore.storage.workspace import Workspace

#: Session key: the study to choose at the next redraw.
NEXT_STUDY = "next_study"
#: Session keys: a study in the address that the workspace lacks; the last address.
GONE, ADDRESS = "gone_study", "address_study"
#: Letters of a name in an address that a message repeats.
LONGEST_NAME = 80


def study_names(workspace: Workspace) -> list[str]:
    """Studies in alphabetical order, damaged ones among them."""
    return study_list.study_names(workspace)


def look_at(study: str) -> None:
    """Chooses a study for all pages, from the next redraw on."""
    st.session_state[NEXT_STUDY] = study


def leave() -> None:
    """Leaves the chosen study, which is deleted: the next redraw chooses another."""
    for key in ("study", ADDRESS, GONE):
        st.session_state.pop(key, None)
    st.query_params.pop("study", None)


def pick_study(workspace: Workspace) -> None:
    """The workspace's folder and the choice of the study, which stands in the address as ``study``.

    The address decides whenever somebody changed it: a link, a bookmark, the browser's Back. A study that it names and
    that is not there is said to be gone, and no other is shown in its place.
    """
    st.caption("Workspace")
    st.code(str(workspace.folder), language=None, wrap_lines=True)
    names = [*study_names(workspace), *record_names(workspace)]
    state, address = st.session_state, st.query_params
    linked = address.get("study") or None
    wanted = state.pop(NEXT_STUDY, None) or (linked if linked != state.get(ADDRESS) else None)
    wanted = wanted or state.get("study") or linked or state.get(GONE) or _latest(workspace, names)
    if wanted in names or not (names or linked):
        state.pop(GONE, None)
        state["study"] = wanted if names else None
    else:
        state["study"], state[GONE] = None, wanted
    if names:
        first = None if GONE in state else 0
        st.selectbox("Study", names, index=first, key="study", placeholder="Choose a study", format_func=_shown)
    chosen = state["study"]
    # Written on every run: changing pages empties the address. The name of a missing study stays.
    if (chosen or state.get(GONE)) not in (None, linked):
        address["study"] = chosen or state[GONE]
    state[ADDRESS] = address.get("study") or None


def _shown(name: str) -> str:
    return f"{name.removeprefix(PREFIX)} (record)" if is_record(name) else name


def said_to_be_gone() -> bool:
    """Warns if the study in the address is missing; returns whether it warned."""
    name = st.session_state.get(GONE)
    if name:
        st.error(messages.sentence(f"There is no study '{shorten(name)}' in this workspace (renamed or deleted?)."))
    return bool(name)


def shorten(name: str) -> str:
    """A name from the address, cut to the length of a message."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def choose(box: Any, label: str, options: Sequence[Any], *, key: str, first: int = 0) -> Any:
    """A choice kept in the address; warns if the study lacks what the address names.

    Args:
        box: Where it is drawn.
        label: What is chosen.
        options: What there is.
        key: Of the choice, in the session and in the address.
        first: Place of the option that is chosen where nobody chose.

    Returns:
        What is chosen; None where the address names something that is not there and nothing else was chosen yet.
    """
    state, linked = st.session_state, st.query_params.get(key) or None
    if key in state and state[key] not in options:
        # Left over from another study in this session.
        linked = None if str(state[key]) == linked else linked
        del state[key]
    if linked is None or linked in map(str, options) or str(state.get(key)) == linked:
        return box.selectbox(label, options, index=first, key=key, persist_state="session", bind="query-params")

    def take() -> None:
        state[key] = state[f"{key}_instead"]
        del st.query_params[key]

    st.error(
        messages.sentence(
            f"This study has no {label.lower()} '{shorten(linked)}' (renamed or deleted?). Choose another."
        )
    )
    box.selectbox(label, options, index=None, key=f"{key}_instead", placeholder="Choose one", on_change=take)
    return None


def _latest(workspace: Workspace, names: Sequence[str]) -> str | None:
    """The study that was worked on last."""
    return max(names, key=lambda name: study_list.changed_at(workspace, name), default=None)
