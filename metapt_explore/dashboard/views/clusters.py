"""Clusters: a map to read and edit, what each cluster is about, how good the grouping is, and what it was worth."""

from __future__ import annotations

from contextlib import suppress

import pandas as pd
import streamlit as st

from metapt_explore.config import EditedClustering, StudyConfig
from metapt_explore.dashboard.parts import (
    cluster_choice,
    cluster_editor,
    cluster_facts,
    cluster_list,
    cluster_memberships,
    cluster_neighbours,
    cluster_reading,
    drawing,
    map_files,
    map_look,
    map_projection,
    messages,
    shared,
    study_choice,
)
from metapt_explore.dashboard.parts.cluster_view import View, view_of, written_of
from metapt_explore.dashboard.parts.published_record import show_clusters
from metapt_explore.errors import UserError
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.labelling import format_labels


def _page(workspace: Workspace, name: str) -> None:
    first = next(iter(shared.entries(workspace, name, "texts")), None)
    texts = shared.ready(workspace, name, first, what="the pre-training texts")
    if texts is None:
        return
    config = shared.study_config(workspace, name)
    if not config.clusterings:
        st.info("This study groups no texts: its prompts are learned on all of them together, or not pre-trained.")
        return
    listed = {entry["clustering"]: entry for entry in shared.entries(workspace, name, "clusters")}
    known = [clustering.name for clustering in config.clusterings]
    chosen = study_choice.choose(st, "Clustering", known, key="clustering")
    if chosen is None:
        return
    artifact = shared.ready(workspace, name, listed.get(chosen), what=f"the clustering {chosen}")
    if artifact is None:
        return  # while it is made
    # If the data changed, the index may hold new texts and clusters of the old ones.
    parents = artifact.stage.get("parents", {})
    texts = workspace.artifact(str(parents.get("texts", texts.id)))
    done = {
        other: clustered
        for other, clustered in _done(workspace, listed).items()
        if clustered.stage.get("parents", {}).get("texts", texts.id) == texts.id
    }
    clustering = config.clustering(chosen)
    edited_from = clustering.like if isinstance(clustering, EditedClustering) else None
    view, written = None, None
    with messages.guard(artifact.folder):
        labels = _found_labels(workspace, name)
        with messages.guard(texts.folder):
            written = written_of(texts, labels)
        if written is not None:
            view = view_of(config, chosen, artifact, written=written, labels=labels)
            if view.edits:
                many = len(view.edits) > 1
                st.warning(f"With {f'{len(view.edits)} edits that are' if many else 'an edit that is'} not saved yet.")
    tabs = ["Map", "Clusters", "Memberships", "Quality", "Comparison"]
    on_map, about, memberships, quality, comparison = st.tabs(tabs, key="clusters_tab")
    if view:
        with on_map:
            _explore(workspace, config, view)
        with about, messages.guard(artifact.folder):
            cluster_facts.about(workspace, name, view)
        with memberships, messages.guard(artifact.folder):
            cluster_memberships.show(workspace, config, view)
    # Damage was reported above; show what is intact.
    with quality:
        with messages.guard(artifact.folder) if view else suppress(UserError, *messages.DAMAGE):
            before = done[edited_from].summary if edited_from in done else None
            cluster_facts.quality(artifact.summary, before, edited_from or "", unsaved=bool(view and view.edits))
            for entry in shared.entries(workspace, name, "stability", clustering=chosen):
                stability = workspace.artifact(entry["id"])
                if shared.finished(stability):
                    with messages.guard(stability.folder):
                        cluster_facts.stability(stability.summary, artifact.summary["clusters"])
        with messages.guard():
            cluster_facts.more(workspace, config, chosen)
    with comparison, messages.guard():
        if view:
            others = {other: clustered for other, clustered in done.items() if other != chosen}
            cluster_facts.comparison(view, others, edited_from)
        cluster_facts.worth(workspace, config)


def _done(workspace: Workspace, listed: dict[str, IndexEntry]) -> dict[str, Artifact]:
    """Finished clusterings by name."""
    artifacts = {name: workspace.artifact(entry["id"]) for name, entry in listed.items()}
    return {name: artifact for name, artifact in artifacts.items() if artifact.status == "done"}


def _found_labels(workspace: Workspace, name: str) -> pd.DataFrame | None:
    """Machine labels of the texts, if the study has a labelling step."""
    for entry in shared.entries(workspace, name, "labels"):
        artifact = shared.ready(workspace, name, entry, what="labels of the texts")
        if artifact is not None:
            with messages.guard(artifact.folder):
                st.info(messages.sentence(format_labels(artifact.summary)))
                return drawing.table(artifact, "labels")[["class", "confidence", "source"]]
    return None


def _explore(workspace: Workspace, config: StudyConfig, view: View) -> None:
    """The map and the chosen texts; a fragment, so that a lasso redraws only this part."""

    def body() -> None:
        with messages.guard(view.artifact.folder):
            if st.session_state.pop(cluster_editor.CHANGED, False):
                st.rerun()
            map_box, *look_boxes = st.columns(4)
            placed = map_projection.choose(workspace, config, view, map_box)
            look, kept_as = map_look.choose(workspace, config, placed, look_boxes)
            left, right = st.columns([5, 3])
            with right:
                chosen = cluster_choice.choose(view)
            with left:
                rows = [] if chosen.rows is None else [int(row) for row in chosen.rows]
                marked = [*rows, *cluster_neighbours.rows_near(view)]
                lasso = cluster_reading.draw_map(placed, look, kept_as, marked)
                map_files.offer(config.name, placed)
            with right:
                many = cluster_list.wanted(view)
                texts, *listed, nearest, edit = st.tabs(
                    ["Texts", *(["Clusters"] if many else []), "Nearest", "Edit"], key="map_side"
                )
                with texts:
                    cluster_reading.read(config.name, view, lasso=lasso, chosen=chosen)
                for tab in listed:
                    with tab:
                        cluster_list.show(view)
                with nearest:
                    cluster_neighbours.show(view)
                with edit:
                    cluster_editor.editor(workspace, config.name, view, lasso or rows)

    st.fragment(body, key="map_and_texts")()


shared.show_page("Clusters", _page, record=show_clusters)
