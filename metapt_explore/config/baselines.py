"""What the methods are compared with besides one another: other ways to use the same few labelled rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from metapt_explore.config.evaluation import EvaluationConfig
from metapt_explore.config.limits import MOST_SEARCHED, Count, Rate
from metapt_explore.config.names import Name, Text
from metapt_explore.config.task import Strict
from metapt_explore.errors import did_you_mean

BaselineKind = Literal["majority", "zero_shot", "in_context", "tfidf", "linear_probe", "setfit", "lora", "full"]

_C_VALUES = [0.01, 0.1, 1.0, 10.0, 100.0]
#: Options of each kind with their defaults; None of `steps` and `batch_size` is what `evaluation` says.
_OPTIONS: dict[str, dict[str, Any]] = {
    "majority": {},
    "zero_shot": {"calibration": "none"},
    "in_context": {
        "calibration": "none",
        "shots_per_class": None,
        "max_prompt_tokens": 1024,
        "orders": 1,
        "separator": "\n\n",
    },
    "tfidf": {"c_values": _C_VALUES},
    "linear_probe": {"of": "encoder", "c_values": _C_VALUES},
    "setfit": {"learning_rates": [2e-5], "pairs_per_text": 20, "batch_size": 16, "checkpoints": 4},
    "lora": {
        "rank": 8,
        "alpha": 16.0,
        "targets": None,
        # On ours dev chose 0.001 and 0.003 (studies/tested); 0.0001 alone would make LoRA worse than it is.
        "learning_rates": [3e-4, 1e-3, 3e-3, 1e-2],
        "steps": None,
        "batch_size": None,
    },
    "full": {"learning_rates": [3e-6, 1e-5], "steps": None, "batch_size": None},
}
#: Kinds that draw something at random, so that every initialisation seed is another run.
_SEEDED = ("in_context", "setfit", "lora", "full")
#: Kinds that read label words behind the task's template.
_READS_WORDS = ("zero_shot", "in_context", "lora", "full")


class BaselineConfig(Strict):
    """One baseline. A bare kind in a study's list is short for ``{name: kind, kind: kind}``.

    Example:
        >>> BaselineConfig(name="LoRA 4", kind="lora", rank=4).options["alpha"]
        16.0
    """

    name: Name = Field(description="what tables and figures call it")
    kind: BaselineKind = Field(description="which way of using the few rows")
    calibration: Literal["none", "batch_mean", "content_free"] | None = Field(
        None,
        description="zero_shot, in_context: takes off what the model says of all rows, or of texts without content",
    )
    shots_per_class: Count | None = Field(
        None, description="in_context: examples of each class; as many as fit when absent"
    )
    max_prompt_tokens: Count | None = Field(None, description="in_context: tokens of all examples together")
    orders: int | None = Field(
        None, ge=1, le=1000, description="in_context: orders of examples to draw; dev chooses one"
    )
    separator: str | None = Field(None, max_length=1000, description="in_context: what stands between examples")
    c_values: list[Annotated[float, Field(gt=0, le=1e9)]] | None = Field(
        None,
        min_length=1,
        max_length=MOST_SEARCHED,
        description="tfidf, linear_probe: C of the logistic regression, chosen on dev",
    )
    of: Literal["encoder", "model", "hidden_states"] | None = Field(
        None,
        description="linear_probe: the study's sentence encoder, mean last hidden states of its language model, or its "
        "states half-way up (the probe of `read: probe_ensemble`, alone)",
    )
    pairs_per_text: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="setfit: pairs of the same and as many of different classes that each text begins",
    )
    checkpoints: int | None = Field(None, ge=1, le=1000, description="setfit: dev is scored after so many equal parts")
    rank: int | None = Field(None, ge=1, le=10_000, description="lora: of the added matrices")
    alpha: float | None = Field(None, gt=0, le=1e6, description="lora: scale of what is added, divided by the rank")
    targets: list[Text] | None = Field(
        None,
        min_length=1,
        max_length=MOST_SEARCHED,
        description="lora: names of the layers; PEFT's own choice for the model when absent",
    )
    learning_rates: list[Rate] | None = Field(
        None, min_length=1, max_length=MOST_SEARCHED, description="setfit, lora, full: learning rates, chosen on dev"
    )
    steps: Count | None = Field(None, description="lora, full: steps; evaluation.steps when absent")
    batch_size: Count | None = Field(
        None, description="setfit: pairs of a step; lora, full: rows, evaluation.batch_size when absent"
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, entry: Any) -> Any:
        if isinstance(entry, str):
            if entry not in get_args(BaselineKind):
                raise ValueError(f"there is no baseline '{entry}'. {did_you_mean(entry, get_args(BaselineKind))}")
            return {"name": entry, "kind": entry}
        return entry

    @field_validator("learning_rates", "c_values")
    @classmethod
    def _no_repeats(cls, values: list[float] | None) -> list[float] | None:
        if values is not None and len(set(values)) != len(values):
            raise ValueError("a value stands twice")
        return values

    @model_validator(mode="after")
    def _fits_kind(self) -> BaselineConfig:
        own = _OPTIONS[self.kind]
        for key in type(self).model_fields:
            if key not in ("name", "kind", *own) and getattr(self, key) is not None:
                goes_with = ", ".join(kind for kind, options in _OPTIONS.items() if key in options)
                raise ValueError(f"`{key}` belongs to {goes_with}, not to {self.kind}")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """Settings of this kind, with the defaults filled in; what a stage's id holds of a baseline."""
        given = {key: getattr(self, key) for key in _OPTIONS[self.kind]}
        return {key: _OPTIONS[self.kind][key] if value is None else value for key, value in given.items()}

    def options_in(self, evaluation: EvaluationConfig) -> dict[str, Any]:
        """`options`, with what is left to the study's evaluation.

        LoRA's learning rates drop out where prompts' do (``halving_steps``). Full fine-tuning's do not: a rate that
        waits for its turn would have to be kept, and is three times as large as the model.

        Example:
            >>> evaluation = EvaluationConfig(tasks=["trec"], steps=30, halving_steps=[5, 10])
            >>> BaselineConfig(name="LoRA", kind="lora", steps=8).options_in(evaluation)["halving_steps"]
            [5]
        """
        left: dict[str, Any] = {"steps": evaluation.steps, "batch_size": evaluation.batch_size}
        options = self.options
        options |= {key: value for key, value in left.items() if key in options and options[key] is None}
        if self.kind == "lora":
            halving = [step for step in evaluation.halving_steps if step < options["steps"]]
            if halving and len(options["learning_rates"]) > 1:
                options["halving_steps"] = halving
        return options

    @property
    def seeded(self) -> bool:
        """Whether it is run for each initialisation seed; the others have no initialisation."""
        return self.kind in _SEEDED

    @property
    def reads_words(self) -> bool:
        """Whether it reads label words behind the task's template."""
        return self.kind in _READS_WORDS

    @property
    def runs(self) -> Literal["model", "encoder", None]:
        """What it runs: the study's language model, its sentence encoder, or neither."""
        if self.reads_words or (self.kind == "linear_probe" and self.options["of"] != "encoder"):
            return "model"
        return "encoder" if self.kind in ("linear_probe", "setfit") else None


def check_names(baselines: Sequence[BaselineConfig], methods: Sequence[str]) -> None:
    """Refuses two rows of the comparison with one name.

    Raises:
        ValueError: Naming the baseline.
    """
    names = [baseline.name for baseline in baselines]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"baseline '{name}' stands twice; give each a `name` of its own")
        if name in methods:
            raise ValueError(f"'{name}' is the name of a method and of a baseline")


def check_calibration(baselines: Sequence[BaselineConfig], decode: str) -> None:
    """Refuses calibration where label words compete with the whole vocabulary, as for methods.

    Raises:
        ValueError: Naming the baseline.
    """
    for baseline in baselines:
        if decode == "whole_vocabulary" and baseline.options.get("calibration", "none") != "none":
            raise ValueError(
                f"baseline '{baseline.name}': `verbalizer.decode: whole_vocabulary` goes without `calibration`"
            )
