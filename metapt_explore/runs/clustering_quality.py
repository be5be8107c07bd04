"""Reads what the table of clusterings is made of out of a workspace."""

from __future__ import annotations

from typing import Any

import pandas as pd

from metapt_explore.clusters.quality_table import method_gains, quality_table
from metapt_explore.config import StudyConfig
from metapt_explore.runs.results import results_table
from metapt_explore.runs.workspace import Workspace


def clustering_quality(workspace: Workspace, config: StudyConfig) -> pd.DataFrame:
    """Quality of each clustering of a study beside the gain of the methods that used it; computes nothing.

    The gain is over the first pooled method without a clustering (PPT), and without scores of it there is none. A
    method of several clusterings counts for none of them.

    Args:
        workspace: Where the study's artifacts lie.
        config: The study.

    Returns:
        See `quality_table`; clusterings that are not finished are left out.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in workspace.index(config.name):
        if entry["kind"] in ("clusters", "tasks", "stability") and entry.get("clustering"):
            artifact = workspace.artifact(entry["id"])
            if artifact.status == "done":
                found.setdefault(entry["clustering"], {})[entry["kind"]] = artifact.summary
    records = [
        {"name": clustering.name, "algorithm": clustering.algorithm, **found[clustering.name]}
        for clustering in config.clusterings
        if "clusters" in found.get(clustering.name, {})
    ]
    baseline = next((method.name for method in config.methods if method.kind == "ppt" and not method.clusterings), "")
    methods = {m.name: m.clusterings[0] for m in config.methods if m.kind == "metapt" and len(m.clusterings) == 1}
    return quality_table(records, method_gains(results_table(workspace, config.name), methods, baseline))
