"""A vector for each pre-training text: of an encoder, a static table, the words, the language model, or one's own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from metapt_explore import hub
from metapt_explore.config import limits
from metapt_explore.config.embeddings import (
    EmbeddingsConfig,
    EncoderEmbeddings,
    FileEmbeddings,
    ModelStatesEmbeddings,
    StaticEmbeddings,
    TfidfEmbeddings,
)
from metapt_explore.cost.clusterings import TEXT_BYTES, WIDTH
from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.cost.own_cost import BASE_MIB, QUICK_S, OwnCost
from metapt_explore.stages.base import Needs, Pipeline, Stage
from metapt_explore.stages.texts import Texts, counted
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.shards import Shard, shard_name, shard_rows, whole_shard, write_shard
from metapt_explore.texts.rows import as_inputs, texts_of

#: Seconds of a text's vector by its words, and of one that is read.
WORDS_S, OWN_S = 2e-4, 2e-5


@dataclass(frozen=True, eq=False)
class Embeddings(Stage):
    """Vectors of the texts.

    Attributes:
        by_encoder: Whether they are the sentence encoder's, whatever clusters are made from: a classifier that finds
            labels embeds rows of its own by it.
    """

    kind = "embeddings"
    needs = "encoder"
    part = "clusters"

    by_encoder: bool = False

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Embeddings]:
        """For clusterings, and for a classifier that finds labels."""
        study = pipeline.config
        by_classifier = study.pretrains and study.labelling is not None and study.labelling.by == "classifier"
        if study.clusterings:
            yield cls(pipeline)
        if by_classifier and not (study.clusterings and study.embeddings.runs == "encoder"):
            yield cls(pipeline, by_encoder=True)

    @property
    def settings(self) -> EmbeddingsConfig:
        """What they are made from."""
        return EncoderEmbeddings(kind="encoder") if self.by_encoder else self.study.embeddings

    @property
    def _is_apart(self) -> bool:
        """Whether they stand beside other vectors of the study."""
        return self.by_encoder and self.study.embeddings.runs != "encoder"

    @property
    def listed_as(self) -> str:
        """See `Stage.listed_as`."""
        return "embeddings of the encoder" if self._is_apart else self.kind

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return "embeddings/encoder" if self._is_apart else "embeddings"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return "embeddings of the sentence encoder" if self._is_apart else "embeddings"

    @property
    def uses(self) -> Needs:
        """See `Stage.uses`."""
        return self.settings.runs

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The texts."""
        return {"texts": Texts(self.pipeline)}

    def config(self) -> dict[str, Any]:
        """How texts become vectors."""
        settings = self.settings
        if isinstance(settings, EncoderEmbeddings):
            from metapt_explore.models.folder import model_folder
            from metapt_explore.models.pooling import read_pooling

            encoder = self.study.encoder
            pooling = read_pooling(model_folder(encoder.name, encoder.revision, hub.ENCODER), encoder.name)
            tokens = pooling.tokens(encoder.max_tokens)
            return {"max_tokens": tokens, "batch_size": encoder.batch_size, **pooling.unusual}
        drawn = {"seed": self.study.seed} if isinstance(settings, TfidfEmbeddings) else {}
        return {**settings.model_dump(mode="json", exclude={"file", "model"}), **drawn}

    def inputs(self) -> dict[str, Any]:
        """The content of the encoder's files, of the language model's, or of the user's own."""
        from metapt_explore.models.folder import content_hash, model_folder

        settings = self.settings
        if isinstance(settings, FileEmbeddings):
            from metapt_explore.clusters.own_vectors import vectors_fingerprint

            return {"vectors": vectors_fingerprint(settings)}
        if isinstance(settings, StaticEmbeddings):
            return {"static_model": content_hash(model_folder(settings.model, kind=hub.STATIC))}
        if not isinstance(settings, EncoderEmbeddings):
            return super().inputs()
        encoder = self.study.encoder
        folder = model_folder(encoder.name, encoder.revision, hub.ENCODER)
        return {"encoder": content_hash(folder), "device": self.pipeline.model.device.split(":")[0]}

    @property
    def units(self) -> int:
        """Texts."""
        return int(self.parent("texts").summary["kept"])

    def compute(self, out: ArtifactWriter) -> None:
        """Makes the vectors: one array in float32, or for more than 200,000 texts shards in half precision."""
        import torch

        if self.units > limits.MANY_TEXTS:
            self._in_shards(out)
            return
        vectors = self._vectors(out)
        out.write_tensors("embeddings", {"embeddings": torch.from_numpy(vectors)})
        out.write_summary({"rows": len(vectors), "width": int(vectors.shape[1])})

    def _in_shards(self, out: ArtifactWriter) -> None:
        """Writes shard after shard; one that an earlier attempt has finished stays as it is."""
        rows, dtypes = self.units, set()
        part: Callable[[range], np.ndarray] | None = None
        for number, chosen in enumerate(shard_rows(rows)):
            file = out.folder / shard_name("embeddings", number)
            if not whole_shard(file, len(chosen)):
                # Made when it is needed: an attempt that only lacks the end loads no model twice.
                part = part or self._parts(out)
                write_shard(file, part(chosen))
            # States of the model are told while they are computed; writing them once more takes seconds.
            self.advance(rows if isinstance(self.settings, ModelStatesEmbeddings) else chosen.stop)
            dtypes.add(str(Shard(file).mapped().dtype))
        width = Shard(file).shape[1]
        out.write_summary({"rows": rows, "width": width, "shards": number + 1, "dtype": sorted(dtypes)})

    def _parts(self, out: ArtifactWriter) -> Callable[[range], np.ndarray]:
        """What makes the vectors of some rows: texts are tokenised and a file of vectors is read part by part."""
        settings, texts = self.settings, self.parent("texts")
        if isinstance(settings, FileEmbeddings):
            from metapt_explore.clusters.own_vectors import keys_of, read_vectors

            rows = texts.table("texts")
            numbers = rows["source_row"].astype(int).tolist()
            keys = keys_of(settings, self.study.texts, numbers, as_inputs(rows) if settings.text is not None else [])
            own = read_vectors(settings)
            places = own.places_of(numbers, keys, int(texts.summary["report"]["rows"]))
            return lambda chosen: own.at(places[chosen.start : chosen.stop])
        if isinstance(settings, EncoderEmbeddings):
            from metapt_explore.clusters.embed import load_encoder

            written = texts_of(texts.table("texts"))
            encoder = load_encoder(self.study.encoder, self.pipeline.model.device)
            return lambda chosen: encoder.embed(
                written[chosen.start : chosen.stop], on_rows=lambda done: self.advance(chosen.start + done)
            )
        if isinstance(settings, StaticEmbeddings):
            from metapt_explore.baselines.static_embeddings import static_encoder

            static, lines = static_encoder(settings.model), texts_of(texts.table("texts"))
            return lambda chosen: static(lines[chosen.start : chosen.stop])
        if isinstance(settings, TfidfEmbeddings):
            from metapt_explore.clusters.word_vectors_many import fit_word_space

            written = texts_of(texts.table("texts"))
            space = fit_word_space(
                written, settings.dimensions, seed=self.study.seed, record=out, on_part=lambda: self.advance(0)
            )
            return lambda chosen: space.vectors(written[chosen.start : chosen.stop])
        if isinstance(settings, ModelStatesEmbeddings):
            from metapt_explore.clusters.model_vectors_many import states_in_shards

            inputs, folder = as_inputs(texts.table("texts")), out.folder / "checkpoint" / "states"
            return states_in_shards(self.backbone, inputs, settings.layer, folder, self.advance)
        raise TypeError(f"vectors of kind {type(settings).__name__} have no parts")

    def _vectors(self, out: ArtifactWriter) -> np.ndarray:
        settings, texts = self.settings, self.parent("texts")
        rows = texts.table("texts")
        if isinstance(settings, TfidfEmbeddings):
            from metapt_explore.clusters.word_vectors import word_vectors

            return word_vectors(texts_of(rows), settings.dimensions, seed=self.study.seed).astype(np.float32)
        if isinstance(settings, StaticEmbeddings):
            from metapt_explore.baselines.static_embeddings import static_encoder

            return static_encoder(settings.model)(texts_of(rows))
        if isinstance(settings, ModelStatesEmbeddings):
            from metapt_explore.clusters.model_vectors import model_vectors

            inputs = as_inputs(rows)
            return model_vectors(self.backbone(), inputs, settings.layer, on_rows=self.advance, record=out)
        if isinstance(settings, FileEmbeddings):
            from metapt_explore.clusters.own_vectors import keys_of, read_vectors

            numbers = [int(row) for row in rows["source_row"]]
            keys = keys_of(settings, self.study.texts, numbers, as_inputs(rows))
            return read_vectors(settings).of(numbers, keys, int(texts.summary["report"]["rows"]))
        from metapt_explore.clusters.embed import embed

        device = self.pipeline.model.device
        return embed(texts_of(rows), self.study.encoder, device, on_rows=self.advance, record=out)

    def work(self, reckoning: Reckoning) -> Work:
        """See `Stage.work`."""
        if self.uses == "model":
            return reckoning.whole_texts(reckoning.text_rows)
        embedded = self.uses == "encoder"
        return Work(embedded=round(reckoning.text_rows * reckoning.text_tokens)) if embedded else Work()

    def own_cost(self, reckoning: Reckoning) -> OwnCost:
        """See `Stage.own_cost`; seconds of words and of one's own vectors."""
        rows, width = reckoning.text_rows, getattr(self.settings, "dimensions", WIDTH)
        each = WORDS_S if isinstance(self.settings, TfidfEmbeddings) else OWN_S
        held = min(rows, limits.MANY_TEXTS) * 3 * 4 * width + rows * TEXT_BYTES
        return OwnCost(QUICK_S + rows * each, BASE_MIB + held / 2**20)

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        made = EmbeddingsConfig.kinds.get(str(config.get("kind")))
        return counted(summary.get("rows"), "vector") + (f": {made.title}" if made else "")
