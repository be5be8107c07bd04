"""The rows of the table of clusterings, read from a workspace."""

from __future__ import annotations

from typing import Any

import pandas as pd

from metapt_explore.clusters.describe import count_labels
from metapt_explore.clusters.quality_table import method_gains, on_one_clustering, quality_table
from metapt_explore.config import StudyConfig
from metapt_explore.results.tables import results_table
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace


def clustering_quality(workspace: Workspace, config: StudyConfig) -> pd.DataFrame:
    """Quality of each clustering of a study beside the gain of the methods that used it; computes nothing.

    The gain is over the first pooled method without a clustering (PPT), and without scores of it there is none. A
    method of several clusterings counts for none of them, nor does one that learns topics, is tuned or is read in
    another way than PPT.

    Args:
        workspace: Where the study's artifacts lie.
        config: The study.

    Returns:
        See `quality_table`; clusterings that are not finished are left out.
    """
    summaries: dict[str, dict[str, dict[str, Any]]] = {}
    index = workspace.index(config.name)
    labels = next((workspace.artifact(entry["id"]) for entry in index if entry["kind"] == "labels"), None)
    for entry in index:
        if entry["kind"] in ("clusters", "tasks", "stability") and entry.get("clustering"):
            artifact = workspace.artifact(entry["id"])
            if artifact.finished:
                summary = artifact.summary
                if entry["kind"] == "clusters" and labels is not None and labels.finished:
                    summary["clusters"] = _with_labels(summary["clusters"], artifact, labels)
                summaries.setdefault(entry["clustering"], {})[entry["kind"]] = summary
    records = [
        {"name": clustering.name, "algorithm": clustering.algorithm, **summaries[clustering.name]}
        for clustering in config.clusterings
        if "clusters" in summaries.get(clustering.name, {})
    ]
    methods, baseline = on_one_clustering([method.model_dump(mode="json") for method in config.methods])
    return quality_table(records, method_gains(results_table(workspace, config.name), methods, baseline))


def _with_labels(clusters: list[dict[str, Any]], artifact: Artifact, labels: Artifact) -> list[dict[str, Any]]:
    """Clusters with counts of the machine labels, if the study has some: clustering does not wait for labels."""
    counts = count_labels(artifact.table("clusters")["cluster"].to_numpy(), list(labels.table("labels")["class"]))
    return [{**cluster, "labels": counts.get(cluster["cluster"], {})} for cluster in clusters]
