"""Puts a study into the queue from a button, and says why it did not work or what it left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from metapt_explore.config import EXAMPLES, StudyConfig, load_study, load_task
from metapt_explore.dashboard.parts import messages, shared
from metapt_explore.errors import UserError
from metapt_explore.jobs import changes
from metapt_explore.jobs import state as jobs
from metapt_explore.stages.registry import Until
from metapt_explore.storage.study_files import find_replaced
from metapt_explore.storage.workspace import Workspace


def start(workspace: Workspace, source: str, *, until: Until = "all", init_seeds: list[int] | None = None) -> None:
    """Puts a study into the queue (a button's callback: what is to be said is kept for `show_start`).

    Args:
        workspace: The workspace.
        source: A YAML file, which is taken as it is; or the name of a packaged example, which keeps what pages added.
        until: How far.
        init_seeds: Only these of its initialisation seeds; all when absent.
    """
    state = st.session_state
    state["start_error"] = state["start_note"] = None
    notices: list[str] = []
    state["start_notices"] = notices
    try:
        named = source.strip()
        if not named:
            raise UserError("Write the path of a study file first, for example studies/mine.yaml.")
        config = load_study(named, on_notice=notices.append)
        if (EXAMPLES / f"{named}.yaml").exists():
            config = workspace.extension_of(config)
        for task in config.evaluation.tasks:
            load_task(task)
        gone = _left_out(workspace, config)
        file = workspace.study_folder(config.name) / "study.yaml"
        old = file.read_bytes() if file.exists() else None
        shared.ask(workspace, config, until, init_seeds=init_seeds)
        state["study"] = config.name
        # None if it only grew.
        before = None if old is None or old == file.read_bytes() else find_replaced(file.parent, old)
        if before is not None:
            left_out = f"Not in {named}, so no longer part of the study: {', '.join(gone)}. " if gone else ""
            note = (
                f"{left_out}The study as it was, with what was changed by hand or on pages, is {before}; "
                "what was computed of it is kept, and found again where it is asked for again."
            )
            state["start_note"] = config.name, note
    except (UserError, OSError) as error:
        state["start_error"] = str(error)


def _left_out(workspace: Workspace, config: StudyConfig) -> list[str]:
    """What the study of that name has in the workspace and has not in what is started: a page may have added it."""
    try:
        stored = workspace.study_config(config.name)
    except UserError:
        return []
    parts = ("clusterings", "methods", "baselines")
    wanted = {(part, entry.name) for part in parts for entry in getattr(config, part)}
    return [entry.name for part in parts for entry in getattr(stored, part) if (part, entry.name) not in wanted]


def show_start() -> None:
    """Shows why the last start failed, or what it left out."""
    if st.session_state.get("start_error"):
        st.error(messages.sentence(st.session_state["start_error"]))
    for notice in st.session_state.get("start_notices") or []:
        st.info(messages.sentence(notice))
    study, note = st.session_state.get("start_note") or (None, "")
    if note and study == st.session_state.get("study"):  # a message about another study would mislead
        st.info(messages.sentence(note))


def resume(workspace: Workspace, name: str) -> None:
    """Queues the stopped steps again; all steps if those are finished."""
    try:
        shared.study_config(workspace, name)  # raises with advice if its file is damaged
    except UserError as error:
        st.session_state["start_error"] = str(error)
        return
    source = str(workspace.study_folder(name) / "study.yaml")
    start(workspace, source, **asked_before(jobs.own_state(workspace, name)))


def asked_before(state: Mapping[str, Any]) -> dict[str, Any]:
    """How much was asked for of a job that stopped; all of the study where that is finished."""
    asked = {} if state["status"] in ("done", "partly") else state
    return {"until": asked.get("until") or "all", "init_seeds": asked.get("init_seeds")}


def start_changed(
    workspace: Workspace, config: StudyConfig, *, until: Until = "all", init_seeds: list[int] | None = None
) -> None:
    """Queues a study with changed settings (a button's callback).

    Args:
        workspace: The workspace.
        config: The study as it is now to be.
        until: How far.
        init_seeds: Only these of its initialisation seeds; all when absent.
    """
    try:
        changes.save_edited(workspace, config)  # what is computed stays on the study's list
        shared.ask(workspace, config, until, init_seeds=init_seeds)
    except (UserError, OSError) as error:
        st.session_state["start_error"] = str(error)
