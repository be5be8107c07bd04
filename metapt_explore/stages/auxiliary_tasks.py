"""Auxiliary tasks: out of one clustering, several together, or all labelled rows (PPT's pool)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.auxiliary_tasks.clusters import cluster_tasks
from metapt_explore.auxiliary_tasks.format_tasks import format_tasks, task_summary, task_table
from metapt_explore.auxiliary_tasks.formats.cluster_classes import Grouping
from metapt_explore.auxiliary_tasks.joined import join_tasks, task_offsets
from metapt_explore.auxiliary_tasks.labels import AuxiliaryTasks, auxiliary_tasks
from metapt_explore.auxiliary_tasks.soft import own_members, probable_members, shuffled_members, soft_members
from metapt_explore.config.task_formats import ClusterClassesFormat, TaskFormat
from metapt_explore.errors import UserError
from metapt_explore.seeds import stream
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.clusters import Clusters
from metapt_explore.stages.embeddings import Embeddings
from metapt_explore.stages.format_rows import rows_stage
from metapt_explore.stages.labels import Labels, labelled_classes, row_classes
from metapt_explore.stages.memberships import Memberships
from metapt_explore.stages.steps import Listed, Step
from metapt_explore.stages.texts import Texts, counted
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.storage.vectors import read_vectors_of

#: What the pool of all labelled rows is called.
POOL = "pool"


@dataclass(frozen=True, eq=False)
class Tasks(Stage):
    """The auxiliary tasks of some clusterings.

    Attributes:
        clusterings: Their names, in the order of the method; none is one pool of all labelled rows.
    """

    kind = "tasks"
    version = 2
    part = "clusters"
    least_work = 0.0

    clusterings: tuple[str, ...]

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Tasks]:
        """Those that methods learn from, each once."""
        methods = [method for method in pipeline.config.methods if method.pretrained]
        for clusterings in dict.fromkeys(tuple(method.clusterings) for method in methods):
            yield cls(pipeline, clusterings)

    @property
    def called(self) -> str:
        """What people call the clusterings together."""
        return " + ".join(self.clusterings) or POOL

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"tasks/{self.called}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"auxiliary tasks of {self.called}"

    def subject(self) -> Subject:
        """The clusterings."""
        return {"clustering": self.called}

    @property
    def _clusters(self) -> list[Clusters]:
        return [Clusters(self.pipeline, name) for name in self.clusterings]

    @property
    def _is_soft(self) -> bool:
        return bool(self.clusterings) and self.study.auxiliary_tasks.is_soft

    @property
    def _by_clusters(self) -> bool:
        return self.study.auxiliary_tasks.classes == "clusters"

    @property
    def _named_by_formats(self) -> list[str]:
        """Clusterings that formats name for themselves."""
        formats = self.study.auxiliary_tasks.cluster_classes
        return list(dict.fromkeys(name for each in formats for name in each.clusterings))

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """Texts, clusterings, labels that were found, and for soft clusters the embeddings."""
        parents: dict[str, Stage | Artifact] = {"texts": rows_stage(self.pipeline)}
        for place, clusters in enumerate(self._clusters, 1):
            parents[f"clusters {place}"] = clusters
            if self._is_soft:
                parents |= self._soft_parents(place, clusters)
        if self.study.auxiliary_tasks.formats:
            parents["documents"] = Texts(self.pipeline)
        for name in self._named_by_formats:
            parents[f"classes of {name}"] = Clusters(self.pipeline, name)
        if self._is_soft and self.study.auxiliary_tasks.min_probability is None:
            parents["embeddings"] = Embeddings(self.pipeline)
        if self.study.labelling is not None:
            parents["labels"] = Labels(self.pipeline)
        return parents

    def _soft_parents(self, place: int, clusters: Clusters) -> dict[str, Stage | Artifact]:
        """What says which clusters a row belongs to; random groups follow the clusters whose sizes they copy."""
        source = clusters.copied or clusters
        parents: dict[str, Stage | Artifact] = {} if clusters.copied is None else {f"copied {place}": clusters.copied}
        if self.study.auxiliary_tasks.min_probability is not None and source.clustering.probabilities:
            parents[f"memberships {place}"] = Memberships(self.pipeline, source.name)
        return parents

    def config(self) -> dict[str, Any]:
        """How clusters become tasks."""
        auxiliary = self.study.auxiliary_tasks
        if auxiliary.formats:
            return self._format_config()
        by_clusters = {"n_tasks": auxiliary.n_tasks, "seed": self.study.seed}
        by_labels = {"min_size": auxiliary.min_size, "softness": auxiliary.softness if self._is_soft else 0.0}
        if self._is_soft and auxiliary.min_probability is not None:
            by_labels["min_probability"] = auxiliary.min_probability
        return {
            "classes": auxiliary.classes,
            "labels": {name: label.value for name, label in auxiliary.labels.items()},
            "min_per_label": auxiliary.min_per_label,
            # What the tasks are called by, and what random streams of random groups carry.
            "clusterings": list(self.clusterings),
            **(by_clusters if self._by_clusters else by_labels),
            **({"seed": self.study.seed} if self._is_soft else {}),
        }

    def _format_config(self) -> dict[str, Any]:
        """What the tasks of several formats depend on."""
        auxiliary = self.study.auxiliary_tasks
        own = {"labels", "min_size", "min_per_label", "name", "weight"} if auxiliary.labels else set()
        return {
            "formats": [each.model_dump(mode="json", exclude=_no_matter(each)) for each in auxiliary.formats],
            "own": auxiliary.model_dump(mode="json", include=own),
            "clusterings": list(self.clusterings),
            "seed": self.study.seed,
        }

    def compute(self, out: ArtifactWriter) -> None:
        """Makes the tasks of each clustering and joins them."""
        if self.study.auxiliary_tasks.formats:
            self._compute_formats(out)
            return
        names = list(self.study.auxiliary_tasks.labels)
        classes = [] if self._by_clusters else self._classes()
        if not self.clusterings:
            pool = np.zeros(len(classes), int)
            write_tasks(auxiliary_tasks(pool, classes, names, config=self.study.auxiliary_tasks), out)
            return
        parts = [self.parent(f"clusters {place}") for place in range(1, 1 + len(self.clusterings))]
        labels = [part.table("clusters")["cluster"].to_numpy() for part in parts]
        made = [self._made_of(place, clusters, classes) for place, clusters in enumerate(labels)]
        if len(parts) == 1 and not self._is_soft:
            write_tasks(made[0], out, self._told(made, labels, parts))
            return
        unlabelled = np.array([name is None for name in classes]) if classes else np.zeros(len(labels[0]), dtype=bool)
        joined = join_tasks(made, labels, unlabelled)
        told = self._told(made, labels, parts)
        if self._is_soft:
            told["memberships"] = sum(len(rows) for task in joined.tasks.values() for rows in task.values())
        write_tasks(joined, out, told)

    def _compute_formats(self, out: ArtifactWriter) -> None:
        """Makes the tasks of every format."""
        auxiliary, rows = self.study.auxiliary_tasks, self.parent("texts").table("texts")
        parts = [_grouping(name, self.parent(f"clusters {place}")) for place, name in enumerate(self.clusterings, 1)]
        others = {name: _grouping(name, self.parent(f"classes of {name}")) for name in self._named_by_formats}
        classes: list[str | None] = []
        if auxiliary.labels:
            classes = row_classes(self.study, self.parent("documents"), self.maybe_parent("labels"))
        made, dropped = format_tasks(rows, classes, parts, config=auxiliary, others=others, seed=self.study.seed)
        out.write_table("tasks", task_table(made))
        out.write_summary({**task_summary(made, dropped, rows, auxiliary), "clusterings": list(self.clusterings)})

    def _classes(self) -> list[str | None]:
        return labelled_classes(self.study, self.parent("texts"), self.maybe_parent("labels"))

    def _made_of(self, place: int, clusters: np.ndarray, classes: list[str | None]) -> AuxiliaryTasks:
        """The tasks of one clustering."""
        auxiliary = self.study.auxiliary_tasks
        names = list(auxiliary.labels)
        try:
            if self._by_clusters:
                return cluster_tasks(clusters, names, auxiliary, seed=self.study.seed)
            members = self._members(place, clusters) if self._is_soft else None
            return auxiliary_tasks(clusters, classes, names, config=auxiliary, members=members)
        except UserError as error:
            if len(self.clusterings) == 1 and not self._is_soft:
                raise
            raise UserError(f"Clustering '{self.clusterings[place]}': {error}") from None

    def _members(self, place: int, clusters: np.ndarray) -> np.ndarray:
        """Which rows belong to which cluster, as softness or probabilities have it."""
        copied = self.maybe_parent(f"copied {place + 1}")
        if copied is None:
            return self._soft_members(place, clusters)
        labels = copied.table("clusters")["cluster"].to_numpy()
        generator = stream(self.study.seed, "soft random groups", self.clusterings[place])
        return shuffled_members(self._soft_members(place, labels), labels, clusters, generator=generator)

    def _soft_members(self, place: int, labels: np.ndarray) -> np.ndarray:
        auxiliary = self.study.auxiliary_tasks
        if auxiliary.min_probability is None:
            vectors = read_vectors_of(self.parent("embeddings"))
            return soft_members(vectors, labels, auxiliary.softness)
        found = self.maybe_parent(f"memberships {place + 1}")
        if found is None:  # known groups and the like
            return own_members(labels)
        probabilities = found.tensors("memberships")["memberships"].numpy()
        return probable_members(probabilities, labels, auxiliary.min_probability)

    def _told(self, made: list[AuxiliaryTasks], labels: list[np.ndarray], parts: Sequence[Artifact]) -> dict[str, Any]:
        """What the summary says besides counts: what tasks are called, and how many were asked for."""
        told: dict[str, Any] = {"clusterings": list(self.clusterings)}
        offsets = task_offsets(made, labels)
        several = len(self.clusterings) > 1
        if self._by_clusters:
            told["asked"] = len(parts) * self.study.auxiliary_tasks.n_tasks
            if several:
                told["names"] = _words(self.clusterings, made, labels, offsets=offsets)
        else:
            told["names"] = _names(self.clusterings, parts, offsets)
        return told

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        used = (summary.get("counts") or {}).get("used")
        chosen = "".join(
            f", {key} cluster {', '.join(map(str, config[key]))}" for key in ("without", "only") if config.get(key)
        )
        rows = f" of {counted(used, 'row')}" if used is not None else ""
        return f"{counted(summary.get('tasks'), 'task')}{rows}{chosen}"

    @classmethod
    def step(cls, listed: Listed) -> Step | None:
        """See `Stage.step`; one pool of all texts is no task that clusters made."""
        if not listed.config.clusterings:
            return None
        made = [summary for entry, summary in listed.summaries("tasks") if entry.get("clustering") != POOL]
        total = sum(int(summary.get("tasks", 0)) for summary in made)
        said = f"{total} auxiliary task{'s' if total != 1 else ''}" if made else ""
        return Step("Tasks", "done" if made else "none", said)


def _grouping(name: str, clusters: Artifact) -> Grouping:
    """A clustering with its clusters' names and keywords."""
    known = {int(cluster["cluster"]): cluster for cluster in clusters.summary["clusters"]}
    return Grouping(
        name,
        clusters.table("clusters")["cluster"].to_numpy(),
        {number: str(cluster["name"]) for number, cluster in known.items()},
        {number: list(cluster.get("keywords", [])) for number, cluster in known.items()},
    )


def task_names(tasks: Artifact) -> dict[int, str]:
    """What auxiliary tasks are called, by number: as their clusters; empty for a pool."""
    return {int(task): str(name) for task, name in tasks.summary.get("names", {}).items()}


def write_tasks(made: AuxiliaryTasks, out: ArtifactWriter, more: Mapping[str, Any] | None = None) -> None:
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


def _words(
    names: Sequence[str], made: list[AuxiliaryTasks], labels: list[np.ndarray], *, offsets: list[int]
) -> dict[str, str]:
    """Clusters as classes: which cluster each word of a task stands for."""
    return {
        str(offset + task): f"{name}: "
        + ", ".join(f"{word}: cluster {clusters[rows[0]]}" for word, rows in by_word.items())
        for name, tasks, clusters, offset in zip(names, made, labels, offsets, strict=True)
        for task, by_word in tasks.tasks.items()
    }


def _names(names: Sequence[str], parts: Sequence[Artifact], offsets: list[int]) -> dict[str, str]:
    """What each task is called: its cluster's name; after its clustering's if there are several."""
    several = len(parts) > 1
    return {
        str(offset + int(cluster["cluster"])): f"{name} {cluster['name']}" if several else str(cluster["name"])
        for name, part, offset in zip(names, parts, offsets, strict=True)
        for cluster in part.summary["clusters"]
    }


def _no_matter(each: TaskFormat) -> set[str]:
    """Settings that do not enter the id of tasks: clusters as options are the same tasks, read in another way."""
    return {"texts", "unified"} if isinstance(each, ClusterClassesFormat) else {"texts"}
