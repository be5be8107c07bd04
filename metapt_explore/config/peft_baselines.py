"""Baselines that PEFT trains, with the defaults that its users start from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from metapt_explore.config.baseline_base import RATES, Rates
from metapt_explore.config.evaluation import EvaluationConfig
from metapt_explore.config.limits import MOST_SEARCHED, Count
from metapt_explore.config.model_baselines import TunedModelBaseline
from metapt_explore.config.names import Text

#: What `pip install` needs for all of them.
PEFT = "peft>=0.19.1"
Layers = Annotated[list[Text], Field(min_length=1, max_length=MOST_SEARCHED)] | None
LAYERS = "names of the layers; PEFT's own choice for the model when absent"


class PeftBaseline(TunedModelBaseline):
    """Settings shared by what PEFT trains beside a frozen model."""

    needs_package = (PEFT, "lora")
    backward = 2.5  # gradients of hidden states

    def options_in(self, evaluation: EvaluationConfig) -> dict[str, Any]:
        """`options`, completed from the study's evaluation.

        Learning rates are halved at the same steps as those of prompts (``halving_steps``), but not for full
        fine-tuning: each waiting rate would take three times the memory of the model.

        Example:
            >>> from metapt_explore.config import BaselineConfig
            >>> evaluation = EvaluationConfig(tasks=["trec"], steps=30, halving_steps=[5, 10])
            >>> BaselineConfig(name="LoRA", kind="lora", steps=8).options_in(evaluation)["halving_steps"]
            [5]
        """
        options = super().options_in(evaluation)
        halving = [step for step in evaluation.halving_steps if step < options["steps"]]
        return {**options, "halving_steps": halving} if halving and len(self.learning_rates) > 1 else options


class LoraBaseline(PeftBaseline):
    """Low-rank adapters (Hu et al., 2022)."""

    title = "LoRA (minutes a score)"
    implementation = "adapters:lora"
    kind: Literal["lora"]
    rank: int = Field(8, ge=1, le=10_000, description="of the added matrices")
    alpha: float = Field(16.0, gt=0, le=1e6, description="scale of what is added, divided by the rank")
    targets: Layers = Field(None, description=LAYERS)
    # Dev chose 0.001 and 0.003 in our study (studies/tested); 0.0001 alone would understate LoRA.
    learning_rates: Rates = Field([3e-4, 1e-3, 3e-3, 1e-2], description=RATES)


class Ia3Baseline(PeftBaseline):
    """Rescaled activations (Liu et al., NeurIPS 2022)."""

    title = "IA³ (minutes a score)"
    implementation = "adapters:ia3"
    kind: Literal["ia3"]
    scaled_layers: Layers = Field(None, description=f"whose output is scaled, or input: {LAYERS}")
    feedforward_layers: Layers = Field(None, description="those of `scaled_layers` whose input is scaled instead")
    learning_rates: Rates = Field([1e-3, 3e-3, 1e-2, 3e-2], description=RATES)


class PromptTuningBaseline(PeftBaseline):
    """Vectors in front of the text (Lester et al., EMNLP 2021), which begin as the words of an instruction."""

    title = "PEFT's prompt tuning (minutes a score)"
    implementation = "peft_prompts:prompt_tuning"
    kind: Literal["prompt_tuning"]
    init_text: Text = Field(
        "Classify the text as {labels}:",
        description="what the vectors begin as; `{labels}` stands for the classes' first label words",
    )
    prompt_tokens: Count | None = Field(None, description="vectors; as many as `init_text` has tokens when absent")
    learning_rates: Rates = Field([3e-3, 1e-2, 3e-2, 1e-1], description=RATES)


class PTuningBaseline(PeftBaseline):
    """Vectors in front of the text that a small network makes (Liu et al., 2021)."""

    title = "PEFT's P-tuning (minutes a score)"
    implementation = "peft_prompts:p_tuning"
    kind: Literal["p_tuning"]
    prompt_tokens: Count = Field(20, description="vectors")
    network: Literal["mlp", "lstm"] = Field("mlp", description="the network that makes them")
    network_width: Count = Field(128, description="its hidden numbers")
    learning_rates: Rates = Field([3e-4, 1e-3, 3e-3, 1e-2], description=RATES)


class PrefixTuningBaseline(PeftBaseline):
    """Keys and values of every layer in front of the text (Li and Liang, ACL 2021)."""

    title = "PEFT's prefix tuning (minutes a score)"
    implementation = "peft_prompts:prefix_tuning"
    needs_left_to_right = True
    kind: Literal["prefix_tuning"]
    prompt_tokens: Count = Field(20, description="keys and values of each layer")
    projection: bool = Field(False, description="whether a network makes them, as in the paper")
    learning_rates: Rates = Field([3e-3, 1e-2, 3e-2, 1e-1], description=RATES)


class CptBaseline(PeftBaseline):
    """Examples in front of the text whose vectors are moved a little (Blau et al., 2024)."""

    title = "PEFT's context-aware prompt tuning (many minutes a score)"
    needs_left_to_right = True
    kind: Literal["cpt"]
    shots_per_class: Count | None = Field(None, description="examples of each class; as many as fit when absent")
    max_prompt_tokens: Count = Field(256, description="tokens of all examples together")
    separator: str = Field("\n\n", max_length=1000, description="what stands between examples")
    text_epsilon: float = Field(0.2, gt=0, le=1e6, description="how far vectors of texts may move")
    template_epsilon: float = Field(0.1, gt=0, le=1e6, description="how far vectors of the template may move")
    decay: float = Field(
        0.95, gt=0, le=1, description="weight of an example's label in the loss, against that of the next example"
    )
    learning_rates: Rates = Field([1e-3, 3e-3, 1e-2, 3e-2], description=RATES)
