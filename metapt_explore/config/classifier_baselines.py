"""Baselines that run a classifier of text pairs of their own: an NLI model, a reranker. They learn from no row."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from metapt_explore.config.baseline_base import BaselineConfig
from metapt_explore.config.limits import Count
from metapt_explore.config.model import EncoderConfig
from metapt_explore.config.model_baselines import CALIBRATION, Calibration
from metapt_explore.config.names import Text
from metapt_explore.config.task import LabelsConfig

#: Stands for a class in the sentence that is scored with each text.
PLACE = "{label}"
MODEL = "sequence classification model: a folder, or a hub name"


class ClassifierBaseline(BaselineConfig):
    """Settings shared by baselines that score each text with a sentence about each class."""

    runs_on = "classifier"
    of_inputs = ("model", "revision")
    model: Text = Field(description=MODEL)
    revision: Text | None = Field(None, description="commit or tag of a hub model")
    hypothesis: Text = Field(
        "This text is about {label}.",
        description="sentence about a class; `{label}` stands for its description, or its first label word",
    )
    calibration: Calibration = Field("none", description=CALIBRATION)
    max_tokens: Count = Field(256, description="text and sentence together; longer texts are cut")
    batch_size: Count = Field(32, description="pairs that are run together; changes no score noticeably")

    @field_validator("hypothesis")
    @classmethod
    def _has_a_place(cls, hypothesis: str) -> str:
        if PLACE not in hypothesis:
            raise ValueError(f"`hypothesis` holds no {PLACE}, so all classes would have one sentence")
        return hypothesis

    def encoder_in(self, encoder: EncoderConfig) -> EncoderConfig:
        """Its classifier, whatever the study's encoder."""
        sizes = {"max_tokens": self.max_tokens, "batch_size": self.batch_size}
        return EncoderConfig(name=self.model, revision=self.revision, **sizes)


def class_sentences(hypothesis: str, labels: LabelsConfig) -> list[str]:
    """The sentence about each class.

    Args:
        hypothesis: A sentence with `PLACE`.
        labels: The classes.

    Example:
        >>> from metapt_explore.config import load_task
        >>> class_sentences("It is {label}.", load_task("sms_spam"))
        ['It is personal.', 'It is spam.']
    """
    return [hypothesis.replace(PLACE, label.description or label.word) for label in labels.labels.values()]


class NliBaseline(ClassifierBaseline):
    """Zero-shot by natural language inference (Yin et al., EMNLP 2019)."""

    title = "an NLI model: does the text entail the class?"
    implementation = "sentence_pairs:nli"
    kind: Literal["nli"]
    model: Text = Field("MoritzLaurer/deberta-v3-base-zeroshot-v2.0", description=MODEL)


class RerankerBaseline(ClassifierBaseline):
    """Zero-shot by a reranker (cross-encoder): how well do text and class go together?"""

    title = "a reranker: how well do text and class go together?"
    implementation = "sentence_pairs:reranker"
    kind: Literal["reranker"]
    model: Text = Field("BAAI/bge-reranker-base", description=MODEL)
