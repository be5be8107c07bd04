"""How far a clustering comes back with other seeds and on parts of the texts; on request, as it clusters many times."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from metapt_explore.config import EditedClustering
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.clusters import Clusters
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.storage.vectors import read_vectors_of
from metapt_explore.texts.rows import texts_of


@dataclass(frozen=True, eq=False)
class Stability(Stage):
    """A clustering with other seeds, and on sub-samples of the texts (see `clusters/stability.py`).

    Refits are made as the clustering was: on samples as large as its own, or in mini-batches (`clusters/refits.py`).

    Attributes:
        name: The clustering.
        runs: Other seeds, and sub-samples: twice as many clusterings, or as many where nothing is drawn.

    Raises:
        UserError: Where there are fewer than two runs, or the clustering is an edit of another one.
    """

    kind = "stability"
    part = "request"

    name: str
    runs: int = 5

    def __post_init__(self) -> None:
        if self.runs < 2:
            raise UserError(f"stability of '{self.name}': runs is {self.runs}; two runs or more can be compared.")
        if isinstance(self.study.clustering(self.name), EditedClustering):
            raise UserError(f"stability of '{self.name}': edits name clusters of one clustering; look at that one's.")

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Stability]:
        """Of each clustering but edited ones."""
        for clustering in pipeline.config.clusterings:
            if not isinstance(clustering, EditedClustering):
                yield cls(pipeline, clustering.name)

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"stability/{self.name}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"stability of clusters '{self.name}'"

    def subject(self) -> Subject:
        """The clustering."""
        return {"clustering": self.name}

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The clustering, which holds every setting, and what it is made from."""
        clusters = Clusters(self.pipeline, self.name)
        return {**clusters.parents, "clusters": clusters}

    def config(self) -> dict[str, Any]:
        """How often."""
        return {"runs": self.runs, "seed": self.study.seed}

    @property
    def units(self) -> int:
        """Clusterings, at most."""
        return 2 * self.runs

    def compute(self, out: ArtifactWriter) -> None:
        """Clusters again and compares."""
        from metapt_explore.clusters.algorithms import cluster
        from metapt_explore.clusters.refits import refit_config, refit_facts
        from metapt_explore.clusters.stability import stability

        rows, like = self.parent("texts").table("texts"), self.maybe_parent("like")
        vectors = read_vectors_of(self.parent("embeddings"))
        groups = [group if isinstance(group, str) else None for group in rows["group"]]
        written = texts_of(rows)
        asked = self.study.clustering(self.name)
        refits, clustering = refit_facts(asked, len(rows)), refit_config(asked, len(rows))
        everything = len(rows)
        like_labels = like.table("clusters")["cluster"].to_numpy() if like is not None else None
        done = 0

        def rerun(chosen: np.ndarray, seed: int) -> np.ndarray:
            nonlocal done
            self.advance(done)
            done += 1
            made = cluster(
                vectors if len(chosen) == everything else vectors[chosen],
                clustering.model_copy(update={"seed": seed}) if clustering.seeded else clustering,
                seed if refits.get("by") == "sample" else self.study.seed,
                groups=[groups[row] for row in chosen.tolist()],
                like=None if like_labels is None else like_labels[chosen],
                texts=[written[row] for row in chosen.tolist()],
            )
            return made.labels

        labels = self.parent("clusters").table("clusters")["cluster"].to_numpy()
        seeded = clustering.seeded or refits.get("by") == "sample"
        found = stability(labels, rerun, runs=self.runs, seed=self.study.seed, seeded=seeded, refits=refits)
        out.write_summary(found)
