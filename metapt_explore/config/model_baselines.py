"""Baselines that run the study's language model: without a prompt, with examples in front, or with trained weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from metapt_explore.config.baseline_base import RATES, BaselineConfig, Rates
from metapt_explore.config.evaluation import EvaluationConfig
from metapt_explore.config.limits import MOST_SEARCHED, Count
from metapt_explore.config.names import Text

Calibration = Literal["none", "batch_mean", "content_free"]
CALIBRATION = "takes off what the model says of all rows, or of texts without content"


class ZeroShotBaseline(BaselineConfig):
    """The language model without a prompt."""

    title = "the model without a prompt"
    reads_words = True
    runs_on = "model"
    kind: Literal["zero_shot"]
    calibration: Calibration = Field("none", description=CALIBRATION)


class InContextBaseline(BaselineConfig):
    """Examples in front of the text."""

    title = "examples in front of the text"
    seeded = True
    reads_words = True
    runs_on = "model"
    needs_left_to_right = True
    kind: Literal["in_context"]
    calibration: Calibration = Field("none", description=CALIBRATION)
    shots_per_class: Count | None = Field(None, description="examples of each class; as many as fit when absent")
    max_prompt_tokens: Count = Field(1024, description="tokens of all examples together")
    orders: int = Field(1, ge=1, le=1000, description="orders of examples to draw; dev chooses one")
    separator: str = Field("\n\n", max_length=1000, description="what stands between examples")


class InstructionSearchBaseline(BaselineConfig):
    """A text instead of a soft prompt: templates are tried, and instructions edited (after Prasad et al., 2023)."""

    title = "a searched text instead of a soft prompt"
    seeded = True
    reads_words = True
    runs_on = "model"
    kind: Literal["instruction_search"]
    instructions: Annotated[list[Text], Field(max_length=MOST_SEARCHED)] = Field(
        [
            "Classify the text as {labels}.",
            "Read the text and say which of these it is: {labels}.",
            "The answer is one of {labels}.",
        ],
        description="texts that the search begins from; `{labels}` stands for the classes' first label words",
    )
    rounds: int = Field(4, ge=0, le=1000, description="rounds of edits; 0: templates and instructions as they are")
    edits: Count = Field(8, description="edits of the best instruction in a round")
    keep: Count = Field(4, description="leaders on the training rows, among which dev chooses")
    calibration: Calibration = Field("none", description=CALIBRATION)


class TunedModelBaseline(BaselineConfig):
    """Settings shared by baselines that train the language model."""

    seeded = True
    reads_words = True
    runs_on = "model"
    learning_rates: Rates = Field(description=RATES)
    steps: Count | None = Field(None, description="evaluation.steps when absent")
    batch_size: Count | None = Field(None, description="rows of a step; evaluation.batch_size when absent")

    def options_in(self, evaluation: EvaluationConfig) -> dict[str, Any]:
        """`options`, completed from the study's evaluation."""
        steps, batch_size = self.steps or evaluation.steps, self.batch_size or evaluation.batch_size
        return {**self.options, "steps": steps, "batch_size": batch_size}


class FullBaseline(TunedModelBaseline):
    """Full fine-tuning."""

    title = "full fine-tuning (minutes a score, much memory)"
    backward = 3.5  # gradients of weights as well
    kind: Literal["full"]
    learning_rates: Rates = Field([3e-6, 1e-5], description=RATES)
