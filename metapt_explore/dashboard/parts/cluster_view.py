"""A clustering as the page shows it: as it was computed, or with edits that are not saved yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from metapt_explore.clusters.describe import count_labels, describe
from metapt_explore.clusters.edit import apply_edits, kmeans_cut
from metapt_explore.config import ClusterEdit, ClusteringConfig, StudyConfig
from metapt_explore.config.label_values import class_of_values
from metapt_explore.dashboard.parts import drawing, messages
from metapt_explore.errors import UserError
from metapt_explore.storage.artifact import Artifact
from metapt_explore.texts.rows import texts_of


@dataclass(frozen=True, eq=False)
class View:
    """A clustering with its texts, as all parts of the page use it.

    Attributes:
        name: The clustering.
        artifact: Its artifact.
        points: Row, cluster, membership, x and y of each text.
        clusters: What each cluster is, as in the artifact's summary.
        written: The texts with their labels, by row.
        edits: Edits that are not saved yet, already done in `points` and `clusters`.
        projection: The map that x and y are of (`clusters.projections.PROJECTIONS`).
    """

    name: str
    artifact: Artifact
    points: pd.DataFrame
    clusters: list[dict[str, Any]]
    written: pd.DataFrame
    edits: tuple[ClusterEdit, ...]
    projection: str = "pca"

    @property
    def names(self) -> dict[int, str]:
        """Names of the clusters by their ids; outliers are -1."""
        named = {int(cluster["cluster"]): str(cluster["name"]) for cluster in self.clusters}
        return {**named, -1: "outliers"} if (self.points["cluster"] < 0).any() else named

    @property
    def artifact_names(self) -> dict[int, str]:
        """Names of the clusters as they were computed, without unsaved edits; -1 is none."""
        return {int(each["cluster"]): str(each["name"]) for each in self.artifact.summary["clusters"]} | {-1: "–"}


def pending(artifact: Artifact) -> list[ClusterEdit]:
    """Unsaved edits of a clustering in this session, as a mutable list."""
    edits: list[ClusterEdit] = st.session_state.setdefault("edits", {}).setdefault(artifact.id, [])
    return edits


def keep_known(key: str, view: View) -> None:
    """Takes clusters that an edit has removed out of a choice of the session."""
    if key in st.session_state:
        st.session_state[key] = [cluster for cluster in st.session_state[key] if cluster in view.names]


def error_key(artifact_id: str) -> str:
    """Session key of the error of a clustering's last edit."""
    return f"edit_error_{artifact_id}"


def view_of(
    config: StudyConfig, name: str, artifact: Artifact, *, written: pd.DataFrame, labels: pd.DataFrame | None
) -> View:
    """Reads a clustering; drops edits that fail, last first, and keeps the error for the page.

    Args:
        config: The study.
        name: The clustering.
        artifact: Its artifact.
        written: The texts, as `written_of` reads them.
        labels: Labels that were found for them.
    """
    points = drawing.table(artifact, "clusters")
    edits = pending(artifact)
    while edits:
        try:
            edited, clusters = _edited(
                f"{artifact.folder} {_stamp(artifact)}",
                [edit.model_dump_json() for edit in edits],
                None if labels is None else _key_of(labels, config),
                _unedited=_Unedited(artifact, points, written, config),
            )
            return View(name, artifact, edited, clusters, written, tuple(edits))
        except UserError as error:
            edits.pop()
            st.session_state[error_key(artifact.id)] = str(error)
    clusters = _with_labels(artifact.summary["clusters"], points, labels)
    return View(name, artifact, points, clusters, written, ())


def _key_of(labels: pd.DataFrame, config: StudyConfig) -> str:
    """Hash of the machine labels, which are no part of a clustering's id."""
    rows = pd.util.hash_pandas_object(labels[["class"]].astype(str), index=True).to_numpy().tobytes()
    return hashlib.sha256(rows + "".join(config.auxiliary_tasks.labels).encode()).hexdigest()


def _stamp(artifact: Artifact) -> int:
    return (artifact.folder / "clusters.parquet").stat().st_mtime_ns


def written_of(texts: Artifact, labels: pd.DataFrame | None) -> pd.DataFrame:
    """The texts, pairs as one text, with machine labels (if any) in place of the data's."""
    rows = drawing.table(texts, "texts")
    written = rows.assign(text=texts_of(rows)) if "text_pair" in rows else rows
    if labels is None:
        return written
    return written.assign(label=labels["class"], confidence=labels["confidence"].round(3), source=labels["source"])


def _with_labels(
    clusters: list[dict[str, Any]], points: pd.DataFrame, labels: pd.DataFrame | None
) -> list[dict[str, Any]]:
    """Clusters with counts of the machine labels; counts of the data's labels are there already."""
    if labels is None:
        return clusters
    counts = count_labels(points["cluster"].to_numpy(), labels["class"].tolist())
    return [{**cluster, "labels": counts[int(cluster["cluster"])]} for cluster in clusters]


@dataclass(frozen=True, eq=False)
class _Unedited:
    """A clustering as it was computed, with its texts and study."""

    artifact: Artifact
    points: pd.DataFrame
    written: pd.DataFrame
    config: StudyConfig


@st.cache_data(max_entries=16, show_spinner="Editing …")
def _edited(
    version: str, edits: list[str], found_labels: str | None, *, _unedited: _Unedited
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Points and clusters after the edits; cached by version, edits and labels."""
    artifact, points, config = _unedited.artifact, _unedited.points, _unedited.config
    summary = artifact.summary
    dimensions = ClusteringConfig.model_fields["dimensions"].default
    known = {c["cluster"]: c["given_name"] for c in summary["clusters"] if c.get("given_name")}

    def cut(rows: np.ndarray, into: int, cluster: int) -> np.ndarray:
        # Only a split needs the vectors.
        return kmeans_cut(vectors_of(artifact), dimensions, config.seed)(rows, into, cluster)

    made = apply_edits(
        points["cluster"].to_numpy(), [ClusterEdit.model_validate_json(edit) for edit in edits], cut, names=known
    )
    labels, membership = made.labels, points["membership"].to_numpy()
    classes = None
    if "labels" in (summary["clusters"] or [{}])[0] or found_labels is not None:
        # Machine labels are class names; the data's labels are values to map to classes.
        values = list(_unedited.written["label"])
        by_value = class_of_values(config.auxiliary_tasks.labels, filter(None, values))
        classes = values if found_labels is not None else [by_value.get(value) for value in values]
    clusters = describe(labels, membership, _unedited.written["text"].tolist(), given_names=made.names, classes=classes)
    return points.assign(cluster=labels), clusters


def vectors_of(clusters: Artifact) -> np.ndarray:
    """The embeddings that a clustering was made from, ``[rows, width]``; kept, so do not change them.

    Raises:
        UserError: Where they cannot be read.
    """
    parent = clusters.stage.get("parents", {}).get("embeddings")
    embeddings = Artifact(clusters.folder.parent / str(parent))
    path = embeddings.folder / "embeddings.safetensors"
    if not path.exists():
        raise UserError(
            f"The texts' embeddings are needed for this, and {path} is missing. Packaged examples come without "
            "embeddings: run the study to compute them."
        )
    return _vectors(str(embeddings.file(path.name)))


@st.cache_resource(max_entries=2, show_spinner=False)
def _vectors(path: str) -> np.ndarray:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        vectors: np.ndarray = load_file(path)["embeddings"]
        return vectors
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read, and this needs it: {messages.reason(error)}.") from None
