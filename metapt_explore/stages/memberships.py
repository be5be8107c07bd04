"""How probable each cluster is for each text; on request, or where auxiliary tasks are drawn by it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from metapt_explore.config import RandomGroups
from metapt_explore.cost.clusterings import rough_seconds
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.clusters import Clusters
from metapt_explore.stages.texts import counted
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.shards import StoredVectors
from metapt_explore.storage.studies import Subject
from metapt_explore.storage.vectors import read_vectors_of, vector_files
from metapt_explore.texts.rows import texts_of


@dataclass(frozen=True, eq=False)
class Memberships(Stage):
    """Membership probabilities of a clustering (see `clusters/memberships.py`).

    The matrix ``memberships`` is ``[rows, clusters]`` in half precision; the table holds the two most probable clusters
    of each text.

    Attributes:
        name: The clustering.

    Raises:
        UserError: Where the clustering has no probabilities.
    """

    kind = "memberships"
    part = "request"

    name: str

    def __post_init__(self) -> None:
        clustering = self.study.clustering(self.name)
        if not clustering.probabilities:
            of = f"; ask for those of '{clustering.like}'" if isinstance(clustering, RandomGroups) else ""
            raise UserError(
                f"Clustering '{self.name}': {clustering.algorithm} has no membership probabilities: a text is in its "
                f"group or it is not{of}."
            )

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Memberships]:
        """Of each clustering that has them."""
        for clustering in pipeline.config.clusterings:
            if clustering.probabilities:
                yield cls(pipeline, clustering.name)

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"memberships/{self.name}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"memberships of clusters '{self.name}'"

    def subject(self) -> Subject:
        """The clustering."""
        return {"clustering": self.name}

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The clustering, which holds every setting, and what it is made from."""
        clusters = Clusters(self.pipeline, self.name)
        return {**clusters.parents, "clusters": clusters}

    def config(self) -> dict[str, Any]:
        """Nothing but the clustering matters."""
        return {}

    @property
    def units(self) -> int:
        """Percent of the texts."""
        return 100

    def compute(self, out: ArtifactWriter) -> None:
        """Finds the probabilities, of k-means and the like from the clusters, of others by clustering again."""
        import torch

        from metapt_explore.clusters.make import ClusterJob, inputs_of
        from metapt_explore.clusters.memberships import meaning, membership_summary, soft_clusters
        from metapt_explore.clusters.other_process import soften_in_other_process

        self.advance(0)
        clustering, clusters = self.study.clustering(self.name), Clusters(self.pipeline, self.name)
        labels = self.parent("clusters").table("clusters")["cluster"].to_numpy()
        texts = texts_of(self.parent("texts").table("texts"))
        groups: list[str | None] = [None] * len(texts)
        job = ClusterJob(StoredVectors([]), clustering, self.study.seed, texts=texts, groups=groups, like=labels)
        if clusters.is_long:
            found = soften_in_other_process(
                job,
                vector_files(self.parent("embeddings")),
                out.folder / "checkpoint" / "memberships",
                seconds=rough_seconds(clustering, len(texts)),
                on_share=lambda share: self.advance(int(100 * share)),
            )
        else:
            job = replace(job, vectors=read_vectors_of(self.parent("embeddings")), like=None)
            found = soft_clusters(inputs_of(job), labels, lambda rows: self.advance(int(100 * rows / len(labels))))
        out.write_tensors("memberships", {"memberships": torch.from_numpy(found.matrix)})
        out.write_table("memberships", found.table)
        summary = membership_summary(found.table)
        out.write_summary({"is": meaning(clustering), "clusters": found.matrix.shape[1], **summary})

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        return (
            f"probabilities of {counted(summary.get('clusters'), 'cluster')} for {counted(summary.get('rows'), 'text')}"
        )
