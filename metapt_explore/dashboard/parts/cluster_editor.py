"""Editing clusters: the page shows each edit at once; saving makes a new clustering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st
from pydantic import ValidationError

from metapt_explore.clusters.edit import next_id
from metapt_explore.config import ClusterEdit
from metapt_explore.config.row_ranges import format_rows
from metapt_explore.dashboard.parts import drawing, messages, shared
from metapt_explore.dashboard.parts.cluster_view import View, error_key, pending
from metapt_explore.errors import UserError
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.extend import free_name, with_edited_clustering

CHANGED = "edits_changed"


def editor(workspace: Workspace, study: str, view: View, rows: Sequence[int]) -> None:
    """Buttons for what is chosen, the list of edits, and how to keep them.

    Args:
        workspace: The workspace.
        study: The study.
        view: The clustering.
        rows: Texts that are chosen, by a lasso or otherwise.
    """
    _gather_box(view, rows)
    if not view.clusters:
        st.info("There is no cluster to edit.")
        return
    names = {cluster: name for cluster, name in view.names.items() if cluster >= 0}
    key = view.artifact.id
    chosen = st.multiselect(
        "Clusters",
        list(names),
        format_func=lambda cluster: names.get(cluster, str(cluster)),
        key=f"chosen_{key}",
        placeholder="Choose one or several",
    )
    merge, leave = st.columns(2)
    merge.button(
        "Merge",
        key=f"merge_{key}",
        disabled=len(chosen) < 2,
        on_click=_add,
        args=(view, "merge"),
        width="stretch",
        help="Joins them into one cluster.",
    )
    leave.button(
        "Leave out",
        key=f"exclude_{key}",
        disabled=not chosen or len(chosen) == len(names),
        on_click=_add,
        args=(view, "exclude"),
        width="stretch",
        help="Leaves their texts out of all tasks.",
    )
    one = chosen[0] if len(chosen) == 1 else None
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    left.number_input("Parts", 2, 10, 2, key=f"parts_{key}", disabled=one is None)
    right.button(
        "Split",
        key=f"split_{key}",
        disabled=one is None,
        on_click=_add,
        args=(view, "split"),
        width="stretch",
        help="By k-means on the texts of this cluster alone.",
    )
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    new_name = left.text_input("Name", key=f"name_{key}", disabled=one is None, placeholder="what it is about")
    right.button(
        "Rename",
        key=f"rename_{key}",
        disabled=one is None or not new_name.strip(),
        on_click=_add,
        args=(view, "rename"),
        width="stretch",
    )
    _list(view)
    if view.edits:
        _keep(workspace, study, view)
    if st.session_state.get(error_key(key)):
        st.error(messages.sentence(st.session_state[error_key(key)]))


def _gather_box(view: View, rows: Sequence[int]) -> None:
    """A new cluster of the chosen texts."""
    key = view.artifact.id
    if not rows:
        st.caption("To make a new cluster, choose texts: by a lasso on the map, the search, or what is below it.")
        return
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    left.text_input("Name of a new cluster", key=f"new_name_{key}", placeholder="its keywords, if empty")
    count = f"{len(rows):,} text" + "s" * (len(rows) != 1)
    right.button(
        "New cluster",
        key=f"gather_{key}",
        on_click=_gather,
        args=(view, format_rows(rows)),
        width="stretch",
        help=f"Takes the {count} that are chosen out of their clusters into one of their own.",
    )
    st.caption(f"{count} chosen.")


def _gather(view: View, rows: str) -> None:
    state, key = st.session_state, view.artifact.id
    state.pop(error_key(key), None)
    name = str(state[f"new_name_{key}"]).strip()
    try:
        edits = [ClusterEdit(gather=rows)]
        if name:
            edits.append(ClusterEdit(rename={next_id(view.points["cluster"].to_numpy()): name}))
        pending(view.artifact).extend(edits)
        state[f"new_name_{key}"] = ""
    except ValidationError as error:
        state[error_key(key)] = str(error.errors()[0]["msg"])
    state[CHANGED] = True


def _add(view: View, kind: str) -> None:
    state, key = st.session_state, view.artifact.id
    # Read from the session: callback arguments hold the values at the last redraw.
    chosen, parts, name = list(state[f"chosen_{key}"]), int(state[f"parts_{key}"]), str(state[f"name_{key}"])
    state.pop(error_key(view.artifact.id), None)
    what: dict[str, Any] = {kind: chosen}
    if kind in ("split", "rename"):
        if len(chosen) != 1:
            return
        what = {"split": chosen[0], "into": parts} if kind == "split" else {"rename": {chosen[0]: name.strip()}}
    try:
        pending(view.artifact).append(ClusterEdit.model_validate(what))
    except ValidationError as error:
        state[error_key(view.artifact.id)] = str(error.errors()[0]["msg"])
    state[f"chosen_{view.artifact.id}"] = []
    state[CHANGED] = True


def _undo(view: View, count: int) -> None:
    edits = pending(view.artifact)
    del edits[len(edits) - count :]
    st.session_state[CHANGED] = True


def _list(view: View) -> None:
    if not view.edits:
        st.caption("No edits yet. Edits show at once on the map and in the texts; no file changes until you save.")
        return
    drawing.show_table({"edits, in order": [str(edit) for edit in view.edits]}, key="edit_list", hide_index=True)
    undo, discard = st.columns(2)
    undo.button("Undo the last", key="undo", on_click=_undo, args=(view, 1), width="stretch")
    discard.button("Discard all", key="discard", on_click=_undo, args=(view, len(view.edits)), width="stretch")


def _keep(workspace: Workspace, study: str, view: View) -> None:
    config = shared.study_config(workspace, study)
    taken = [clustering.name for clustering in config.clusterings]
    artifact_id = view.artifact.id
    st.text_input("Save as", value=free_name(f"{view.name} by hand", taken), key=f"keep_as_{artifact_id}")
    st.checkbox("Pre-train MetaPT on it when the study runs", value=True, key=f"keep_method_{artifact_id}")
    st.checkbox(
        "Also on random groups of the same sizes",
        key=f"keep_control_{artifact_id}",
        help="The control: do the clusters matter, or would any groups do?",
    )
    st.button("Save as a new clustering", key="keep", type="primary", on_click=_save, args=(workspace, study, view))


def _save(workspace: Workspace, study: str, view: View) -> None:
    state = st.session_state
    state.pop(error_key(view.artifact.id), None)
    try:
        config = shared.study_config(workspace, study)
        artifact_id = view.artifact.id
        name = str(state[f"keep_as_{artifact_id}"])
        method, control = bool(state[f"keep_method_{artifact_id}"]), bool(state[f"keep_control_{artifact_id}"])
        grown = with_edited_clustering(config, view.name, name, view.edits, pretrain=method, control=control)
        shared.ask(workspace, grown, "clusters")
    except UserError as error:
        state[error_key(view.artifact.id)] = str(error)
        return
    pending(view.artifact).clear()
    state["clustering"] = name.strip()
    state[CHANGED] = True
