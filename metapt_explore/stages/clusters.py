"""Clusters and the auxiliary tasks made of them, as stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.auxiliary_tasks.clusters import cluster_tasks
from metapt_explore.auxiliary_tasks.labels import AuxiliaryTasks, auxiliary_tasks
from metapt_explore.config import EditedClustering, RandomGroups, StudyConfig
from metapt_explore.config.label_values import check_values
from metapt_explore.errors import UserError
from metapt_explore.stages.labels import row_classes
from metapt_explore.stages.texts import Recipe
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.texts.rows import texts_of


def clusters_recipe(
    study: StudyConfig,
    name: str,
    texts: Artifact,
    embeddings: Artifact,
    like: Artifact | None,
) -> Recipe:
    """One grouping of the texts, with its map, keywords and quality."""
    clustering = study.clustering(name)
    config = clustering.model_dump(mode="json", exclude={"name", "like", "seed", "edits"})
    config["seed"] = study.seed
    if isinstance(clustering, EditedClustering):
        config["edits"] = [edit.model_dump(mode="json", exclude_none=True) for edit in clustering.edits]
    if clustering.own_seed is not None:
        config["clustering_seed"] = clustering.own_seed
    # The data's own labels are counted by their names. Labels that are still to be found have no part in a grouping:
    # another cut-off must not cluster anew.
    counted = study.labelling is None
    if counted:
        config["labels"] = {label.value: label_name for label_name, label in study.auxiliary_tasks.labels.items()}
    if isinstance(clustering, RandomGroups):
        # Its random stream carries the name, so that a study can hold several random controls.
        config["name"] = name
    parents = {"texts": texts.id, "embeddings": embeddings.id}
    if like is not None:
        parents["like"] = like.id
    stage = Question("clusters", f"clusters '{name}'", 1, config, parents)

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.clusters.algorithms import cluster
        from metapt_explore.clusters.describe import describe
        from metapt_explore.clusters.quality import agreement, cluster_quality
        from metapt_explore.clusters.reduce import project, reduce_embeddings

        rows = texts.table("texts")
        vectors = embeddings.tensors("embeddings")["embeddings"].numpy()
        groups = [group if isinstance(group, str) else None for group in rows["group"]]
        like_labels = like.table("clusters")["cluster"].to_numpy() if like is not None else None
        given = {c["cluster"]: c["given_name"] for c in like.summary["clusters"] if c.get("given_name")} if like else {}
        grouping = cluster(vectors, clustering, study.seed, groups, like_labels, texts_of(rows), given)
        reduced = reduce_embeddings(vectors, clustering.dimensions)
        position = project(vectors)
        classes = row_classes(study, texts, None) if counted else None
        clusters = describe(grouping.labels, grouping.membership, texts_of(rows), grouping.names, classes)
        out.write_table(
            "clusters",
            pd.DataFrame(
                {
                    "row": np.arange(len(rows)),
                    "cluster": grouping.labels,
                    "membership": grouping.membership,
                    "x": position[:, 0],
                    "y": position[:, 1],
                }
            ),
        )
        out.write_summary(
            {
                "clusters": clusters,
                "outliers": int((grouping.labels == -1).sum()),
                "quality": cluster_quality(reduced, grouping.labels, study.seed),
                "agreement": agreement(grouping.labels, groups),
            }
        )

    return stage, compute


def tasks_recipe(
    study: StudyConfig, texts: Artifact, clusters: Artifact | None, found_labels: Artifact | None = None
) -> Recipe:
    """Auxiliary tasks out of clusters; without clusters, one task of all labelled rows (PPT's pool)."""
    auxiliary = study.auxiliary_tasks
    if auxiliary.classes == "clusters":
        assert clusters is not None
        return _cluster_tasks_recipe(study, texts, clusters)
    config: dict[str, Any] = {
        "labels": {name: label.value for name, label in auxiliary.labels.items()},
        "min_size": auxiliary.min_size,
        "min_per_label": auxiliary.min_per_label,
    }
    parents = {"texts": texts.id}
    if clusters is not None:
        parents["clusters"] = clusters.id
    if found_labels is not None:
        parents["labels"] = found_labels.id
    stage = Question("tasks", "auxiliary tasks", 1, config, parents)

    def compute(out: ArtifactWriter) -> None:
        classes = labelled_classes(study, texts, found_labels)
        pool = np.zeros(len(classes), int)
        labels = clusters.table("clusters")["cluster"].to_numpy() if clusters is not None else pool
        write_tasks(auxiliary_tasks(labels, classes, list(auxiliary.labels), auxiliary), out)

    return stage, compute


def labelled_classes(study: StudyConfig, texts: Artifact, found_labels: Artifact | None) -> list[str | None]:
    """Class of each text, None where it has none.

    Raises:
        UserError: Where no text has one, or a class has no text at all, saying why.
    """
    rows = texts.table("texts")
    classes = row_classes(study, texts, found_labels)
    if found_labels is not None and not any(classes):
        raise UserError("labelling: no text is confident enough to keep its label; lower labelling.cutoff.")
    if found_labels is None and rows["label"].isna().all():
        raise UserError(
            f"{study.texts.name}: no pre-training text has a label; name the label column in texts.columns.label, "
            "or let labels be found (`labelling: {by: zero_shot}`)."
        )
    if not any(classes):
        found = sorted({str(value) for value in rows["label"].dropna()})[:8]
        values = [label.value for label in study.auxiliary_tasks.labels.values()]
        raise UserError(
            f"{study.texts.name}: no label of the texts ({', '.join(found)}) is among auxiliary_tasks.labels "
            f"({', '.join(values)})."
        )
    if found_labels is None:
        # Without rows of every class no cluster could become a task, whatever is clustered.
        check_values(
            study.auxiliary_tasks.labels, texts.summary["report"]["labels"], study.texts.name, "auxiliary_tasks.labels"
        )
    return classes


def _cluster_tasks_recipe(study: StudyConfig, texts: Artifact, clusters: Artifact) -> Recipe:
    """Tasks that tell clusters apart; labels of the data have no part in them."""
    auxiliary = study.auxiliary_tasks
    config = {
        "classes": auxiliary.classes,
        "labels": list(auxiliary.labels),
        "n_tasks": auxiliary.n_tasks,
        "min_per_label": auxiliary.min_per_label,
        "seed": study.seed,
    }
    # Version 2: no task is drawn twice.
    stage = Question("tasks", "auxiliary tasks", 2, config, {"texts": texts.id, "clusters": clusters.id})

    def compute(out: ArtifactWriter) -> None:
        labels = clusters.table("clusters")["cluster"].to_numpy()
        made = cluster_tasks(labels, list(auxiliary.labels), auxiliary, study.seed)
        write_tasks(made, out, {"asked": auxiliary.n_tasks})

    return stage, compute


def write_tasks(made: AuxiliaryTasks, out: ArtifactWriter, more: dict[str, Any] | None = None) -> None:
    """Writes the tasks, and what became of every row; `more` goes into the summary."""
    records = [
        {"task": int(task), "label": label, "row": int(row)}
        for task, by_label in sorted(made.tasks.items())
        for label, members in by_label.items()
        for row in members
    ]
    out.write_table("tasks", pd.DataFrame(records))
    out.write_summary(
        {
            "tasks": len(made.tasks),
            "sizes": {str(t): int(sum(len(m) for m in by.values())) for t, by in sorted(made.tasks.items())},
            "dropped": {str(cluster): why for cluster, why in made.dropped.items()},
            "counts": made.counts,
            **(more or {}),
        }
    )
