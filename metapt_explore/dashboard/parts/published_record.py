"""A published record on the pages: opened by path or drag and drop, shown, and taken out again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.clusters.fit_words import format_fit
from metapt_explore.clusters.outliers import format_moved
from metapt_explore.dashboard.parts import drawing, messages, study_choice
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.errors import UserError
from metapt_explore.reporting import published, tables
from metapt_explore.reporting.notes import unfinished
from metapt_explore.results.record import Record
from metapt_explore.storage.workspace import Workspace

#: Pages that show a record.
PAGES = ("fewshot", "compare", "errors", "clusters")
ENDINGS = ["zip", "json", "parquet", "yaml"]


def open_box(workspace: Workspace) -> None:
    """Asks for a record: a path on the server, or a zip or its files dropped here."""
    with st.expander("Open a published record", key="open_record_box", icon=":material/folder_zip:"):
        st.caption(
            "Scores and facts of a study as `metapt report --record` writes them (such as a folder in `studies/`): "
            "looked at here like a study of your own, read-only. It is copied into this workspace."
        )
        left, right = st.columns([4, 1], vertical_alignment="bottom")
        path = left.text_input("Path of a record's folder or zip on the server", key="record_path")
        asked = right.button("Open this record", key="open_record", width="stretch")
        files = st.file_uploader(
            "Or drop a zip of the folder, or its files (record.json, study.yaml, *.parquet)",
            type=ENDINGS,
            accept_multiple_files=True,
            key="record_files",
        )
        try:
            if asked:
                _show(published.open_record(workspace, _named(path)))
            elif files and st.button("Open what was dropped", key="open_dropped", type="primary"):
                content = {file.name: file.getvalue() for file in files}
                _show(published.open_files(workspace, content, files[0].name if len(files) == 1 else "The upload"))
        except (UserError, OSError) as error:
            st.error(messages.sentence(error))


def _named(path: str) -> Path:
    if not path.strip():
        raise UserError("Write the path of a record's folder first, for example studies/amazon.")
    return Path(path.strip()).expanduser()


def _show(name: str) -> None:
    study_choice.look_at(name)
    st.rerun()


def show_record(workspace: Workspace, name: str, body: Callable[[StudyScores], None] | None, page: str) -> None:
    """A page of a record.

    Args:
        workspace: Where it lies.
        name: As it is chosen.
        body: What the page draws of a record; None where it has nothing to draw.
        page: The page's title.
    """
    record = _read(workspace, name)
    st.caption(
        ":material/lock: **Published record**, read-only: nothing is computed. "
        f"{messages.plain(record.title or record.name)}"
    )
    if body is None:
        st.info(f"{page} needs texts or prompts, and a record holds scores and facts only. See the pages below.")
        return
    body(StudyScores(record, f"{workspace.folder} {name} {_changed(workspace, name)}"))


def show_on_start(workspace: Workspace, name: str) -> None:
    """What a record holds, in a few facts, and how to take it out of the workspace."""
    record = _read(workspace, name)
    scores = StudyScores(record, f"{workspace.folder} {name} {_changed(workspace, name)}")
    st.header(messages.plain(record.name))
    st.caption(":material/lock: **Published record**, read-only: nothing is computed.")
    st.markdown(messages.plain(record.title))
    results = record.results
    seeds = results[["init_seed", "data_seed"]].drop_duplicates()
    columns = st.columns(4)
    columns[0].metric("Methods", f"{results['method'].nunique():,}")
    columns[1].metric("Tasks", f"{results['task'].nunique():,}")
    columns[2].metric("Pairs of seeds", f"{len(seeds.dropna()) or len(seeds):,}")
    columns[3].metric("Scores", f"{len(results):,}")
    if so_far := unfinished(record):
        st.caption(messages.sentence(so_far))
    primary = scores.answered.primary
    if primary is not None:
        answer = scores.answered.answers[scores.answered.asked.index(primary)]
        st.markdown(messages.sentence(f"{primary.text} {answer.sentence}"))
    st.button(
        "Take this record out of the workspace",
        key="remove_record",
        icon=":material/close:",
        on_click=_remove,
        args=(workspace, name),
    )
    st.caption("The folder or zip that it came from stays as it is.")


def _remove(workspace: Workspace, name: str) -> None:
    published.remove_record(workspace, name)
    st.session_state["study"] = None
    st.query_params.pop("study", None)


def show_clusters(scores: StudyScores) -> None:
    """Clusterings of a record: sizes, names, quality, gain. It holds no map and no text."""
    clusterings = scores.record.clusterings
    if not clusterings:
        st.info("The study grouped no texts.")
        return
    names = [str(clustering["name"]) for clustering in clusterings]
    chosen = study_choice.choose(st, "Clustering", names, key="clustering")
    if chosen is None:
        return
    clustering = clusterings[names.index(chosen)]
    shown = pd.DataFrame({"cluster": clustering["names"], "texts": clustering["sizes"]})
    drawing.show_table(shown, key="record_clusters", hide_index=True, column_config=drawing.counted("texts"))
    tasks = "" if clustering.get("tasks") is None else f" They made {clustering['tasks']:,} auxiliary tasks."
    st.caption(f"Clusters by their keywords, and how many texts each holds.{tasks} A record has no map and no texts.")
    if clustering.get("moved"):
        st.caption(format_moved(clustering["moved"]))
    if clustering.get("fit"):
        st.caption(format_fit(clustering["fit"]))
    st.header("Quality and gain")
    drawing.show_table(tables.cluster_table(clusterings).astype(str), key="record_quality", hide_index=True)
    quality = pd.DataFrame([_flat(each) for each in clusterings])
    if "gain" in quality and quality["gain"].notna().sum() > 1:
        drawing.draw(
            plots.quality_against_gain(quality),
            "worth",
            "A mark is a clustering. Across: its quality. Up: the downstream gain of the method that learned from it, "
            "over pooled pre-training (PPT). With few clusterings a trend can be luck.",
        )


#: Facts of a clustering that are drawn against its gain, beside its measures of quality.
BESIDE = ("algorithm", "stability", "label_information", "gain", "n_clusters", "tasks")


def _flat(clustering: dict[str, object]) -> dict[str, object]:
    quality = clustering.get("quality")
    kept = {key: clustering.get(key) for key in BESIDE}
    return {"clustering": clustering["name"], **(quality if isinstance(quality, dict) else {}), **kept}


def _changed(workspace: Workspace, name: str) -> int:
    file = published.record_folder(workspace, name) / published.FACTS
    return file.stat().st_mtime_ns if file.exists() else 0


def _read(workspace: Workspace, name: str) -> Record:
    return _cached(str(workspace.folder), name, _changed(workspace, name))


@st.cache_resource(max_entries=8, show_spinner="Reading the record …")
def _cached(folder: str, name: str, changed: int) -> Record:
    return published.read_record(Workspace(folder), name)
