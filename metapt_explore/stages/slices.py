"""Where scored rows lie among the pre-training texts: nearest cluster of each clustering, nearest text; on request."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metapt_explore.config import OnePool, RandomGroups, TaskConfig
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.clusters import Clusters
from metapt_explore.stages.embeddings import Embeddings
from metapt_explore.stages.split import Split
from metapt_explore.stages.texts import counted
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.storage.vectors import read_vectors_of
from metapt_explore.texts.rows import texts_of

#: Scored rows that are held against all pre-training texts at once.
ROWS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Slices(Stage):
    """Scored rows of a task, embedded by the study's encoder and held against texts and clusters.

    Only for looking at errors: nothing is trained on them, and no score depends on it.

    Attributes:
        task: The task.
    """

    kind = "slices"
    needs = "encoder"
    part = "request"
    least_work = 2_000.0

    task: TaskConfig

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Slices]:
        """Of every task.

        Raises:
            UserError: Where the study groups no texts.
        """
        if not pipeline.config.clusterings:
            raise UserError(
                "This study has no clustering, so its rows have no nearest cluster. Add one under `clusterings`; "
                "slices by class, length and group need none."
            )
        for task in pipeline.tasks.values():
            yield cls(pipeline, task)

    @classmethod
    def requested(cls, pipeline: Pipeline, task: str) -> Slices:
        """Of a task, by its name."""
        list(cls.asked(pipeline, ()))
        return cls(pipeline, pipeline.task(task))

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"slices/{self.task.name}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"slices of {self.task.name}"

    def subject(self) -> Subject:
        """The task."""
        return {"task": self.task.name}

    @property
    def clusterings(self) -> list[str]:
        """Clusterings whose clusters lie somewhere: all but controls that ignore what texts say."""
        return [c.name for c in self.study.clusterings if not isinstance(c, OnePool | RandomGroups)]

    @property
    def embeddings(self) -> Embeddings:
        """The encoder's vectors of the texts, whatever clusters were made from: it can embed rows as well."""
        return Embeddings(self.pipeline, by_encoder=True)

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The task's rows, the texts' embeddings, and the clusterings."""
        clusters = {f"clusters {name}": Clusters(self.pipeline, name) for name in self.clusterings}
        return {"split": Split(self.pipeline, self.task), "embeddings": self.embeddings, **clusters}

    def config(self) -> dict[str, Any]:
        """Which rows, and how they are embedded: as the texts were."""
        return {"scored_on": self.study.evaluation.scored_on, **self.embeddings.config()}

    def inputs(self) -> dict[str, Any]:
        """The encoder's files, and where it runs."""
        return self.embeddings.inputs()

    def compute(self, out: ArtifactWriter) -> None:
        """Embeds the rows; looks for the nearest text and, in each clustering, the nearest centroid."""
        from metapt_explore.clusters.embed import embed

        rows = self.parent("split").table("rows")
        scored = rows[rows["split"] == ("test" if self.study.evaluation.scored_on == "test" else "dev")]
        vectors = embed(
            texts_of(scored), self.study.encoder, self.pipeline.model.device, on_rows=lambda _: self.advance(0)
        )
        texts = unit(np.asarray(read_vectors_of(self.parent("embeddings")), dtype=np.float32))
        own = unit(vectors)
        found: dict[str, Any] = {"row": scored.index.to_numpy(), "similarity": nearest_similarity(own, texts)}
        for name in self.clusterings:
            clusters = self.parent(f"clusters {name}")
            names = _names(clusters.summary["clusters"])
            place = nearest_centroid(own, texts, clusters.table("clusters")["cluster"].to_numpy())
            found[f"cluster:{name}"] = [names.get(int(cluster), str(cluster)) for cluster in place]
        out.write_table("slices", pd.DataFrame(found))
        out.write_summary({"rows": len(scored), "clusterings": self.clusterings})

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        return counted(summary.get("rows"), "row")


def _names(clusters: list[dict[str, Any]]) -> dict[int, str]:
    """What clusters are called, each differently."""
    names = {int(cluster["cluster"]): str(cluster["name"]) for cluster in clusters}
    twice = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {cluster: f"{name} ({cluster})" if name in twice else name for cluster, name in names.items()}


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of length one; those of length 0 stay. fp32, as corpora are large."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return scaled


def nearest_similarity(rows: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine similarity of each row with the text that is most like it.

    Args:
        rows: ``[rows, width]``, of length one.
        texts: ``[texts, width]``, of length one.
    """
    parts = [(rows[at : at + ROWS_AT_ONCE] @ texts.T).max(axis=1) for at in range(0, len(rows), ROWS_AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def nearest_centroid(
    rows: NDArray[np.float32], texts: NDArray[np.float32], clusters: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The cluster whose centroid has the largest cosine similarity with each row.

    Args:
        rows: ``[rows, width]``, of length one.
        texts: ``[texts, width]``, of length one.
        clusters: Cluster of each text; −1 is none.

    Example:
        >>> texts = np.eye(2, dtype=np.float32)
        >>> nearest_centroid(unit(np.array([[3, 1]], dtype=np.float32)), texts, np.array([0, 1])).tolist()
        [0]
    """
    known = np.unique(clusters[clusters >= 0])
    centroids = unit(np.stack([texts[clusters == cluster].mean(axis=0) for cluster in known]))
    nearest: NDArray[np.int64] = known[(rows @ centroids.T).argmax(axis=1)]
    return nearest
