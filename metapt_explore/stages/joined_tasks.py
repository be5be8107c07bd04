"""Auxiliary tasks of several clusterings, or of soft clusters, as a stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metapt_explore.auxiliary_tasks.clusters import cluster_tasks
from metapt_explore.auxiliary_tasks.joined import join_tasks, task_offsets
from metapt_explore.auxiliary_tasks.labels import AuxiliaryTasks, auxiliary_tasks
from metapt_explore.auxiliary_tasks.soft import shuffled_members, soft_members
from metapt_explore.config import StudyConfig
from metapt_explore.errors import UserError
from metapt_explore.seeds import stream
from metapt_explore.stages.clusters import labelled_classes, write_tasks
from metapt_explore.stages.texts import Recipe
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question


@dataclass(frozen=True)
class Part:
    """One of the clusterings that tasks are made of.

    Attributes:
        name: Its name in the study.
        clusters: Its artifact.
        copied: Random groups: the clustering that they copy the sizes of, in the end; else None.
    """

    name: str
    clusters: Artifact
    copied: Artifact | None

    @property
    def labels(self) -> np.ndarray:
        """Cluster ids, ``[rows]``."""
        return self.clusters.table("clusters")["cluster"].to_numpy()


def joined_tasks_recipe(
    study: StudyConfig,
    texts: Artifact,
    parts: list[Part],
    embeddings: Artifact | None,
    found_labels: Artifact | None,
) -> Recipe:
    """The tasks of all these clusterings together.

    Args:
        study: The study.
        texts: The pre-training texts.
        parts: The clusterings, in the order of the method.
        embeddings: Of the texts; soft clusters need them.
        found_labels: Labels that were found for the texts.
    """
    auxiliary = study.auxiliary_tasks
    soft, by_clusters = auxiliary.softness > 0, auxiliary.classes == "clusters"
    config: dict[str, Any] = {
        "classes": auxiliary.classes,
        "labels": {name: label.value for name, label in auxiliary.labels.items()},
        "min_per_label": auxiliary.min_per_label,
        "clusterings": len(parts),
    }
    config |= {"n_tasks": auxiliary.n_tasks, "seed": study.seed} if by_clusters else {"min_size": auxiliary.min_size}
    parents = {"texts": texts.id, **{f"clusters {i}": part.clusters.id for i, part in enumerate(parts, 1)}}
    if found_labels is not None:
        parents["labels"] = found_labels.id
    if soft:
        assert embeddings is not None
        config["softness"] = auxiliary.softness
        parents["embeddings"] = embeddings.id
        copied = {f"copied {i}": part.copied.id for i, part in enumerate(parts, 1) if part.copied is not None}
        if copied:
            config["seed"] = study.seed
            parents |= copied
    stage = Question("tasks", "auxiliary tasks", 1, config, parents)

    def compute(out: ArtifactWriter) -> None:
        names = list(auxiliary.labels)
        classes = [] if by_clusters else labelled_classes(study, texts, found_labels)
        vectors = embeddings.tensors("embeddings")["embeddings"].numpy() if soft and embeddings is not None else None
        made: list[AuxiliaryTasks] = []
        labels = [part.labels for part in parts]
        for part, clusters in zip(parts, labels, strict=True):
            try:
                if by_clusters:
                    made.append(cluster_tasks(clusters, names, auxiliary, study.seed))
                else:
                    members = _members(study, part, vectors) if vectors is not None else None
                    made.append(auxiliary_tasks(clusters, classes, names, auxiliary, members))
            except UserError as error:
                raise UserError(f"Clustering '{part.name}': {error}") from None
        unlabelled = np.array([name is None for name in classes]) if classes else np.zeros(len(labels[0]), dtype=bool)
        joined = join_tasks(made, labels, unlabelled)
        more: dict[str, Any] = {"clusterings": [part.name for part in parts]}
        offsets = task_offsets(made, labels)
        if by_clusters:
            more["asked"] = len(parts) * auxiliary.n_tasks
            more["names"] = _words(parts, made, labels, offsets)
        else:
            more["names"] = _names(parts, offsets, several=len(parts) > 1)
        if soft:
            more["memberships"] = sum(len(rows) for task in joined.tasks.values() for rows in task.values())
        write_tasks(joined, out, more)

    return stage, compute


def _members(study: StudyConfig, part: Part, vectors: np.ndarray) -> np.ndarray:
    softness = study.auxiliary_tasks.softness
    if part.copied is None:
        return soft_members(vectors, part.labels, softness)
    labels = part.copied.table("clusters")["cluster"].to_numpy()
    generator = stream(study.seed, "soft random groups", part.name)
    return shuffled_members(soft_members(vectors, labels, softness), labels, part.labels, generator)


def _words(
    parts: list[Part], made: list[AuxiliaryTasks], labels: list[np.ndarray], offsets: list[int]
) -> dict[str, str]:
    """Clusters as classes: which cluster each word of a task stands for."""
    return {
        str(offset + task): f"{part.name}: "
        + ", ".join(f"{word}: cluster {clusters[rows[0]]}" for word, rows in by_word.items())
        for part, tasks, clusters, offset in zip(parts, made, labels, offsets, strict=True)
        for task, by_word in tasks.tasks.items()
    }


def _names(parts: list[Part], offsets: list[int], several: bool) -> dict[str, str]:
    """What each task is called: its cluster's name, behind its clustering's where there are several."""
    return {
        str(offset + int(cluster["cluster"])): f"{part.name} {cluster['name']}" if several else str(cluster["name"])
        for part, offset in zip(parts, offsets, strict=True)
        for cluster in part.clusters.summary["clusters"]
    }
