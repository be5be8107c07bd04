"""Baselines that classify features of texts: counts of words, sentence embeddings, hidden states."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from metapt_explore.config.baseline_base import RATES, BaselineConfig, CValues, Rates
from metapt_explore.config.limits import MOST_SEARCHED, Count
from metapt_explore.config.model import EncoderConfig
from metapt_explore.config.names import Text

C_VALUES = "C of the logistic regression, chosen on dev"
_C_VALUES = [0.01, 0.1, 1.0, 10.0, 100.0]
#: What `pip install` needs for static embeddings, and for SetFit's own package.
MODEL2VEC, SETFIT = "model2vec>=0.10", "setfit>=1.2"
Neighbours = Annotated[list[Annotated[int, Field(ge=1, le=10_000)]], Field(min_length=1, max_length=MOST_SEARCHED)]
Shares = Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1, max_length=MOST_SEARCHED)]
Head = Literal["logistic", "knn", "centroid", "lda"]
#: The key whose values dev chooses among, for each head.
SEARCHED: dict[str, str | None] = {"logistic": "c_values", "knn": "k_values", "centroid": None, "lda": "shrinkages"}


class MajorityBaseline(BaselineConfig):
    """The commonest class of the few rows."""

    title = "the commonest class"
    kind: Literal["majority"]


class TfidfBaseline(BaselineConfig):
    """Logistic regression on TF-IDF."""

    title = "TF-IDF + logistic regression"
    kind: Literal["tfidf"]
    c_values: CValues = Field(_C_VALUES, description=C_VALUES)


class HeadBaseline(BaselineConfig):
    """Settings shared by baselines that classify fixed vectors of texts."""

    head: Head = Field(
        "logistic",
        description="logistic regression, nearest neighbours, nearest class mean, or linear discriminant analysis with "
        "a shrunken covariance",
    )
    c_values: CValues = Field(_C_VALUES, description=C_VALUES)
    k_values: Neighbours = Field([1, 3, 5, 9, 15], description="neighbours that vote, chosen on dev")
    shrinkages: Shares = Field(
        [0.1, 0.3, 0.5, 0.7, 0.9, 1.0],
        description="share of the covariance that is replaced by the same variance in all directions, chosen on dev",
    )

    @model_validator(mode="after")
    def _settings_are_of_this_head(self) -> Self:
        for head, key in SEARCHED.items():
            if key and head != self.head and getattr(self, key) != type(self).model_fields[key].get_default():
                raise ValueError(f"`{key}` belongs to `head: {head}`, not to `head: {self.head}`")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """Settings of the head that is used; a logistic regression is not named, as it never was.

        Example:
            >>> BaselineConfig(name="neighbours", kind="linear_probe", head="knn", k_values=[1, 3]).options
            {'head': 'knn', 'k_values': [1, 3], 'of': 'encoder'}
        """
        unused = {key for head, key in SEARCHED.items() if key and head != self.head}
        if self.head == "logistic":
            unused.add("head")
        return {key: value for key, value in super().options.items() if key not in unused}


class EncoderBaseline(BaselineConfig):
    """Settings shared by baselines that read texts with a sentence encoder."""

    runs_on = "encoder"
    of_inputs = ("encoder",)
    encoder: Text | None = Field(
        None, description="sentence encoder of its own: starter, folder or hub name; the study's when absent"
    )

    def encoder_in(self, encoder: EncoderConfig) -> EncoderConfig:
        """Its own encoder, which reads as many tokens as the study's; the study's where it names none.

        Example:
            >>> probe = BaselineConfig(name="BGE", kind="linear_probe", encoder="BAAI/bge-small-en-v1.5")
            >>> probe.encoder_in(EncoderConfig(name="minilm", max_tokens=64))
            EncoderConfig(name='BAAI/bge-small-en-v1.5', revision=None, max_tokens=64, batch_size=64)
        """
        if self.encoder in (None, encoder.name):
            return encoder
        return encoder.model_copy(update={"name": self.encoder, "revision": None})


class LinearProbeBaseline(HeadBaseline, EncoderBaseline):
    """A linear or nearest-neighbour classifier on what a frozen model says of a text."""

    title = "logistic regression on embeddings"
    kind: Literal["linear_probe"]
    of: Literal["encoder", "model", "hidden_states"] = Field(
        "encoder",
        description="the study's sentence encoder, mean last hidden states of its language model, or its states "
        "half-way up (the probe of `read: probe_ensemble`, alone)",
    )

    @model_validator(mode="after")
    def _encoder_is_used(self) -> Self:
        if self.encoder is not None and self.of != "encoder":
            raise ValueError(f"`encoder` goes with `of: encoder`, not with `of: {self.of}`")
        if self.head != "logistic" and self.of == "hidden_states":
            raise ValueError("`of: hidden_states` has no `head`; choose `of: encoder` or `of: model`")
        return self

    @property
    def runs(self) -> Literal["model", "encoder", None]:
        """What it runs: the study's language model, or its sentence encoder."""
        return "encoder" if self.of == "encoder" else "model"


class StaticEmbeddingsBaseline(HeadBaseline):
    """A classifier on the mean of vectors of tokens, looked up in a table (model2vec; Tulkens & van Dongen, 2024)."""

    title = "static embeddings + logistic regression"
    needs_package = (MODEL2VEC, "static")
    of_inputs = ("model",)
    kind: Literal["static_embeddings"]
    model: Text = Field("minishlab/potion-base-8M", description="folder or hub name of a model2vec model")


class SetFitBaseline(EncoderBaseline):
    """A sentence encoder, fine-tuned by the recipe of SetFit (Tunstall et al., 2022), written out here."""

    title = "SetFit's recipe (minutes a score)"
    seeded = True
    backward = 3.0
    kind: Literal["setfit"]
    learning_rates: Rates = Field([2e-5], description=RATES)
    pairs_per_text: int = Field(
        20, ge=1, le=10_000, description="pairs of the same and as many of different classes that each text begins"
    )
    batch_size: Count = Field(16, description="pairs of a step")
    checkpoints: int = Field(4, ge=1, le=1000, description="dev is scored after so many equal parts")

    def pairs(self, shots: int, classes: int) -> int:
        """Pairs that are trained on at one learning rate."""
        return 2 * self.pairs_per_text * shots * classes


class SetFitPackageBaseline(EncoderBaseline):
    """The package `setfit` as its users run it, with its own defaults."""

    title = "SetFit, the package (minutes a score)"
    seeded = True
    needs_package = (SETFIT, "setfit")
    backward = 3.0
    kind: Literal["setfit_package"]
    learning_rates: Rates = Field([2e-5], description=RATES)
    pairs_per_text: Count | None = Field(
        None,
        description="its `num_iterations`; when absent every pair once, and those of the rarer kind again until there "
        "are as many of both",
    )
    batch_size: Count = Field(16, description="pairs of a step")
    epochs: int = Field(1, ge=1, le=1000, description="times that all pairs are seen")

    def pairs(self, shots: int, classes: int) -> int:
        """Pairs that are trained on at one learning rate, where no class lacks rows.

        Example:
            >>> BaselineConfig(name="SetFit", kind="setfit_package").pairs(16, 2)
            544
        """
        if self.pairs_per_text:
            return 2 * self.pairs_per_text * shots * classes * self.epochs
        same, different = classes * shots * (shots + 1) // 2, classes * (classes - 1) // 2 * shots**2
        return 2 * max(same, different) * self.epochs
