"""Which study is looked at, and other choices that stand in the page's address."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from metapt_explore.dashboard.parts import messages
from metapt_explore.storage.workspace import Workspace

#: In the session: the study that is to be chosen when the choice is drawn next.
NEXT_STUDY = "next_study"
#: In the session: the study that the address names and the workspace has not; and what the address last said.
GONE, ADDRESS = "gone_study", "address_study"
#: Letters of a name in an address that a message repeats.
LONGEST_NAME = 80


def study_names(workspace: Workspace) -> list[str]:
    """Studies in alphabetical order, damaged ones among them."""
    folders = workspace.study_folder("x").parent.glob("*")
    marks = ("study.yaml", "job.json")
    return sorted(folder.name for folder in folders if any((folder / mark).exists() for mark in marks))


def look_at(study: str) -> None:
    """Chooses a study for all pages, from the next time a page is drawn on."""
    st.session_state[NEXT_STUDY] = study


def pick_study(workspace: Workspace) -> None:
    """The workspace's folder and the choice of the study, which stands in the address as ``study``.

    The address decides whenever somebody changed it: a link, a bookmark, the browser's Back. A study that it names and
    that is not there is said to be gone, and no other is shown in its place.
    """
    st.caption("Workspace")
    st.code(str(workspace.folder), language=None, wrap_lines=True)
    names = study_names(workspace)
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
        st.selectbox("Study", names, index=None if GONE in state else 0, key="study", placeholder="Choose a study")
    chosen = state["study"]
    # Written on every run: going to another page empties the address. That of a study that is gone stays as it is.
    if (chosen or state.get(GONE)) not in (None, linked):
        address["study"] = chosen or state[GONE]
    state[ADDRESS] = address.get("study") or None


def said_to_be_gone() -> bool:
    """Says that the study of the address is not there; whether it was said."""
    name = st.session_state.get(GONE)
    if name:
        st.error(messages.plain(f"There is no study '{shorten(name)}' in this workspace (renamed or deleted?)."))
    return bool(name)


def shorten(name: str) -> str:
    """What an address said, in no more letters than a message can hold."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def choose(box: Any, label: str, options: Sequence[Any], *, key: str, first: int = 0) -> Any:
    """A choice that stands in the address; what the address names and the study has not is said, never replaced.

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
        # Chosen in this session, of another study: nobody's link.
        linked = None if str(state[key]) == linked else linked
        del state[key]
    if linked is None or linked in map(str, options) or str(state.get(key)) == linked:
        return box.selectbox(label, options, index=first, key=key, persist_state="session", bind="query-params")

    def take() -> None:
        state[key] = state[f"{key}_instead"]
        del st.query_params[key]

    st.error(
        messages.plain(f"This study has no {label.lower()} '{shorten(linked)}' (renamed or deleted?). Choose another.")
    )
    box.selectbox(label, options, index=None, key=f"{key}_instead", placeholder="Choose one", on_change=take)
    return None


def _latest(workspace: Workspace, names: Sequence[str]) -> str | None:
    """The study that was worked on last."""
    return max(names, key=lambda name: _changed(workspace.study_folder(name)), default=None)


def _changed(folder: Path) -> float:
    times = [0.0]
    for name in ("job.json", "index.json", "study.yaml"):
        file = folder / name
        if file.exists():
            # A file of the future (the clock was set back) is not newer than all that come.
            times.append(min(file.stat().st_mtime, time.time()))
    return max(times)
