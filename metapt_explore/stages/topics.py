"""Topic tasks of a method, out of the clusters that they tell apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from metapt_explore.auxiliary_tasks.topic_words import choose_topic_words, topic_candidates
from metapt_explore.config import ClusteringConfig, LabelsConfig, MethodConfig
from metapt_explore.errors import UserError
from metapt_explore.pretraining.episodes import Tasks
from metapt_explore.pretraining.topics import Topics
from metapt_explore.stages.clusters import Clusters
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace

#: What a prompt's parents call the clusterings of its topic tasks: ``topics 1`` and so on.
ROLE = "topics"


def topic_parents(clusters: Sequence[Clusters]) -> dict[str, Clusters]:
    """The entries of a prompt's parents."""
    return {f"{ROLE} {place}": each for place, each in enumerate(clusters, 1)}


def topic_settings(method: MethodConfig) -> dict[str, Any]:
    """What the id of a prompt holds of its topic tasks; the clusterings are parents."""
    topics = method.topic_tasks
    return {} if topics is None else {"topics": topics.model_dump(mode="json", exclude={"clustering"})}


def make_topics(clusters: Sequence[Artifact], settings: Mapping[str, Any], tasks: Tasks) -> Topics:
    """The topic tasks: their rows and their place behind the tasks of labels.

    Args:
        clusters: A clustering for each task; finished.
        settings: ``share`` and ``min_rows``, as `TopicsConfig` has them.
        tasks: The tasks of labels.

    Raises:
        UserError: Where fewer than two clusters are large enough.
    """
    first = max(tasks) + 1
    tasks_of_topics = {}
    for number, artifact in enumerate(clusters):
        rows = artifact.table("clusters").set_index("row")["cluster"]
        members = {int(cluster): rows.index[rows == cluster].tolist() for cluster in sorted(set(rows)) if cluster >= 0}
        large = {
            str(cluster): rows_of_cluster
            for cluster, rows_of_cluster in members.items()
            if len(rows_of_cluster) >= settings["min_rows"]
        }
        if len(large) < 2:
            raise UserError(
                f"topics: {len(large)} of {len(members)} clusters have {settings['min_rows']} rows or more, and it "
                "takes two to tell apart. Make more clusters, or lower topics.min_rows."
            )
        tasks_of_topics[first + number] = large
    return Topics(tasks_of_topics, float(settings["share"]))


def check_topics(method: MethodConfig, clusters: Sequence[Artifact], tasks: Artifact) -> None:
    """Refuses topic tasks of too few clusters, before anything is pre-trained.

    Args:
        method: The method.
        clusters: The clusterings of its topics; finished.
        tasks: Its tasks of labels; finished.

    Raises:
        UserError: Naming the method.
    """
    numbers: dict[int, dict[str, list[int]]] = {int(task): {} for task in tasks.summary["sizes"]}
    try:
        make_topics(clusters, topic_settings(method)["topics"], numbers)
    except UserError as error:
        raise UserError(f"method '{method.name}': {error}") from None


def topic_labels(
    clusters: Sequence[Artifact], topics: Topics, *, template: str, tokens: Callable[[str], Sequence[int]]
) -> list[LabelsConfig]:
    """Template and words of each topic task.

    Args:
        clusters: A clustering for each task.
        topics: The tasks.
        template: The template.
        tokens: Token ids of a word that follows a space.
    """
    labels = []
    for artifact, task in zip(clusters, sorted(topics.tasks), strict=True):
        named = ClusteringConfig.facts(artifact.stage["config"].get("algorithm", "")).needs_groups
        candidates = topic_candidates(artifact.summary["clusters"], named=named)
        by_cluster = {int(cluster): candidates.get(int(cluster), []) for cluster in topics.tasks[task]}
        words = choose_topic_words(by_cluster, tokens)
        labels.append(LabelsConfig(template=template, labels=dict(zip(map(str, by_cluster), words, strict=True))))
    return labels


def recorded_topics(
    workspace: Workspace, config: Mapping[str, Any], parents: Mapping[str, str], *, tasks: Tasks
) -> Topics | None:
    """The topic tasks of a prompt that was made, out of its settings and parents; None where it has none.

    Args:
        workspace: Where the clusterings lie.
        config: The prompt's settings.
        parents: What the prompt was made from.
        tasks: Its tasks of labels.

    Raises:
        UserError: Where a clustering is not in the workspace any more.
    """
    if "topics" not in config:
        return None
    named = sorted((role for role in parents if role.startswith(f"{ROLE} ")), key=lambda role: int(role.split()[1]))
    clusters = [workspace.artifact(parents[role]) for role in named]
    gone = [artifact.id for artifact in clusters if artifact.status != "done"]
    if gone:
        raise UserError(f"{', '.join(gone)} is not in the workspace any more; running the study again makes it.")
    return make_topics(clusters, config["topics"], tasks)


def topic_rows(topics: Topics) -> pd.DataFrame:
    """The topic tasks as a table of ``tasks`` artifacts' shape: task, label (the cluster) and row."""
    records = [
        {"task": task, "label": f"cluster {cluster}", "row": row}
        for task, classes in topics.tasks.items()
        for cluster, rows in classes.items()
        for row in rows
    ]
    return pd.DataFrame(records)
