"""Baselines that classify features of texts: counts of words, sentence embeddings, hidden states."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from metapt_explore.config.baseline_base import RATES, BaselineConfig, CValues, Rates
from metapt_explore.config.limits import Count
from metapt_explore.config.model import EncoderConfig
from metapt_explore.config.names import Text

C_VALUES = "C of the logistic regression, chosen on dev"
_C_VALUES = [0.01, 0.1, 1.0, 10.0, 100.0]


class MajorityBaseline(BaselineConfig):
    """The commonest class of the few rows."""

    title = "the commonest class"
    kind: Literal["majority"]


class TfidfBaseline(BaselineConfig):
    """Logistic regression on TF-IDF."""

    title = "TF-IDF + logistic regression"
    kind: Literal["tfidf"]
    c_values: CValues = Field(_C_VALUES, description=C_VALUES)


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


class LinearProbeBaseline(EncoderBaseline):
    """Logistic regression on what a frozen model says of a text."""

    title = "logistic regression on embeddings"
    kind: Literal["linear_probe"]
    of: Literal["encoder", "model", "hidden_states"] = Field(
        "encoder",
        description="the study's sentence encoder, mean last hidden states of its language model, or its states "
        "half-way up (the probe of `read: probe_ensemble`, alone)",
    )
    c_values: CValues = Field(_C_VALUES, description=C_VALUES)

    @model_validator(mode="after")
    def _encoder_is_used(self) -> Self:
        if self.encoder is not None and self.of != "encoder":
            raise ValueError(f"`encoder` goes with `of: encoder`, not with `of: {self.of}`")
        return self

    @property
    def runs(self) -> Literal["model", "encoder", None]:
        """What it runs: the study's language model, or its sentence encoder."""
        return "encoder" if self.of == "encoder" else "model"


class SetFitBaseline(EncoderBaseline):
    """A fine-tuned sentence encoder (Tunstall et al., 2022)."""

    title = "SetFit (minutes a score)"
    seeded = True
    backward = 3.0
    kind: Literal["setfit"]
    learning_rates: Rates = Field([2e-5], description=RATES)
    pairs_per_text: int = Field(
        20, ge=1, le=10_000, description="pairs of the same and as many of different classes that each text begins"
    )
    batch_size: Count = Field(16, description="pairs of a step")
    checkpoints: int = Field(4, ge=1, le=1000, description="dev is scored after so many equal parts")
