"""One grouping of the texts, with its map, keywords and quality."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from metapt_explore.clusters.fit_words import fit_facts, format_fit
from metapt_explore.config import ClusteringConfig, RandomGroups
from metapt_explore.cost.clusterings import clustering_cost, rough_seconds
from metapt_explore.cost.count import Reckoning
from metapt_explore.cost.own_cost import OwnCost
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.embeddings import Embeddings
from metapt_explore.stages.labels import row_classes
from metapt_explore.stages.steps import Listed, Step
from metapt_explore.stages.texts import Texts, counted
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.shards import StoredVectors, Vectors
from metapt_explore.storage.studies import Subject
from metapt_explore.storage.vectors import read_vectors_of, vector_files
from metapt_explore.texts.rows import texts_of

if TYPE_CHECKING:
    from metapt_explore.clusters.make import ClusterJob

#: Seconds from which another process makes a clustering; starting one takes two or three.
LONG_S = 15.0
#: Seconds of a clustering of few texts.
SMALL_S = 0.1


def takes_long(seconds: float) -> bool:
    """Whether another process does it: a fit cannot be stopped, a process can."""
    return seconds > LONG_S


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

    @property
    def texts(self) -> int:
        """Texts that are grouped; parents are finished."""
        return int(self.parent("texts").summary["kept"])

    @property
    def is_long(self) -> bool:
        """Whether it takes so long that another process does it: a fit cannot be stopped, a process can."""
        return takes_long(rough_seconds(self.clustering, self.texts))

    @property
    def units(self) -> int:
        """Percent, where it takes long."""
        return 100 if self.is_long else 1

    def compute(self, out: ArtifactWriter) -> None:
        """Groups the texts, draws their map and measures the groups.

        What takes long is done by another process, which is killed where the run is stopped: nothing of an unfinished
        fit is kept, the next run begins this clustering again from the vectors.
        """
        from metapt_explore.clusters.make import make_clusters
        from metapt_explore.clusters.other_process import make_in_other_process

        if fit := fit_facts(self.clustering, self.texts):
            self.pipeline.progress.notice(f"Clustering '{self.name}': {format_fit(fit)}")
        if self.is_long:
            files = vector_files(self.parent("embeddings"))
            seconds = rough_seconds(self.clustering, self.texts)
            folder = out.folder / "checkpoint" / "clustering"
            table, summary = make_in_other_process(
                self._job(StoredVectors([])), files, folder, seconds=seconds, on_share=self._advance
            )
        else:
            table, summary = make_clusters(self._job(read_vectors_of(self.parent("embeddings"))))
        out.write_table("clusters", table)
        out.write_summary(summary)

    def own_cost(self, reckoning: Reckoning) -> OwnCost:
        """See `Stage.own_cost`; `metapt plan` measures what takes long."""
        cost = clustering_cost(self.clustering, reckoning.text_rows)
        return OwnCost(SMALL_S + cost.seconds, cost.mib)

    def _advance(self, share: float) -> None:
        self.advance(int(100 * share))

    def _job(self, vectors: Vectors) -> ClusterJob:
        from metapt_explore.clusters.make import ClusterJob

        texts, like = self.parent("texts"), self.maybe_parent("like")
        rows = texts.table("texts")
        given = {c["cluster"]: c["given_name"] for c in like.summary["clusters"] if c.get("given_name")} if like else {}
        return ClusterJob(
            vectors,
            self.clustering,
            self.study.seed,
            texts=texts_of(rows),
            groups=[group if isinstance(group, str) else None for group in rows["group"]],
            classes=row_classes(self.study, texts, None) if self.counts_labels else None,
            like=like.table("clusters")["cluster"].to_numpy() if like is not None else None,
            names=given,
        )

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        moved = summary.get("moved")
        outliers = f", {moved['moved']:,} of {counted(moved['outliers'], 'outlier')} moved" if moved else ""
        fit = summary.get("fit") or {}
        fitted = f", fitted on {fit['rows']:,} of {counted(fit['of'], 'text')}" if fit.get("by") == "sample" else ""
        return f"{config.get('algorithm')}, {counted(len(summary.get('clusters', [])), 'cluster')}{fitted}{outliers}"

    @classmethod
    def step(cls, listed: Listed) -> Step | None:
        """See `Stage.step`; a study that groups no texts has none."""
        asked = len(listed.config.clusterings)
        return listed.counted("Clusters", "clusters", asked=asked, noun="clustering") if asked else None
