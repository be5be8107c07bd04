"""Baselines that run the study's language model: without a prompt, with examples in front, or with trained weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from metapt_explore.config.baseline_base import RATES, BaselineConfig, Rates
from metapt_explore.config.evaluation import EvaluationConfig
from metapt_explore.config.limits import MOST_SEARCHED, Count
from metapt_explore.config.names import Text

Calibration = Literal["none", "batch_mean", "content_free"]
#: What `pip install` needs for LoRA.
PEFT = "peft>=0.18"
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


class LoraBaseline(TunedModelBaseline):
    """Low-rank adapters (Hu et al., 2022)."""

    title = "LoRA (minutes a score)"
    needs_package = (PEFT, "lora")
    backward = 2.5  # gradients of hidden states
    kind: Literal["lora"]
    rank: int = Field(8, ge=1, le=10_000, description="of the added matrices")
    alpha: float = Field(16.0, gt=0, le=1e6, description="scale of what is added, divided by the rank")
    targets: Annotated[list[Text], Field(min_length=1, max_length=MOST_SEARCHED)] | None = Field(
        None, description="names of the layers; PEFT's own choice for the model when absent"
    )
    # Dev chose 0.001 and 0.003 in our study (studies/tested); 0.0001 alone would understate LoRA.
    learning_rates: Rates = Field([3e-4, 1e-3, 3e-3, 1e-2], description=RATES)

    def options_in(self, evaluation: EvaluationConfig) -> dict[str, Any]:
        """`options`, completed from the study's evaluation.

        Learning rates are halved at the same steps as those of prompts (``halving_steps``), but not for full
        fine-tuning: each waiting rate would take three times the memory of the model.

        Example:
            >>> evaluation = EvaluationConfig(tasks=["trec"], steps=30, halving_steps=[5, 10])
            >>> BaselineConfig(name="LoRA", kind="lora", steps=8).options_in(evaluation)["halving_steps"]
            [5]
        """
        options = super().options_in(evaluation)
        halving = [step for step in evaluation.halving_steps if step < options["steps"]]
        return {**options, "halving_steps": halving} if halving and len(self.learning_rates) > 1 else options


class FullBaseline(TunedModelBaseline):
    """Full fine-tuning."""

    title = "full fine-tuning (minutes a score, much memory)"
    backward = 3.5  # gradients of weights as well
    kind: Literal["full"]
    learning_rates: Rates = Field([3e-6, 1e-5], description=RATES)
