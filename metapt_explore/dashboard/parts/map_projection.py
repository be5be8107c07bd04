"""Which map the texts lie on: principal components at once, t-SNE and UMAP once a job has computed them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from metapt_explore.clusters.projections import PROJECTIONS, UMAP_EXTRA, Projection
from metapt_explore.config import StudyConfig
from metapt_explore.dashboard.parts import drawing, messages, shared, study_choice
from metapt_explore.dashboard.parts.cluster_view import View
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace

TITLES = {projection.title: name for name, projection in PROJECTIONS.items()}


def choose(workspace: Workspace, config: StudyConfig, view: View, box: Any) -> View:
    """The choice of the map, and the view on it; principal components while the chosen one is not there.

    Args:
        workspace: The workspace.
        config: The study.
        view: The clustering, on its principal components.
        box: Where the choice is drawn; what is said of it comes below.
    """
    title = study_choice.choose(box, "Map", list(TITLES), key="map")
    name = TITLES.get(title or "", "pca")
    if name == "pca":
        return view
    placed = _finished(workspace, config.name, name, view)
    if placed is None:
        _offer(workspace, config, name, PROJECTIONS[name])
        return view
    with messages.guard(placed.folder):
        positions = drawing.table(placed, "positions").set_index("row").loc[view.points["row"], ["x", "y"]]
        points = view.points.assign(x=positions["x"].to_numpy(), y=positions["y"].to_numpy())
        return replace(view, points=points, projection=name)
    return view


def _finished(workspace: Workspace, study: str, name: str, view: View) -> Artifact | None:
    """The finished map over the embeddings that the clustering was made from."""
    embeddings = view.artifact.stage.get("parents", {}).get("embeddings")
    for entry in reversed(shared.entries(workspace, study, name)):
        artifact = workspace.artifact(entry["id"])
        if artifact.status == "done" and artifact.stage.get("parents", {}).get("embeddings") == embeddings:
            return artifact
    return None


def _offer(workspace: Workspace, config: StudyConfig, name: str, projection: Projection) -> None:
    """Says that the map is not there yet, and offers to compute it."""
    title = projection.title
    if not projection.installed:
        st.info(
            messages.sentence(
                f"The {title} map needs a package that is not installed: {UMAP_EXTRA}. Principal components are shown."
            )
        )
        return
    job = shared.job_state(workspace, config.name)
    for entry in reversed(shared.entries(workspace, config.name, name)):
        artifact = workspace.artifact(entry["id"])
        if artifact.status == "failed":
            st.error(messages.sentence(f"The {title} map failed: {artifact.stage.get('error', 'no reason given')}"))
        break
    if job["active"]:
        st.info(
            f"The {title} map is not there yet and a job of this study runs or waits. Principal components are shown."
        )
        return
    st.info(f"The {title} map is not computed yet; principal components are shown. It takes seconds to minutes.")
    if st.button(f"Compute the {title} map", key=f"compute_{name}"):
        shared.ask(workspace, config, name)
        st.rerun(scope="app")
