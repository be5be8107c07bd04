"""Names of a method's auxiliary tasks, as pages write them."""

from __future__ import annotations

from metapt_explore.config import MethodConfig
from metapt_explore.dashboard.parts import drawing, messages, shared
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace


def topic_names(workspace: Workspace, artifact: Artifact, clusterings: list[str]) -> dict[int, str]:
    """Names of topic tasks; their numbers follow those of label tasks."""
    sizes = workspace.artifact(artifact.stage["parents"]["tasks"]).summary.get("sizes", {})
    first = max(map(int, sizes), default=-1) + 1
    return {first + index: f"topics of {name}" for index, name in enumerate(clusterings)}


def names_of(workspace: Workspace, name: str, method: MethodConfig) -> dict[int, str]:
    """Cluster names by task number; empty if unknown."""
    if len(method.clusterings) > 1:
        entry = next(iter(shared.entries(workspace, name, "tasks", clustering=" + ".join(method.clusterings))), None)
        named = workspace.artifact(entry["id"]).summary.get("names", {}) if entry else {}
        return {int(task): str(label) for task, label in named.items()}
    if shared.study_config(workspace, name).auxiliary_tasks.classes == "clusters":
        return _cluster_words(workspace, name, method)
    clusters = _done(workspace, name, kind="clusters", method=method)
    if clusters is not None:
        with messages.guard(clusters.folder):
            return {int(cluster["cluster"]): str(cluster["name"]) for cluster in clusters.summary["clusters"]}
    return {}


def _cluster_words(workspace: Workspace, name: str, method: MethodConfig) -> dict[int, str]:
    """Classes of tasks whose classes are clusters: each word with its cluster."""
    artifacts = [_done(workspace, name, kind=kind, method=method) for kind in ("tasks", "clusters")]
    tables = []
    for artifact, columns in zip(artifacts, (["task", "label", "row"], ["row", "cluster"]), strict=True):
        if artifact is None:
            return {}
        with messages.guard(artifact.folder):
            tables.append(drawing.table(artifact, artifact.stage["kind"])[columns])
    if len(tables) < 2:
        return {}
    tasks, clusters = tables
    of_row = clusters.set_index("row")["cluster"]
    words: dict[int, list[str]] = {}
    for task, label, row in tasks.drop_duplicates(["task", "label"]).itertuples(index=False):
        words.setdefault(int(task), []).append(f"{label}: cluster {of_row[row]}")
    return {task: ", ".join(entries) for task, entries in words.items()}


def _done(workspace: Workspace, name: str, *, kind: str, method: MethodConfig) -> Artifact | None:
    """The finished artifact of the method's clustering, if any."""
    entry = next(iter(shared.entries(workspace, name, kind, clustering=" + ".join(method.clusterings))), None)
    artifact = workspace.artifact(entry["id"]) if entry else None
    return artifact if artifact is not None and shared.finished(artifact) else None
