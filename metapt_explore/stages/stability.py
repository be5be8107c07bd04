"""How far a clustering comes back with other seeds and on parts of the texts; on request, as it clusters many times."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metapt_explore.config import EditedClustering
from metapt_explore.cost.clusterings import rough_seconds
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.clusters import Clusters, takes_long
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.shards import StoredVectors
from metapt_explore.storage.studies import Subject
from metapt_explore.storage.vectors import read_vectors_of, vector_files
from metapt_explore.texts.rows import texts_of

if TYPE_CHECKING:
    from metapt_explore.clusters.stability import Rerun


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
        from metapt_explore.clusters.refits import refit_facts
        from metapt_explore.clusters.stability import stability

        asked = self.study.clustering(self.name)
        labels = self.parent("clusters").table("clusters")["cluster"].to_numpy()
        refits = refit_facts(asked, len(labels))
        seeded = asked.seeded or refits.get("by") == "sample"
        again = self._again(out.folder / "checkpoint" / "clustering")
        found = stability(labels, again, runs=self.runs, seed=self.study.seed, seeded=seeded, refits=refits)
        out.write_summary(found)

    def _again(self, folder: Path) -> Rerun:
        """What clusters some rows again; where that takes long, in another process, which a stop kills."""
        from metapt_explore.clusters.algorithms import group_rows
        from metapt_explore.clusters.make import ClusterJob, inputs_of
        from metapt_explore.clusters.other_process import group_in_other_process
        from metapt_explore.clusters.refits import refit_config

        rows, like = self.parent("texts").table("texts"), self.maybe_parent("like")
        stored, files = read_vectors_of(self.parent("embeddings")), vector_files(self.parent("embeddings"))
        groups = [group if isinstance(group, str) else None for group in rows["group"]]
        texts = texts_of(rows)
        like_labels = like.table("clusters")["cluster"].to_numpy() if like is not None else None
        config = refit_config(self.study.clustering(self.name), len(rows))
        if config.seeded:  # the seed of each refit takes its place
            config = config.model_copy(update={"seed": None})
        done = 0

        def rerun(chosen: np.ndarray, seed: int) -> np.ndarray:
            nonlocal done
            before, done = done, done + 1
            self.advance(before)
            seconds = rough_seconds(config, len(chosen))
            elsewhere, whole = takes_long(seconds), len(chosen) == len(rows)
            job = ClusterJob(
                StoredVectors([]) if elsewhere else stored if whole else stored[chosen],
                config,
                seed if config.seeded or config.fitted_rows(len(chosen)) < len(chosen) else self.study.seed,
                texts=[texts[row] for row in chosen.tolist()],
                groups=[groups[row] for row in chosen.tolist()],
                like=None if like_labels is None else like_labels[chosen],
            )
            if elsewhere:
                return group_in_other_process(
                    job, files, folder, chosen=chosen, seconds=seconds, on_share=lambda share: self.advance(before)
                )
            return group_rows(inputs_of(job)).labels

        return rerun
