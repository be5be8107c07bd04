"""Baselines: other ways to use the same few labelled rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from metapt_explore.config.evaluation import EvaluationConfig
from metapt_explore.config.kinds import Kind, one_of
from metapt_explore.config.limits import MOST_SEARCHED, Count, Rate
from metapt_explore.config.names import Name, Text
from metapt_explore.errors import did_you_mean

CValues = Annotated[list[Annotated[float, Field(gt=0, le=1e9)]], Field(min_length=1, max_length=MOST_SEARCHED)]
Rates = Annotated[list[Rate], Field(min_length=1, max_length=MOST_SEARCHED)]
Calibration = Literal["none", "batch_mean", "content_free"]
#: What `pip install` needs for LoRA.
PEFT = "peft>=0.18"
CALIBRATION = "takes off what the model says of all rows, or of texts without content"
C_VALUES = "C of the logistic regression, chosen on dev"
RATES = "learning rates, chosen on dev"
_C_VALUES = [0.01, 0.1, 1.0, 10.0, 100.0]


class BaselineConfig(Kind):
    """One baseline. Each kind has a class of its own; a bare kind in a study is short for ``{name: kind, kind: kind}``.

    Attributes:
        seeded: Whether it is run for each initialisation seed; the others have no initialisation.
        reads_words: Whether it reads label words behind the task's template.
        runs_on: What it runs: the study's language model, its sentence encoder, or neither (None).
        needs_left_to_right: Whether the language model must read from left to right.
        needs_package: What `pip install` needs, and the extra of this package that holds it.
        backward: Work of a trained row, forward and backward, against a row forward; 0 where nothing is trained.

    Example:
        >>> BaselineConfig(name="LoRA 4", kind="lora", rank=4).options["alpha"]
        16.0
    """

    kinds: ClassVar[dict[str, type[BaselineConfig]]]
    seeded: ClassVar[bool] = False
    reads_words: ClassVar[bool] = False
    runs_on: ClassVar[Literal["model", "encoder", None]] = None
    needs_left_to_right: ClassVar[bool] = False
    needs_package: ClassVar[tuple[str, str] | None] = None
    backward: ClassVar[float] = 0.0

    if TYPE_CHECKING:

        def __init__(self, **settings: Any) -> None: ...

    name: Name = Field(description="what tables and figures call it")
    kind: str = Field(description="which way of using the few rows")

    @classmethod
    def expand(cls, given: Any) -> Any:
        """A bare kind as a mapping.

        Raises:
            ValueError: Where there is no such kind.
        """
        if isinstance(given, str):
            if given not in cls.kinds:
                raise ValueError(f"there is no baseline '{given}'. {did_you_mean(given, cls.kinds)}")
            return {"name": given, "kind": given}
        return given

    @field_validator("learning_rates", "c_values", check_fields=False)
    @classmethod
    def _no_repeats(cls, values: list[float]) -> list[float]:
        if len(set(values)) != len(values):
            raise ValueError("a value stands twice")
        return values

    @property
    def options(self) -> dict[str, Any]:
        """Settings of this kind, as they enter a stage's id."""
        return {key: getattr(self, key) for key in type(self).model_fields if key not in ("name", "kind")}

    def options_in(self, evaluation: EvaluationConfig) -> dict[str, Any]:
        """`options`, completed from the study's evaluation."""
        return self.options

    @property
    def runs(self) -> Literal["model", "encoder", None]:
        """What it runs: the study's language model, its sentence encoder, or neither."""
        return self.runs_on


class MajorityBaseline(BaselineConfig):
    """The commonest class of the few rows."""

    title = "the commonest class"
    kind: Literal["majority"]


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


if TYPE_CHECKING:
    AnyBaseline = BaselineConfig
else:
    AnyBaseline = one_of(
        BaselineConfig,
        MajorityBaseline,
        ZeroShotBaseline,
        InContextBaseline,
        TfidfBaseline,
        LinearProbeBaseline,
        SetFitBaseline,
        LoraBaseline,
        FullBaseline,
    )


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
