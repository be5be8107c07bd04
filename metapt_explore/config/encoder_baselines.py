"""Baselines that classify features of texts: counts of words, sentence embeddings, hidden states."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metapt_explore.config.baseline_base import RATES, BaselineConfig, CValues, Rates
from metapt_explore.config.limits import Count

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


class LinearProbeBaseline(BaselineConfig):
    """Logistic regression on what a frozen model says of a text."""

    title = "logistic regression on embeddings"
    kind: Literal["linear_probe"]
    of: Literal["encoder", "model", "hidden_states"] = Field(
        "encoder",
        description="the study's sentence encoder, mean last hidden states of its language model, or its states "
        "half-way up (the probe of `read: probe_ensemble`, alone)",
    )
    c_values: CValues = Field(_C_VALUES, description=C_VALUES)

    @property
    def runs(self) -> Literal["model", "encoder", None]:
        """What it runs: the study's language model, or its sentence encoder."""
        return "encoder" if self.of == "encoder" else "model"


class SetFitBaseline(BaselineConfig):
    """A fine-tuned sentence encoder (Tunstall et al., 2022)."""

    title = "SetFit (minutes a score)"
    seeded = True
    runs_on = "encoder"
    backward = 3.0
    kind: Literal["setfit"]
    learning_rates: Rates = Field([2e-5], description=RATES)
    pairs_per_text: int = Field(
        20, ge=1, le=10_000, description="pairs of the same and as many of different classes that each text begins"
    )
    batch_size: Count = Field(16, description="pairs of a step")
    checkpoints: int = Field(4, ge=1, le=1000, description="dev is scored after so many equal parts")
