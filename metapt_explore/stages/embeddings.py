"""Sentence embeddings of the pre-training texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from metapt_explore import hub
from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.texts import Texts, counted
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.texts.rows import texts_of


@dataclass(frozen=True, eq=False)
class Embeddings(Stage):
    """Sentence embeddings of the texts."""

    kind = "embeddings"
    needs = "encoder"
    part = "clusters"
    key = "embeddings"
    title = "embeddings"

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Embeddings]:
        """For clusterings, and for a classifier that finds labels."""
        study = pipeline.config
        by_classifier = study.pretrains and study.labelling is not None and study.labelling.by == "classifier"
        if study.clusterings or by_classifier:
            yield cls(pipeline)

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The texts."""
        return {"texts": Texts(self.pipeline)}

    def config(self) -> dict[str, Any]:
        """How texts are embedded."""
        from metapt_explore.models.folder import model_folder
        from metapt_explore.models.pooling import read_pooling

        encoder = self.study.encoder
        pooling = read_pooling(model_folder(encoder.name, encoder.revision, hub.ENCODER), encoder.name)
        tokens = pooling.tokens(encoder.max_tokens)
        return {"max_tokens": tokens, "batch_size": encoder.batch_size, **pooling.unusual}

    def inputs(self) -> dict[str, Any]:
        """The encoder's files, and where it runs."""
        from metapt_explore.models.folder import content_hash, model_folder

        encoder = self.study.encoder
        folder = model_folder(encoder.name, encoder.revision, hub.ENCODER)
        return {"encoder": content_hash(folder), "device": self.pipeline.model.device.split(":")[0]}

    @property
    def units(self) -> int:
        """Texts."""
        return int(self.parent("texts").summary["kept"])

    def compute(self, out: ArtifactWriter) -> None:
        """Embeds the texts."""
        import torch

        from metapt_explore.clusters.embed import embed

        texts = texts_of(self.parent("texts").table("texts"))
        vectors = embed(texts, self.study.encoder, self.pipeline.model.device, on_rows=self.advance, record=out)
        out.write_tensors("embeddings", {"embeddings": torch.from_numpy(vectors)})
        out.write_summary({"rows": len(vectors), "width": int(vectors.shape[1])})

    def work(self, reckoning: Reckoning) -> Work:
        """See `Stage.work`."""
        return Work(embedded=round(reckoning.text_rows * reckoning.text_tokens))

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        return counted(summary.get("rows"), "vector")
