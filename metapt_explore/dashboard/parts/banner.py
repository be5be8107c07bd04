"""Above every page: the jobs that run, what has failed, and what changed elsewhere."""

from __future__ import annotations

import streamlit as st

from metapt_explore.dashboard.parts import job, job_mending, messages, shared, start_study, study_choice
from metapt_explore.jobs import queue, study_list
from metapt_explore.jobs import state as jobs
from metapt_explore.statistics.numbers import percent
from metapt_explore.storage.workspace import Workspace

#: Pages that show the chosen study's job themselves.
WITH_PANEL = ("start", "pretraining")
#: Running jobs that are drawn at most.
MOST_JOBS = 3
#: Statuses that are told when a job gets there, with what is said.
ENDS = {
    "done": "'{}' is finished.",
    "partly": "'{}': what was asked for is finished.",
    "incomplete": "'{}' is finished, but parts of it failed.",
    "failed": "The job of '{}' failed.",
    "stopped": "The job of '{}' was interrupted.",
}
#: Session key: statuses of all studies when this session last looked.
STATUSES = "job_statuses"


def show(workspace: Workspace, page: str) -> None:
    """Draws the banner; it keeps itself up to date.

    Args:
        workspace: The workspace.
        page: The page below it.
    """
    tell_changes(workspace)
    before = study_list.active_studies(workspace)

    def body() -> None:
        with messages.guard():
            edited = tell_changes(workspace)
            active = study_list.active_studies(workspace)
            if edited or active != before:
                # The clock of this fragment is set where it is defined, so all of the page must run.
                st.rerun()
            _draw(workspace, page, active)

    st.fragment(body, run_every=shared.POLL if before else shared.IDLE_POLL, key="banner")()


def _draw(workspace: Workspace, page: str, active: list[str]) -> None:
    chosen = st.session_state.get("study")
    own_panel = page in WITH_PANEL
    running = [name for name in active if not (own_panel and name == chosen)]
    waiting = [name for name, _ in queue.requests(workspace)]
    for name in sorted(running, key=lambda name: (name not in waiting, waiting.index(name) if name in waiting else 0))[
        :MOST_JOBS
    ]:
        _running(workspace, name)
    if len(running) > MOST_JOBS:
        st.caption(f"{len(running) - MOST_JOBS} more jobs run or wait; the Start page lists them.")
    if page != "start" and (why := st.session_state.get("start_error")):  # the Start page says it beside its buttons
        st.error(messages.sentence(why))
    is_study = chosen in study_choice.study_names(workspace)  # a published record has no job
    if chosen is not None and is_study and not own_panel:
        _failed(workspace, chosen)


def _running(workspace: Workspace, name: str) -> None:
    """What runs, how far it is, how long it takes, and the way there."""
    state = shared.job_state(workspace, name)
    with st.container(horizontal=True, vertical_alignment="center", key=f"banner_{name}"):
        if state["status"] == "queued":
            st.caption(messages.plain(f"{name} waits for its turn."))
        else:
            stage = state.get("stage") or "getting ready"
            share = job.progress_of(state)
            text = f"{name}: {percent(share, 0)} of {job.asked_of(state)}, {job.left_of(state)} ({stage})"
            st.progress(share, text=messages.plain(text))
        st.page_link(shared.page_file("pretraining"), label="See it", query_params={"study": name})


def _failed(workspace: Workspace, name: str) -> None:
    """A job that failed or was interrupted, in one sentence, with the button that mends it."""
    state = shared.job_state(workspace, name)
    if state["status"] == "failed":
        st.error(messages.sentence(job.failure_sentence(state)))
    elif state["status"] == "stopped":
        st.warning(
            messages.plain(
                f"Interrupted at {percent(job.progress_of(state), 0)}: {jobs.format_gone(state)}. What was computed is "
                "kept."
            )
        )
    else:
        return
    with st.container(horizontal=True, key="banner_mends"):
        job_mending.buttons(workspace, name, state, key="banner")
        st.button("Resume", key="banner_resume", on_click=start_study.resume, args=(workspace, name))


# ---------------------------------------------------------------------------- what changed elsewhere


def tell_changes(workspace: Workspace) -> bool:
    """Toasts for jobs that ended and for the chosen study, if another tab, a terminal or a notebook changed it.

    Returns:
        Whether the chosen study was changed elsewhere.
    """
    session = st.session_state
    now = {name: str(state["status"]) for name, state in study_list.job_states(workspace).items()}
    before: dict[str, str] = session.get(STATUSES) or {}
    for name, status in now.items():
        if before.get(name) in shared.ACTIVE and status in ENDS:
            bad = status in ("failed", "stopped", "incomplete")
            icon = ":material/error:" if bad else ":material/check_circle:"
            st.toast(messages.plain(ENDS[status].format(name)), icon=icon, duration="long")
    session[STATUSES] = now
    chosen = session.get("study")
    if chosen not in now:
        return False
    changed = shared.changed_elsewhere(workspace, chosen)
    if changed:
        st.toast(messages.plain(f"'{chosen}' was changed elsewhere; the page shows it now."), icon=":material/edit:")
    return changed
