"""Edit a study: its title, a copy under another name, its clusterings and methods; and delete it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import streamlit as st

from metapt_explore.config import StudyConfig, to_yaml
from metapt_explore.dashboard.parts import messages, method_form, shared, study_choice
from metapt_explore.errors import UserError
from metapt_explore.jobs import changes
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.edit import Part, depends_on, with_copy, with_settings, with_title, without
from metapt_explore.study.extend import free_name

#: Session key: what the last edit did, or why it did not: an icon and a sentence.
TOLD = "edit_told"
#: Part of a study, its tab, and what an entry of it is called.
TABS: tuple[tuple[Part, str, str], ...] = (
    ("clusterings", "Clusterings", "clustering"),
    ("methods", "Methods", "method"),
    ("baselines", "Baselines", "baseline"),
)


def section(workspace: Workspace, name: str) -> None:
    """An expander with everything that can be edited; closed, unless something was just done in it."""
    _tell()
    try:
        config = shared.study_config(workspace, name)
    except UserError:  # the page has said so
        config = None
    with st.expander("Edit, duplicate or delete this study", key="edit_study"):
        if shared.job_state(workspace, name)["active"]:
            st.info("A job of this study runs or waits: cancel it, or edit the study when it has ended.")
            return
        if config is None:
            _delete_button(workspace, name)
            return
        parts = [tab for tab in TABS if getattr(config, tab[0])]
        tabs = st.tabs(["Study", *(title for _, title, _ in parts), "As YAML"])
        with tabs[0]:
            _study(workspace, config)
        for tab, (part, _, called) in zip(tabs[1:-1], parts, strict=True):
            with tab:
                _entries(workspace, config, part, called)
        with tabs[-1]:
            _yaml(workspace, config)


def _tell() -> None:
    icon, sentence = st.session_state.pop(TOLD, ("", ""))
    if sentence:
        getattr(st, icon)(messages.sentence(sentence))


def _do(action: Callable[[], str]) -> None:
    """Does an edit and keeps what is to be said of it (a button's callback)."""
    try:
        st.session_state[TOLD] = "success", action()
    except (UserError, OSError) as error:
        st.session_state[TOLD] = "error", str(error)


# --------------------------------------------------------------------------------------- the study


def _study(workspace: Workspace, config: StudyConfig) -> None:
    name, state = config.name, st.session_state

    def rename() -> str:
        changes.save_edited(workspace, with_title(config, state[f"edit_title_{name}"]))
        shared.own_change(workspace, name)
        return "The title is changed."

    def duplicate() -> str:
        copy = changes.duplicate_study(workspace, name, state[f"copy_name_{name}"])
        study_choice.look_at(copy.name)
        return f"This is '{copy.name}', a copy of '{name}'. What is computed belongs to both."

    left, right = st.columns([4, 1], vertical_alignment="bottom")
    left.text_input("Title", config.title, key=f"edit_title_{name}", help="What reports are headed with")
    right.button("Change the title", key="edit_title", on_click=_do, args=(rename,), width="stretch")
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    free = free_name(f"{name}-copy", study_choice.study_names(workspace)).replace(" ", "-")
    left.text_input("Name of a copy", free, key=f"copy_name_{name}")
    right.button("Duplicate", key="duplicate_study", on_click=_do, args=(duplicate,), width="stretch")
    _delete_button(workspace, name)


def _delete_button(workspace: Workspace, name: str) -> None:
    if st.button("Delete this study …", key="delete_study"):
        _confirm_delete(workspace, name)


@st.dialog("Delete this study?")
def _confirm_delete(workspace: Workspace, name: str) -> None:
    def delete() -> str:
        gone = changes.delete_study(workspace, name)
        study_choice.leave()
        return f"'{name}' is deleted: {gone}"

    with messages.guard():
        goes = changes.what_goes(workspace, name)
        st.markdown(
            messages.sentence(
                f"'{name}' goes with its settings, its log, and what was computed for it alone: {goes} "
                "Nothing brings it back."
            )
        )
        if st.button("Delete", key="delete_really", type="primary", on_click=_do, args=(delete,)):
            st.rerun()


def _yaml(workspace: Workspace, config: StudyConfig) -> None:
    """The whole study as a text to edit."""
    written = to_yaml(config, brief=True)
    key = f"edit_yaml_{hashlib.sha256(written.encode()).hexdigest()[:8]}"  # another study, or another state of it

    def save() -> str:
        notices = changes.save_written(workspace, config.name, st.session_state[key])
        shared.own_change(workspace, config.name)
        return " ".join(["The study is saved. Resume computes what it lacks.", *notices])

    st.text_area("All settings of the study", written, height=420, key=key)
    st.caption(
        "Here everything can be set that the forms do not ask for. What has its usual value is left out; the "
        "documentation lists every key (*The study file, key by key*). Where a key or value is wrong, it is named and "
        "nothing is saved."
    )
    st.button("Save the YAML", key="save_yaml", on_click=_do, args=(save,))


# ------------------------------------------------------------------ clusterings, methods, baselines


def _entries(workspace: Workspace, config: StudyConfig, part: Part, called: str) -> None:
    names = [entry.name for entry in getattr(config, part)]
    key = f"edit_{part}_{config.name}"
    chosen = st.selectbox(called.capitalize(), names, key=key)

    def duplicate() -> str:
        copied, new_name = with_copy(config, part, chosen)
        changes.save_edited(workspace, copied)
        shared.own_change(workspace, config.name)
        return f"'{new_name}' is a copy of '{chosen}'; change its settings below it."

    with st.container(horizontal=True):
        st.button("Duplicate", key=f"duplicate_{part}", on_click=_do, args=(duplicate,))
        if st.button("Remove …", key=f"remove_{part}"):
            _confirm_removal(workspace, config, part, chosen)
    if part == "baselines":
        return
    present = next(entry for entry in getattr(config, part) if entry.name == chosen)
    with st.form(f"form_{part}", border=False):
        given = method_form.edited(present, config, f"{key}_{chosen}")
        others = depends_on(config, part, chosen)
        st.caption(messages.plain(f"Other settings are computed anew, and so is what depends on them: {others}."))
        if st.form_submit_button("Save the settings"):
            with messages.guard():
                _save(workspace, config, part, chosen, given)


def _save(workspace: Workspace, config: StudyConfig, part: Part, name: str, given: dict[str, Any]) -> None:
    if not given:
        st.info("Nothing is changed.")
        return
    changes.save_edited(workspace, with_settings(config, part, name, given), depends_on(config, part, name))
    shared.own_change(workspace, config.name)
    told = ", ".join(f"{key}: {value}" for key, value in given.items())
    st.session_state[TOLD] = "success", f"'{name}' has {told}. Resume computes what it lacks."
    st.rerun()


@st.dialog("Remove it from the study?")
def _confirm_removal(workspace: Workspace, config: StudyConfig, part: Part, name: str) -> None:
    gone = depends_on(config, part, name)

    def remove() -> str:
        changes.save_edited(workspace, without(config, part, name), gone)
        shared.own_change(workspace, config.name)
        return f"Removed: {gone}. What was computed is kept, and found again where it is asked for again."

    st.markdown(messages.plain(f"These go, because they depend on it: {gone}. What was computed of them is kept."))
    if st.button("Remove", key=f"remove_{part}_really", type="primary", on_click=_do, args=(remove,)):
        st.rerun()
