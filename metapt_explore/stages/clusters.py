"""One grouping of the texts, with its map, keywords and quality."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.config import ClusteringConfig, RandomGroups
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.embeddings import Embeddings
from metapt_explore.stages.labels import row_classes
from metapt_explore.stages.steps import Listed, Step
from metapt_explore.stages.texts import Texts, counted
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.texts.rows import texts_of


@dataclass(frozen=True, eq=False)
class Clusters(Stage):
    """A clustering.

    Attributes:
        name: Its name in the study.
    """

    kind = "clusters"
    part = "clusters"
    least_work = 2_000.0

    name: str

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Clusters]:
        """Each clustering of the study."""
        for clustering in pipeline.config.clusterings:
            yield cls(pipeline, clustering.name)

    @property
    def clustering(self) -> ClusteringConfig:
        """Its settings."""
        return self.study.clustering(self.name)

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"clusters/{self.name}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"clusters '{self.name}'"

    def subject(self) -> Subject:
        """The clustering."""
        return {"clustering": self.name}

    @property
    def like(self) -> Clusters | None:
        """The clustering that this one edits, or whose sizes it copies."""
        like = self.clustering.source
        return None if like is None else Clusters(self.pipeline, like)

    @property
    def copied(self) -> Clusters | None:
        """Random groups: the clustering whose sizes they copy, in the end."""
        like = self.like if isinstance(self.clustering, RandomGroups) else None
        return None if like is None else like.copied or like

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """Texts, their embeddings, and the clustering that this one is made from."""
        like = self.like
        parents: dict[str, Stage | Artifact] = {"texts": Texts(self.pipeline), "embeddings": Embeddings(self.pipeline)}
        return parents if like is None else {**parents, "like": like}

    @property
    def counts_labels(self) -> bool:
        """Whether the data's own labels are counted; labels that are still to be found have no part in a grouping."""
        return self.study.labelling is None

    def config(self) -> dict[str, Any]:
        """Settings of the clustering."""
        labels = {label.value: name for name, label in self.study.auxiliary_tasks.labels.items()}
        return {
            **self.clustering.model_dump(mode="json", exclude={"name", "like", "seed"}),
            "clustering_seed": self.clustering.own_seed,
            "seed": self.study.seed,
            "labels": labels if self.counts_labels else None,
            # The random stream of random groups carries their name: a study may hold several random controls.
            "name": self.name if isinstance(self.clustering, RandomGroups) else None,
        }

    def compute(self, out: ArtifactWriter) -> None:
        """Groups the texts, draws their map and measures the groups."""
        from metapt_explore.clusters.algorithms import cluster
        from metapt_explore.clusters.describe import describe
        from metapt_explore.clusters.outliers import count_moved
        from metapt_explore.clusters.quality import agreement, cluster_quality
        from metapt_explore.clusters.reduce import project, reduce_embeddings

        study, clustering = self.study, self.clustering
        texts, like = self.parent("texts"), self.maybe_parent("like")
        rows = texts.table("texts")
        vectors = self.parent("embeddings").tensors("embeddings")["embeddings"].numpy()
        groups = [group if isinstance(group, str) else None for group in rows["group"]]
        like_labels = like.table("clusters")["cluster"].to_numpy() if like is not None else None
        given = {c["cluster"]: c["given_name"] for c in like.summary["clusters"] if c.get("given_name")} if like else {}
        grouping = cluster(
            vectors, clustering, study.seed, groups=groups, like=like_labels, texts=texts_of(rows), like_names=given
        )
        reduced = reduce_embeddings(vectors, clustering.dimensions)
        position = project(vectors)
        classes = row_classes(study, texts, None) if self.counts_labels else None
        clusters = describe(
            grouping.labels, grouping.membership, texts_of(rows), given_names=grouping.names, classes=classes
        )
        out.write_table(
            "clusters",
            pd.DataFrame(
                {
                    "row": np.arange(len(rows)),
                    "cluster": grouping.labels,
                    "membership": grouping.membership,
                    "x": position[:, 0],
                    "y": position[:, 1],
                    **({} if grouping.moved is None else {"moved": grouping.moved}),
                }
            ),
        )
        moved = count_moved(clustering.model_dump(), grouping.labels, grouping.moved)
        out.write_summary(
            {
                "clusters": clusters,
                "outliers": int((grouping.labels == -1).sum()),
                **({"moved": moved} if moved else {}),
                "quality": cluster_quality(reduced, grouping.labels, study.seed),
                "agreement": agreement(grouping.labels, groups),
            }
        )

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        moved = summary.get("moved")
        outliers = f", {moved['moved']:,} of {counted(moved['outliers'], 'outlier')} moved" if moved else ""
        return f"{config.get('algorithm')}, {counted(len(summary.get('clusters', [])), 'cluster')}{outliers}"

    @classmethod
    def step(cls, listed: Listed) -> Step | None:
        """See `Stage.step`; a study that groups no texts has none."""
        asked = len(listed.config.clusterings)
        return listed.counted("Clusters", "clusters", asked=asked, noun="clustering") if asked else None
