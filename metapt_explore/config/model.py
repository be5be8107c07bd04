"""The frozen models, the soft prompt, and how classes are read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from metapt_explore.config.families import Family, Placement
from metapt_explore.config.init import AnyInit, InitConfig, VocabularyInit
from metapt_explore.config.limits import MOST_SEARCHED, Count
from metapt_explore.config.names import Text
from metapt_explore.config.task import Strict


class ModelConfig(Strict):
    """The frozen language model."""

    name: Text = Field("smollm2-135m", description="starter model, a folder, or a hub name")
    revision: Text | None = Field(None, description="commit or tag of a hub model")
    family: Family | None = Field(None, description="what kind of model it is; read from its files when absent")
    sentinel: bool | None = Field(
        None,
        description="encoder-decoders: whether <extra_id_0> stands for the answer, as in T5's own training text; "
        "where the tokenizer has it when absent (false suits Flan-T5)",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="auto: bfloat16 where the machine multiplies it in hardware; on a card that does not, float16 for "
        "decoder-only models; else float32",
    )
    device: Text = Field("auto", description="auto, cpu, cuda, cuda:1 …")
    device_map: Literal["auto"] | dict[Text, Annotated[int, Field(ge=0, le=1024)] | Text] | None = Field(
        None,
        description="decoder-only: layers over several cards, the host (`cpu`) and the `disk`, in place of `device`: "
        "auto, or a device for each part, such as {model.embed_tokens: 0, model.layers.0: 0, model.layers.1: 1 …}",
    )
    quantised: Literal["4bit", "8bit"] | None = Field(
        None, description="decoder-only: weights of 4 bits (NF4) or 8, by bitsandbytes (the extra `quantised`)"
    )
    max_text_tokens: Count = Field(64, description="longer texts are cut")
    pass_memory_gib: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="memory of one forward and backward pass; when absent 1 on a CPU (5 % of a small machine's), "
        "40 % of a GPU",
    )
    rows_per_pass: Count | None = Field(None, description="at most so many rows in a pass, whatever fits")
    text_state_gib: float | None = Field(
        None, ge=0, le=100_000, description="memory for cached text states; 4 (20 % of a small machine's) when absent"
    )
    second_tier_gib: float = Field(
        8.0,
        ge=0,
        le=100_000,
        description="behind it: host memory where the model is on a GPU, else disk (in the user's cache)",
    )

    cuda_graphs: bool = Field(
        False,
        description="on a GPU, steps are recorded once for each shape and handed over as a whole; what was recorded is "
        "compared with the step itself first. Elsewhere nothing changes",
    )

    @model_validator(mode="after")
    def _one_place(self) -> ModelConfig:
        if self.device_map is not None and self.device != "auto":
            raise ValueError("`device_map` says where each part of the model runs: leave `device` out")
        if self.device_map == {}:
            raise ValueError("`device_map` is empty: write auto, or a device for each part")
        return self


class EncoderConfig(Strict):
    """The sentence encoder whose embeddings are clustered."""

    name: Text = Field("minilm", description="starter encoder, a folder, or a hub name")
    revision: Text | None = Field(None, description="commit or tag of a hub encoder")
    max_tokens: Count = Field(128, description="longer texts are cut")
    batch_size: Count = Field(64, description="texts that are embedded together; changes no embedding noticeably")


class PromptConfig(Strict):
    """Shape, place and start of the soft prompt."""

    length: int = Field(8, ge=1, le=10_000, description="vectors")
    placement: Placement | None = Field(
        None,
        description="suffix: text, prompt, template; prefix: prompt, text, template (the classic layout); deep: keys "
        "and values of every layer in front of the text (prefix tuning, P-tuning v2); encoder, decoder: in front of "
        "that part's tokens; the first that the model's family can do when absent",
    )
    init: AnyInit = Field(
        VocabularyInit(kind="vocabulary"),
        description="random, vocabulary, labels, {text: ...}, {file: ...}, {peft: ...}, {hub: ...} or {artifact: ...}",
    )

    @field_validator("init")
    @classmethod
    def _known_before_tuning(cls, init: InitConfig) -> InitConfig:
        if init.of_few_shot_rows:
            raise ValueError(
                f"`{init.kind}` is made of few-shot rows, which pre-training never sees: give it to a method of kind "
                f"pt (`init: {init.kind}`)"
            )
        return init


class VerbalizerConfig(Strict):
    """How classes are read from the model's output."""

    decode: Literal["label_words", "whole_vocabulary"] = Field(
        "label_words",
        description="what label words compete with: one another, or every token (as in PPT's code; another word is a "
        "wrong answer)",
    )
    read: Literal["words", "prototypes", "mixed", "automatic", "probe_ensemble"] = Field(
        "words",
        description="downstream: label words; class prototypes of the few-shot rows; half of each; label words chosen "
        "from the few-shot rows; label words and, beside them, a probe of the frozen model, weighed on dev",
    )
    calibration: Literal["none", "batch_mean", "content_free"] = Field(
        "none",
        description="downstream: takes off what the model says of the scored rows on average, or of texts that say "
        "nothing",
    )
    content_free: list[Text] = Field(
        ["N/A", "nothing", "..."], min_length=1, max_length=MOST_SEARCHED, description="texts that say nothing"
    )
    automatic_words: int = Field(1, ge=1, le=1000, description="automatic: label words for each class")

    @property
    def has_probe(self) -> bool:
        """Whether a probe of the frozen model is combined with the label words."""
        return self.read == "probe_ensemble"

    @property
    def sentence(self) -> str:
        """How classes are read, as a sentence shown with the scores; empty for plain label words.

        Example:
            >>> VerbalizerConfig(calibration="batch_mean").sentence
            'Calibrated by the mean over the scored rows, which looks at all of their texts (not at their labels).'
        """
        parts = {
            "whole_vocabulary": "Label words compete with the whole vocabulary: another word is a wrong answer.",
            "prototypes": "Classes are read by prototypes of the few-shot rows.",
            "mixed": "Classes are read half by label words, half by prototypes of the few-shot rows.",
            "automatic": f"Each data seed chose {self.automatic_words} label word(s) a class on its few-shot rows.",
            "probe_ensemble": "Classes are read by label words and, beside them, by a probe of the frozen model, "
            "weighed on dev.",
            "batch_mean": "Calibrated by the mean over the scored rows, which looks at all of their texts (not at "
            "their labels).",
            "content_free": "Calibrated by texts that say nothing.",
        }
        return " ".join(parts[key] for key in (self.decode, self.read, self.calibration) if key in parts)

    @model_validator(mode="after")
    def _fits_together(self) -> VerbalizerConfig:
        if self.decode == "whole_vocabulary" and (
            self.read not in ("words", "automatic") or self.calibration != "none"
        ):
            raise ValueError("`decode: whole_vocabulary` goes with label words and without calibration")
        if self.calibration != "none" and self.read in ("prototypes", "mixed", "probe_ensemble"):
            raise ValueError(f"`calibration` goes with label words, not with `read: {self.read}`")
        return self
