"""What the map shows beside its points: colours, names, the part that is looked at, density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore.clusters.map_names import MapName, Window, map_names, window_of, without_overlap
from metapt_explore.clusters.projections import PROJECTIONS
from metapt_explore.config import StudyConfig
from metapt_explore.dashboard.parts import cluster_view, drawing, messages, shared
from metapt_explore.dashboard.parts.cluster_view import View
from metapt_explore.plots import MapLook
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace

#: Choices of names: at most so many; None: all that have room.
NAMES: dict[str, int | None] = {"none": 0, "few": 8, "more": 24, "all that fit": None}
#: From so many clusters on, few names are shown at first.
MANY = 20
#: Columns of the texts that points can be coloured by, with what the choice calls them.
CATEGORIES = {"label": "label", "group": "group", "source": "source of the label"}
LOSS = "loss: "
WHOLE = "the whole map"


@dataclass(frozen=True)
class _Colour:
    """A column to colour by."""

    values: pd.Series | None
    title: str


def choose(workspace: Workspace, config: StudyConfig, view: View, boxes: Sequence[Any]) -> tuple[MapLook, str | None]:
    """The controls above the map.

    Args:
        workspace: The workspace.
        config: The study.
        view: The clustering, on its map.
        boxes: Where the choices of colour, names and part of the map are drawn.

    Returns:
        What is chosen, and a key under which a drawing of it may be kept; None where other files decide about it, too.
    """
    key = view.artifact.id
    colour_box, names_box, zoom_box = boxes
    losses = _losses(workspace, config)
    options = ["cluster", *_columns(view), "membership", "text length", *(f"{LOSS}{name}" for name in losses)]
    chosen = colour_box.selectbox(
        "Colour",
        options,
        key=f"colour_{key}",
        format_func=lambda option: option.replace(LOSS, "loss under "),
        help="Loss: of the language model with a method's prompt, on the text's auxiliary task.",
    )
    colour = _colour(view, chosen, losses)
    if colour.values is None and chosen.startswith(LOSS):
        _offer_losses(workspace, config)
    level = names_box.selectbox(
        "Names",
        list(NAMES),
        index=1 if len(view.clusters) > MANY else 3,
        key=f"names_{key}_{len(view.clusters) > MANY}",
        help="Few: names of neighbouring clusters are joined, largest first. A name that would lie over another is "
        "left out: look at a part of the map to see it.",
    )
    parts = _parts(view)
    zoom = zoom_box.selectbox(
        "Look at", [WHOLE, *parts], key=f"zoom_{key}_{view.projection}", help="Zooms, by keyboard."
    )
    chosen_clusters, density = st.columns([3, 1], vertical_alignment="bottom")
    cluster_view.keep_known(f"highlight_{key}", view)
    highlighted = chosen_clusters.multiselect(
        "Highlight clusters",
        [cluster for cluster in view.names if cluster >= 0],
        format_func=lambda cluster: view.names.get(cluster, str(cluster)),
        key=f"highlight_{key}",
        placeholder="all; type to find one",
    )
    lines = density.checkbox("Density", key=f"density_{key}", help="Lines of equal density of the texts.")
    window = window_of(view.points, parts[zoom]) if zoom in parts else None
    look = MapLook(
        colour=colour.values,
        title=colour.title,
        axes=PROJECTIONS[view.projection].axes,
        names=_names(view, NAMES[level], window, highlighted),
        window=window,
        density=lines,
        highlighted=tuple(highlighted),
    )
    own = chosen in ("cluster", "membership", "text length")
    return look, repr((chosen, level, zoom, sorted(highlighted), lines)) if own else None


def _columns(view: View) -> list[str]:
    """Columns of the texts that hold something."""
    columns = [column for column in (*CATEGORIES, "confidence") if column in view.written]
    return [column for column in columns if view.written[column].notna().any()]


def _colour(view: View, chosen: str, losses: dict[str, Artifact | None]) -> _Colour:
    if chosen in CATEGORIES:
        return _Colour(view.written[chosen].astype(object), CATEGORIES[chosen])
    if chosen == "confidence":
        return _Colour(view.written[chosen], "confidence of the label")
    if chosen == "membership":
        return _Colour(view.points.set_index("row")["membership"], "membership")
    if chosen == "text length":
        return _Colour(view.written["text"].astype(str).str.split().str.len().astype(float), "words")
    artifact = losses.get(chosen.removeprefix(LOSS)) if chosen.startswith(LOSS) else None
    if artifact is not None:
        with messages.guard(artifact.folder):
            found = drawing.table(artifact, "losses").groupby("row")["loss"].mean()
            return _Colour(found.reindex(view.written.index), "loss")
    return _Colour(None, "cluster")


def _losses(workspace: Workspace, config: StudyConfig) -> dict[str, Artifact | None]:
    """For each pre-trained method the artifact with the loss of every text; None where it is not there."""
    losses: dict[str, Artifact | None] = {method.name: None for method in config.methods if method.kind != "pt"}
    for entry in shared.entries(workspace, config.name, "hardest_texts"):
        artifact = workspace.artifact(entry["id"])
        name = str(entry.get("method"))
        # An earlier version kept the hardest texts only.
        if name in losses and artifact.status == "done" and (artifact.folder / "losses.parquet").exists():
            losses[name] = losses[name] or artifact
    return losses


def _offer_losses(workspace: Workspace, config: StudyConfig) -> None:
    if shared.job_state(workspace, config.name)["active"]:
        st.info("The loss of every text is not there yet and a job of this study runs or waits.")
        return
    st.info(
        "The loss of every text is not computed yet: one pass of the language model over the auxiliary tasks for each "
        "pre-trained method; prompts that are missing are pre-trained first."
    )
    if st.button("Compute the losses", key="compute_losses"):
        shared.ask(workspace, config, "hardest_texts")
        st.rerun(scope="app")


def _parts(view: View) -> dict[str, list[int]]:
    """Parts of the map to look at: groups of neighbouring clusters where there are many, and each cluster."""
    parts: dict[str, list[int]] = {}
    if len(view.clusters) > MANY:
        for name in map_names(view.points, view.clusters, NAMES["few"]):
            count = f"{len(name.clusters)} clusters" if len(name.clusters) > 1 else "1 cluster"
            parts[f"{name.text} ({count})"] = list(name.clusters)
    return parts | {name: [cluster] for cluster, name in view.names.items() if cluster >= 0}


def _names(view: View, most: int | None, window: Window | None, highlighted: list[int]) -> list[MapName]:
    if most == 0:
        return []
    clusters = [c for c in view.clusters if not highlighted or int(c["cluster"]) in highlighted]
    seen = window or window_of(view.points)
    if window is not None:
        left, right, bottom, top = window
        inside = view.points["x"].between(left, right) & view.points["y"].between(bottom, top)
        shares = inside.groupby(view.points["cluster"]).mean()
        clusters = [c for c in clusters if shares.get(int(c["cluster"]), 0.0) > 0.5]
    return without_overlap(map_names(view.points, clusters, most), seen)
