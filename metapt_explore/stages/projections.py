"""Maps of the texts beside the principal components, which every clustering has: t-SNE and UMAP; on request."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.clusters.projections import DIMENSIONS, PROJECTIONS, require
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.embeddings import Embeddings
from metapt_explore.stages.texts import counted
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.vectors import read_vectors_of


class ProjectionStage(Stage):
    """Where each text lies on a map; one for all clusterings of a study, since they share the embeddings."""

    part = "request"

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Stage]:
        """The map of the study's texts.

        Raises:
            UserError: Where the study embeds no texts, or a package is missing.
        """
        if not pipeline.config.clusterings:
            raise UserError("This study has no clustering, so its texts have no map. Add one under `clusterings`.")
        require(cls.kind)
        yield cls(pipeline)

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return self.kind

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"{PROJECTIONS[self.kind].title} map"

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The embeddings."""
        return {"embeddings": Embeddings(self.pipeline)}

    def config(self) -> dict[str, Any]:
        """Its seed and the dimensions that it reads."""
        return {"dimensions": DIMENSIONS, "seed": self.study.seed}

    def compute(self, out: ArtifactWriter) -> None:
        """Places the texts."""
        vectors = read_vectors_of(self.parent("embeddings"))
        placed = PROJECTIONS[self.kind].place(vectors, self.study.seed)
        out.write_table(
            "positions", pd.DataFrame({"row": np.arange(len(placed)), "x": placed[:, 0], "y": placed[:, 1]})
        )
        out.write_summary({"rows": len(placed)})

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        return counted(summary.get("rows"), "text")


@dataclass(frozen=True, eq=False)
class TSNE(ProjectionStage):
    """The t-SNE map."""

    kind = "tsne"


@dataclass(frozen=True, eq=False)
class UMAP(ProjectionStage):
    """The UMAP map."""

    kind = "umap"
