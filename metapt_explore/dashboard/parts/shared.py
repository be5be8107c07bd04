"""Shared by all pages: the workspace, the chosen study, its job and progress."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from metapt_explore.config import StudyConfig
from metapt_explore.dashboard.parts import messages, published_record, study_choice
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.errors import UserError
from metapt_explore.jobs import queue, study_list
from metapt_explore.jobs import state as jobs
from metapt_explore.reporting.published import is_record
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.integrity import DamagedFile
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace

if TYPE_CHECKING:
    from metapt_explore.stages.registry import Until

#: Seconds between checks of a running job.
POLL = 1.5
#: Seconds between checks without a running job.
IDLE_POLL = 10.0
ACTIVE = jobs.ACTIVE
STATUS_WORDS = {
    "none": "no job",
    "done": "finished",
    "partly": "partly finished",
    "incomplete": "finished, parts failed",
    "queued": "waits for its turn",
    "stopped": "interrupted",
}
#: Advice on a study's own file, which cannot be computed again.
REPAIR_ADVICE = (
    "Repair that file, or put the study's YAML in its place, and run the study again: what was computed is found again."
)

#: Session key: hashes of studies' files when this session last looked.
FILES = "study_files"
#: Seconds between checks for missing workers.
WATCH = 3.0

log = logging.getLogger(__name__)


@st.cache_resource(max_entries=8, show_spinner=False)
def keep_workers(folder: str) -> threading.Thread | None:
    """Keeps workers alive while studies are asked for, as long as the dashboard's server runs, looked at or not.

    ``METAPT_WORKERS=0`` in the environment leaves that to others.
    """
    if os.environ.get("METAPT_WORKERS") == "0":
        return None

    def watch() -> None:
        while True:
            try:
                queue.ensure_workers(Workspace(folder))
            except Exception:
                log.exception("Looking after the workers of %s", folder)
            time.sleep(WATCH)

    thread = threading.Thread(target=watch, name="workers", daemon=True)
    thread.start()
    return thread


def ask(workspace: Workspace, config: StudyConfig, until: Until, *, init_seeds: list[int] | None = None) -> None:
    """Puts a study into the queue.

    Raises:
        UserError: Where a job of that study runs or waits, or a process works on it with other settings.
    """
    some: dict[str, Any] = {} if init_seeds is None else {"init_seeds": init_seeds}
    if not queue.enqueue(workspace, config, until=until, **some):
        raise UserError(
            f"A job of the study '{config.name}' runs or waits for its turn: cancel it, or ask again when it has ended."
        )
    own_change(workspace, config.name)


def own_change(workspace: Workspace, name: str) -> None:
    """Notes that this session changed a study itself: a page then does not say that somebody else did."""
    st.session_state.setdefault(FILES, {})[name] = _digest(workspace, name)


def changed_elsewhere(workspace: Workspace, name: str) -> bool:
    """Whether another tab, a terminal or a notebook changed a study since this session last looked."""
    known: dict[str, str] = st.session_state.setdefault(FILES, {})
    before, now = known.get(name), _digest(workspace, name)
    known[name] = now
    return before not in (None, now)


def _digest(workspace: Workspace, name: str) -> str:
    file = workspace.study_folder(name) / "study.yaml"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""


def suggest(key: str, value: Any, basis: object) -> None:
    """Fills a field before it is drawn: with a guess, until a user chooses something else.

    Args:
        key: Of the field, which must not have a default of its own.
        value: The guess.
        basis: What the choice is about, such as the file: of another one nothing is kept.
    """
    state = st.session_state
    before, guessed = state.get(f"{key}_guess", (None, None))
    if key not in state or before != basis or state[key] == guessed:
        state[key] = value
    state[f"{key}_guess"] = (basis, value)


def show_page(
    title: str, body: Callable[[Workspace, str], None], *, record: Callable[[StudyScores], None] | None = None
) -> None:
    """A page's title and body; without a study, what to do next.

    Args:
        title: Of the page.
        body: Draws it for a study of the workspace.
        record: Draws it for a published record; None where the page has nothing to draw of one.
    """
    st.title(title)
    with messages.guard():
        workspace = open_workspace()
        if study_choice.said_to_be_gone():
            go_to_start()
            return
        name = st.session_state.get("study")
        if not name:
            st.info(f"There is no study in {messages.plain(workspace.folder)} yet.")
            st.markdown(
                "Start the tour on the **Start** page, or run `metapt run STUDY.yaml` in a terminal; "
                "this page then shows what it computes, while it computes it."
            )
            go_to_start()
            return
        if not is_record(name):
            body(workspace, name)
            return
        published_record.show_record(workspace, name, record, title)
        if record is None:
            for page in published_record.PAGES:
                st.page_link(page_file(page), icon=":material/arrow_forward:")


def page_file(name: str) -> str:
    """Where a page is, whichever script the server was started with."""
    return str(Path(__file__).parents[1] / "views" / f"{name}.py")


def go_to_start() -> None:
    """A link to the Start page."""
    st.page_link(page_file("start"), label="Go to Start")


def open_workspace() -> Workspace:
    """The folder that ``METAPT_WORKSPACE`` names, else ``./workspace``."""
    return Workspace()


def study_config(workspace: Workspace, name: str) -> StudyConfig:
    """The study's settings.

    Raises:
        UserError: Where they are missing or damaged, with what to do.
    """
    folder = workspace.study_folder(name)
    try:
        return study_list.study_config(workspace, name)
    except (UserError, OSError) as error:
        if isinstance(error, DamagedFile):
            raise
        if not (folder / "study.yaml").exists():
            raise UserError(f"{folder / 'study.yaml'} is missing. {REPAIR_ADVICE}") from None
        raise UserError(f"{error} {REPAIR_ADVICE}") from None


def job_state(workspace: Workspace, name: str) -> dict[str, Any]:
    """State of the study's job; ``active`` is whether it waits or runs."""
    state = jobs.job_state(workspace, name)
    if state.get("status") == "stopped":
        # It may have ended between reading its file and its lock.
        state = jobs.job_state(workspace, name)
    return {**state, "active": state.get("status") in ACTIVE}


def entries(workspace: Workspace, name: str, kind: str | None = None, **of: Any) -> list[IndexEntry]:
    """The study's artifacts of a kind, in the order of the pipeline.

    Raises:
        UserError: Where the list is damaged.
    """
    return [
        entry
        for entry in workspace.index(name)
        if kind in (None, entry["kind"]) and all(entry.get(key) == value for key, value in of.items())
    ]


def finished(artifact: Artifact) -> bool:
    """Whether an artifact is done; shows an error if it is damaged."""
    with messages.guard():
        return artifact.finished
    return False


def choose_shots(where: Any, study: StudyConfig, *, key: str) -> int | None:
    """Asks for a number of examples a class where a study has several; None is the study's own.

    Args:
        where: A container, or `st`.
        study: The study.
        key: Of the widget.
    """
    own, more = study.evaluation.shots, study.evaluation.more_shots
    if not more:
        return None
    chosen = where.selectbox("Examples a class", [own, *more], key=key)
    return None if chosen in (None, own) else int(chosen)


def first_prompt_missing(workspace: Workspace, name: str) -> None:
    """Says that there is no prompt yet, or that there will be none."""
    if study_config(workspace, name).methods:
        ready(workspace, name, None, what="the first prompt")
    else:
        st.info("This study compares baselines only: it has no prompt. The Pre-training page adds a method.")


def ready(
    workspace: Workspace, name: str, entry: IndexEntry | None, *, what: str, job_shown: bool = False
) -> Artifact | None:
    """Returns a finished artifact; otherwise shows its state and advice.

    Args:
        workspace: The workspace.
        name: The study.
        entry: The artifact's entry in the study's list, None where it has none yet.
        what: What it is called in the message.
        job_shown: Whether the page shows the study's job anyway: then what became of it is not said twice.
    """
    job = job_state(workspace, name)
    active = job["active"]
    artifact = workspace.artifact(entry["id"]) if entry else None
    status = artifact.status if artifact else "missing"
    if artifact and status == "done":
        return artifact
    if artifact and status == "damaged":
        st.error(messages.sentence(f"{artifact.damage or f'{artifact.folder} is damaged.'} ({what})"))
    elif artifact and status == "failed":
        why = artifact.stage.get("error", "no reason given")
        st.error(messages.sentence(f"{what[0].upper()}{what[1:]} failed: {why}"))
    elif active:
        how = "waits for its turn" if job["status"] == "queued" else "is running"
        st.info(messages.sentence(f"{what[0].upper()}{what[1:]}: not there yet, the study {how}."))
    else:
        where = f" (its folder {artifact.folder} is gone)" if artifact and status == "missing" else ""
        st.info(messages.sentence(f"{what[0].upper()}{what[1:]}: not there yet{where}. Start or resume the study."))
        if not job_shown:
            go_to_start()
    return None
