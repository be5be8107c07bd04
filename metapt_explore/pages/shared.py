"""What every page needs: the workspace, the chosen study, careful reading, and drawing with a caption."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from pyarrow.lib import ArrowException

from metapt_explore.config import StudyConfig
from metapt_explore.errors import UserError
from metapt_explore.plots import figure_table
from metapt_explore.runs import jobs, queue
from metapt_explore.runs.artifact import Artifact
from metapt_explore.runs.files import read_json
from metapt_explore.runs.workspace import Workspace
from metapt_explore.texts.report import missing_labels

if TYPE_CHECKING:
    from metapt_explore.runs.run_all import Until

#: Seconds between two looks at a job that runs.
POLL = 1.5
#: The same where no job runs.
IDLE_POLL = 10.0
ACTIVE = jobs.AT_IT
#: What reading a damaged file can raise; anything else is a mistake of ours and shows as one.
DAMAGE = (OSError, ArrowException, KeyError, IndexError, ValueError, TypeError, AttributeError)
STATUS_WORDS = {
    "none": "no job",
    "done": "finished",
    "partly": "partly finished",
    "queued": "waits for its turn",
    "stopped": "interrupted",
}

#: Letters of a reason: some errors list all that they did not find.
LONGEST_REASON = 300
#: What to do about a study's own file, which nothing can make again.
MEND = (
    "Mend that file, or put the study's YAML in its place, and run the study again: what was computed is found again."
)

log = logging.getLogger(__name__)


#: In the session: the study that is to be chosen when the choice is drawn next.
NEXT_STUDY = "next_study"
#: Seconds between two looks whether a worker that is needed is there.
WATCH = 3.0


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


def ask(workspace: Workspace, config: StudyConfig, until: Until, init_seeds: list[int] | None = None) -> None:
    """Puts a study into the queue.

    Raises:
        UserError: Where a job of that study runs or waits, or a process works on it with other settings.
    """
    some: dict[str, Any] = {} if init_seeds is None else {"init_seeds": init_seeds}
    if not queue.enqueue(workspace, config, until=until, **some):
        raise UserError(
            f"A job of the study '{config.name}' runs or waits for its turn: cancel it, or ask again when it has ended."
        )


# --------------------------------------------------------------------------- messages and damage


def plain(text: object) -> str:
    """Text for a box or a label of Streamlit, which would read Markdown in it."""
    escaped = re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=])", r"\\\1", str(text))
    return escaped.replace("\n", "  \n")


def advise(folder: Path) -> str:
    """What to do about a damaged folder."""
    return f"Delete the folder {folder} and run the study again: everything else is kept and found again."


@contextmanager
def guard(folder: Path | None = None) -> Iterator[None]:
    """Turns what damaged files raise into a message that names the folder and says what to do.

    Args:
        folder: The folder that the body reads; without it the error's own words must do.
    """
    try:
        yield
    except UserError as error:
        st.error(plain(f"{error} {advise(folder) if folder else ''}"))
    except DAMAGE as error:
        log.exception("A page could not read %s", folder or "a file")
        named = f"{folder} is damaged: " if folder else ""
        st.error(plain(f"{named}{reason(error)}. {advise(folder) if folder else ''}"))


def reason(error: Exception) -> str:
    """What went wrong, in words.

    Example:
        >>> reason(KeyError("clusters"))
        "the entry 'clusters' is missing"
    """
    if isinstance(error, FileNotFoundError):
        return f"{Path(str(error.filename)).name} is missing"
    if isinstance(error, KeyError):
        return f"the entry {shorten(str(error), LONGEST_REASON, placeholder=' …')} is missing"
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return shorten(said, LONGEST_REASON, placeholder=" …").rstrip(".")


def show_page(title: str, body: Callable[[Workspace, str], None]) -> None:
    """A page's title and body; without a study the page says what to do next instead."""
    st.title(title)
    with guard():
        workspace = open_workspace()
        name = st.session_state.get("study")
        if not name:
            st.info(f"There is no study in {plain(workspace.folder)} yet.")
            st.markdown(
                "Start the tour on the **Start** page, or run `metapt run STUDY.yaml` in a terminal; "
                "this page then shows what it computes, while it computes it."
            )
            go_to_start()
            return
        body(workspace, name)


def page_file(name: str) -> str:
    """Where a page is, whichever script the server was started with."""
    return str(Path(__file__).with_name(f"{name}.py"))


def go_to_start() -> None:
    """A link to the page where studies are started and gone on with."""
    st.page_link(page_file("start"), label="Go to Start")


# ------------------------------------------------------------------------------ workspace, study


def open_workspace() -> Workspace:
    """The folder that ``METAPT_WORKSPACE`` names, else ``./workspace``."""
    return Workspace()


def study_names(workspace: Workspace) -> list[str]:
    """Studies in alphabetical order, damaged ones among them."""
    folders = workspace.study_folder("x").parent.glob("*")
    marks = ("study.yaml", "job.json")
    return sorted(folder.name for folder in folders if any((folder / mark).exists() for mark in marks))


def look_at(study: str) -> None:
    """Chooses a study for all pages, from the next time a page is drawn on."""
    st.session_state[NEXT_STUDY] = study


def pick_study(workspace: Workspace) -> None:
    """The workspace's folder and the choice of the study, which stands in the address as ``study``."""
    st.caption("Workspace")
    st.code(str(workspace.folder), language=None, wrap_lines=True)
    names = study_names(workspace)
    if not names:
        st.session_state.pop("study", None)
        return
    state, address = st.session_state, st.query_params
    if NEXT_STUDY in state:
        state["study"] = state.pop(NEXT_STUDY)
    if state.get("study") not in names:
        linked = address.get("study")
        latest = max(names, key=lambda name: _changed(workspace.study_folder(name)))
        state["study"] = linked if linked in names else latest
    chosen = st.selectbox("Study", names, key="study")
    # Written on every run: going to another page empties the address.
    if address.get("study") != chosen:
        address["study"] = chosen


def _changed(folder: Path) -> float:
    times = [0.0]
    for name in ("job.json", "index.json", "study.yaml"):
        file = folder / name
        if file.exists():
            times.append(file.stat().st_mtime)
    return max(times)


def study_config(workspace: Workspace, name: str) -> StudyConfig:
    """The study's settings.

    Raises:
        UserError: Where they are missing or damaged, with what to do.
    """
    folder = workspace.study_folder(name)
    try:
        return workspace.study_config(name)
    except (UserError, OSError) as error:
        if not (folder / "study.yaml").exists():
            raise UserError(f"{folder / 'study.yaml'} is missing. {MEND}") from None
        raise UserError(f"{error} {MEND}") from None


def job_state(workspace: Workspace, name: str) -> dict[str, Any]:
    """How the study's job stands; ``active`` says whether it works now."""
    state = jobs.job_state(workspace, name)
    if state.get("status") == "stopped":
        # It may have ended between the look at its file and the look at its lock.
        state = jobs.job_state(workspace, name)
    return {**state, "active": state.get("status") in ACTIVE}


def entries(workspace: Workspace, name: str, kind: str | None = None, **of: Any) -> list[dict[str, Any]]:
    """The study's artifacts of a kind, in the order of the pipeline.

    Raises:
        UserError: Where the list is damaged.
    """
    file = workspace.study_folder(name) / "index.json"
    if not file.exists():
        return []
    found = read_json(file)
    whole = isinstance(found, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry.get("kind") for entry in found
    )
    if not whole:
        raise UserError(f"{file} is damaged: delete this file and run the study again; nothing is computed twice.")
    return [
        entry
        for entry in found
        if kind in (None, entry["kind"]) and all(entry.get(key) == value for key, value in of.items())
    ]


def ready(
    workspace: Workspace, name: str, entry: dict[str, Any] | None, what: str, job_shown: bool = False
) -> Artifact | None:
    """Returns an artifact that is done; otherwise says how it stands and what to do.

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
        st.error(plain(f"{artifact.folder / 'stage.json'} cannot be read ({what}). {advise(artifact.folder)}"))
    elif artifact and status == "failed":
        why = artifact.stage.get("error", "no reason was written")
        st.error(plain(f"{what[0].upper()}{what[1:]} failed: {why}"))
    elif active:
        how = "waits for its turn" if job["status"] == "queued" else "is running"
        st.info(plain(f"{what[0].upper()}{what[1:]}: not there yet, the study {how}."))
    else:
        where = f" (its folder {artifact.folder} is gone)" if artifact and status == "missing" else ""
        st.info(plain(f"{what[0].upper()}{what[1:]}: not there yet{where}. Start or resume the study."))
        if not job_shown:
            if job.get("status") == "failed":
                st.error(plain(f"The job failed: {job.get('error', 'no reason was written')}"))
            go_to_start()
    return None


# ------------------------------------------------------------------------------ reading, drawing


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(path: str, changed: int, size: int) -> pd.DataFrame:
    return pd.read_parquet(path)


def table(artifact: Artifact, name: str) -> pd.DataFrame:
    """Reads a table of an artifact, once for each time it was written; it is shared, so nobody may change it."""
    path = artifact.folder / f"{name}.parquet"
    found = path.stat()
    try:
        return _table(str(path), found.st_mtime_ns, found.st_size)
    except (ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read: {reason(error)}.") from error


def draw(figure: go.Figure, key: str, caption: str, select: bool = False) -> Any:
    """Draws a figure in the page's theme, with a caption that says how to read it.

    Args:
        figure: What to draw.
        key: Its key on the page.
        caption: How to read it.
        select: Whether points can be chosen with a lasso or a box.

    Returns:
        What is chosen, where points can be.
    """
    figure.update_layout(template="streamlit")
    options: dict[str, Any] = {"on_select": "rerun", "selection_mode": ("lasso", "box")} if select else {}
    picture = {"format": "svg", "filename": key}  # what the camera of the figure saves
    config = {"displaylogo": False, "toImageButtonOptions": picture}
    event = st.plotly_chart(figure, key=key, width="stretch", config=config, alt=caption, **options)
    st.caption(caption)
    if figure.data:
        st.download_button(
            "Data of this figure",
            data=lambda: figure_table(figure).to_csv(index=False).encode(),
            file_name=f"{key}.csv",
            mime="text/csv",
            key=f"data_{key}",
            type="tertiary",
            icon=":material/download:",
            on_click="ignore",
        )
    return event if select else None


def data_report(report: dict[str, Any], own_labels: bool, key: str = "source_labels") -> None:
    """What a source holds: rows, blanks, duplicates, lengths, labels, and what is odd.

    Args:
        report: Of `texts.report.data_report`.
        own_labels: Whether auxiliary tasks need the data's own labels: else it is no fault if there are none.
        key: Of the table of labels on the page.
    """
    words = report["words"]
    columns = st.columns(4)
    columns[0].metric("Rows", f"{report['rows']:,}")
    columns[1].metric("Blank", f"{report['blank']:,}")
    columns[2].metric("Duplicates", f"{report['duplicates']:,}")
    columns[3].metric("Words, median (longest)", f"{words['median']:g} ({words['max']:g})")
    labels = {**report["labels"], "(unlabelled)": report["unlabelled"]}
    st.dataframe(
        pd.DataFrame({"label": list(labels), "texts": list(labels.values())}),
        key=key,
        hide_index=True,
        column_config=counted("texts"),
    )
    beside_the_point = [] if own_labels else missing_labels(report)
    for warning in report["warnings"]:
        if warning not in beside_the_point:
            st.text(warning)


def counted(*columns: str) -> dict[str, Any]:
    """Columns of whole numbers, with their thousands apart as the reader's browser writes them."""
    return {column: st.column_config.NumberColumn(column, format="localized") for column in columns}


def number(value: Any, digits: int = 2) -> str:
    """A number for people, a dash where there is none.

    Example:
        >>> number(0.1234), number(-0.001), number(None)
        ('0.12', '0.00', '–')
    """
    if value is None or pd.isna(value):
        return "–"
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")
