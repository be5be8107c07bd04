"""The job of a study as pages show it: bar, time left, cancel, resume, and what it said when it failed."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore.dashboard.parts import drawing, job_mending, messages, shared, start_study
from metapt_explore.engines import orphans
from metapt_explore.errors import UserError
from metapt_explore.jobs import queue, study_list
from metapt_explore.jobs import state as jobs
from metapt_explore.progress.state import format_time
from metapt_explore.reporting.published import is_record
from metapt_explore.storage.disk import format_full
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.cell_table import cell_table, format_counts
from metapt_explore.study.failures import format_failed
from metapt_explore.study.given_out import batches_given_out
from metapt_explore.study.preview import format_cost, read_cost

LOG_LINES = 30
#: Seconds that a redraw reads studies which were never read, and what stands for their scores until then.
LOOK_S, UNREAD = 0.5, "…"
#: What a job was asked for, by how far it goes: its percent is of that.
ASKED = {
    "texts": "reading the texts",
    "clusters": "the clusters",
    "plan": "predicting the cost",
    "screen": "the screening",
    "agreement": "the look at the tasks",
    "slices": "the slices of the scored rows",
    "memberships": "the membership probabilities",
    "template_ranking": "the ranking of label words",
    "prompts": "the pre-training",
    "all": "the study",
}


def asked_of(state: dict[str, Any]) -> str:
    """What a job was asked for, in words."""
    return ASKED.get(str(state.get("until") or "all"), "what was asked for")


def left_of(state: dict[str, Any]) -> str:
    """The time that a running job has left, in words."""
    seconds = state.get("seconds_left")
    return "time left not known yet" if seconds is None else f"about {format_time(seconds)} left"


def failure_sentence(state: dict[str, Any]) -> str:
    """Why a job failed, in one sentence."""
    why = "nothing of what was asked for could be computed." if state.get("failed") else state.get("error")
    return f"The job failed: {why or 'no reason given'}"


def progress_of(state: dict[str, Any]) -> float:
    """The finished share of a job, 0 to 1."""
    if state.get("status") == "done":
        return 1.0
    share = state.get("fraction")
    return min(1.0, max(0.0, float(share))) if isinstance(share, int | float) and share == share else 0.0


def overview(workspace: Workspace, *, within_s: float | None = None) -> pd.DataFrame:
    """A row for each study of the workspace: status, progress and finished scores.

    Args:
        workspace: The workspace.
        within_s: Seconds of reading studies that were never read; the scores of the others are `UNREAD` this time.
    """
    rows = []
    states = study_list.job_states(workspace)
    scores = study_list.scores_of(workspace, list(states), within_s=within_s)
    waiting = [name for name, _ in queue.requests(workspace)]
    for name, state in states.items():
        status, found = str(state.get("status")), scores[name]
        row = {
            "study": name,
            "status": _place(waiting, name) if status == "queued" else _in_words(status) + where_of(dict(state)),
            "progress": f"{100 * progress_of(dict(state)):.0f} %",
            "finished scores": "–",
        }
        if isinstance(found, study_list.ScoreCounts):
            row["finished scores"] = f"{found.finished} of {found.asked}"
        elif found is None:
            row["finished scores"] = UNREAD
        elif status not in (*shared.ACTIVE, "failed", "stopped"):
            row["status"] = "damaged"
        rows.append(row)
    return pd.DataFrame(rows, columns=["study", "status", "progress", "finished scores"])


def _in_words(status: str) -> str:
    return shared.STATUS_WORDS.get(status, status)


def where_of(state: dict[str, Any]) -> str:
    """On which other host a job runs; empty for this one."""
    return f", on '{state['host']}'" if state.get("status") == "running" and state.get("host") else ""


def _place(waiting: list[str], name: str) -> str:
    """Number of jobs before a study in the queue, the running one included."""
    before = waiting.index(name) if name in waiting else 0
    return f"waits ({before} before it)" if before else "waits for a worker"


def finished_ids(workspace: Workspace, name: str, kind: str | None = None) -> list[str]:
    """Ids of the study's artifacts that are done."""
    listed = shared.entries(workspace, name, kind)
    return [entry["id"] for entry in listed if workspace.artifact(entry["id"]).status == "done"]


# ---------------------------------------------------------------------------------- what is drawn


def table(workspace: Workspace) -> None:
    """The overview, kept up to date while any study runs; thousands of studies are read over several redraws."""
    active = bool(study_list.active_studies(workspace))
    rows: list[pd.DataFrame] = []
    with messages.guard():
        rows.append(overview(workspace, within_s=LOOK_S))
    left = any(_unread(each) for each in rows)

    def body() -> None:
        with messages.guard():
            shown = rows.pop() if rows else overview(workspace, within_s=LOOK_S)
            drawing.show_table(shown, key="studies", hide_index=True)
            if left and not active and not _unread(shown):
                st.rerun()  # all are read: no more redraws

    st.fragment(body, run_every=shared.POLL if active or left else None, key="overview")()


def _unread(rows: pd.DataFrame) -> bool:
    return bool((rows["finished scores"] == UNREAD).any())


def badge(workspace: Workspace) -> None:
    """One line in the sidebar; redraws the page when a stage or the job ends."""
    name = st.session_state.get("study")
    if not name or is_record(name):
        return
    before = _signature(workspace, name)
    active = before[0] in shared.ACTIVE

    def line() -> None:
        with messages.guard():
            now = _signature(workspace, name)
            if now != before:
                st.rerun()
            state = shared.job_state(workspace, name)
            if state["active"]:
                left = state.get("seconds_left")
                note = f", {format_time(left)} left" if left is not None else ""
                st.caption(messages.plain(f"{state['status']}: {100 * progress_of(state):.0f} %{note}"))
            else:
                st.caption(shared.STATUS_WORDS.get(state["status"], messages.plain(state["status"])))

    st.fragment(line, run_every=shared.POLL if active else None, key="job_badge")()


def _signature(workspace: Workspace, name: str) -> tuple[str, int]:
    """A value that changes when the page must be redrawn."""
    status = str(shared.job_state(workspace, name).get("status"))
    try:
        return status, len(finished_ids(workspace, name))
    except UserError:
        return status, -1


def panel(workspace: Workspace, name: str) -> None:
    """The job of a study: what it does, how far it is, and buttons to cancel or resume it."""
    active = shared.job_state(workspace, name)["active"]

    def body() -> None:
        with messages.guard():
            state = shared.job_state(workspace, name)
            if state["active"] != active:
                # The clock of this fragment is set where it is defined, so all of the page must run.
                st.rerun()
            _show(workspace, name, state)

    # Also without a job it looks now and then: one may be started elsewhere, and a bad moment heals itself.
    st.fragment(body, run_every=shared.POLL if active else shared.IDLE_POLL, key="job_panel")()


def _show(workspace: Workspace, name: str, state: dict[str, Any]) -> None:
    # Three places that never move: however much is said above, the buttons are drawn where they were, so that a
    # page being redrawn never shows them twice.
    said, buttons, more = st.container(), st.container(), st.container()
    with said:
        _say(workspace, name, state)
    with buttons:
        _buttons(workspace, name, state)
    if str(state.get("status")) in ("failed", "stopped", "incomplete"):
        with buttons:
            job_mending.buttons(workspace, name, state, key="panel")
    if str(state.get("status")) in ("failed", "stopped"):
        with more:
            _show_log(workspace, name)


def _say(workspace: Workspace, name: str, state: dict[str, Any]) -> None:
    status = str(state.get("status"))
    share = progress_of(state)
    if status == "queued":
        waiting = [other for other, _ in queue.requests(workspace)]
        st.info(messages.sentence(f"In the queue: {_place(waiting, name)}. It begins by itself."))
    elif status == "starting":
        st.progress(0.0, text="The process is starting; this takes some seconds.")
    elif status == "running":
        stage, done, total = state.get("stage") or "getting ready", state.get("done"), state.get("total")
        units = f" ({done} of {total})" if total else ""
        st.progress(share, text=messages.plain(f"{stage}{units}"))
        st.text(f"{100 * share:.0f} % of {asked_of(state)}, {left_of(state)}{where_of(state)}")
        if silent := jobs.format_silent(state):
            st.warning(messages.sentence(f"There is {silent}."))
        _show_workers(workspace, name)
    elif status == "done":
        st.success("This study is finished: look at the other pages.")
    elif status == "partly":
        st.info("What was asked for is finished; Resume computes the rest of the study.")
    elif status == "incomplete":
        st.warning("The study is finished but for the parts that failed (below). Resume tries them again.")
    elif status == "cancelled":
        st.warning(f"Cancelled at {100 * share:.0f} %. What was computed is kept; Resume goes on from there.")
    elif status == "stopped":
        st.warning(
            messages.plain(
                f"Interrupted at {100 * share:.0f} %: {jobs.format_gone(state)}. What was computed is kept; "
                "Resume goes on from there."
            )
        )
        if batches_given_out(workspace, name):
            st.warning("Its workers are at work or will begin: Cancel stops them, Resume takes them over.")
            _show_workers(workspace, name)
    elif status == "failed":
        st.error(messages.sentence(failure_sentence(state)))
    else:
        st.info("No job has run this study here; Resume computes what is not there yet.")
    if status != "done" and (full := format_full(workspace.folder)):
        st.error(messages.sentence(full))
    for sentence in format_failed(state.get("failed") or []):
        st.error(messages.sentence(f"Failed: {sentence}"))
    cost = read_cost(workspace, name)
    if cost is not None:
        st.caption(messages.sentence(format_cost(cost)))
    for notice in state.get("notices") or []:
        st.warning(messages.sentence(notice))


def _show_workers(workspace: Workspace, name: str) -> None:
    """How the cells stand, where the study runs on an engine: those at a worker first, with its name."""
    rows = cell_table(workspace, name)
    if not rows:
        return
    st.caption(messages.plain(format_counts(rows)))
    table = pd.DataFrame(rows)[["key", "state", "fraction", "worker", "reason"]]
    table["fraction"] = [f"{100 * share:.0f} %" for share in table["fraction"]]
    table.columns = ["cell", "state", "finished", "worker", "reason"]
    if not table["reason"].any():  # why a cell failed, where one did
        table = table.drop(columns="reason")
    columns = {"reason": st.column_config.TextColumn(width="large")}
    drawing.show_table(table, key="workers", hide_index=True, column_config=columns)


def _stop_left(workspace: Workspace, name: str) -> None:
    orphans.call_back(workspace, name)


def _buttons(workspace: Workspace, name: str, state: dict[str, Any]) -> None:
    status = str(state.get("status"))
    first, second, _ = st.columns([1, 1, 4])
    asked_to_stop = jobs.is_cancelling(workspace, name)
    left = status == "stopped" and bool(batches_given_out(workspace, name))
    first.button(
        "Cancel",
        key="cancel",
        disabled=not left and (not state["active"] or asked_to_stop),
        on_click=_stop_left if left else queue.cancel,
        args=(workspace, name),
        width="stretch",
    )
    second.button(
        "Resume",
        key="resume",
        disabled=state["active"] or status == "done",
        on_click=start_study.resume,
        args=(workspace, name),
        width="stretch",
    )
    if asked_to_stop and state["active"]:
        st.text("Asked to stop; what is computed is kept.")


def _show_log(workspace: Workspace, name: str) -> None:
    file = workspace.study_folder(name) / "log.txt"
    if file.exists():
        with st.expander("Last lines of the log", expanded=True, key="log"):
            st.code(last_lines(file) or "(empty)", language=None, wrap_lines=True)


def last_lines(file: Path) -> str:
    """The end of a log."""
    with file.open(encoding="utf-8", errors="replace") as stream:
        return "".join(deque(stream, LOG_LINES))
