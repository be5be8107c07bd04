"""What all baselines share: the base class of their settings, and types of settings that several kinds have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from metapt_explore.config.evaluation import EvaluationConfig
from metapt_explore.config.kinds import Kind
from metapt_explore.config.limits import MOST_SEARCHED, Rate
from metapt_explore.config.model import EncoderConfig
from metapt_explore.config.names import Name
from metapt_explore.errors import did_you_mean

CValues = Annotated[list[Annotated[float, Field(gt=0, le=1e9)]], Field(min_length=1, max_length=MOST_SEARCHED)]
Rates = Annotated[list[Rate], Field(min_length=1, max_length=MOST_SEARCHED)]
Runs = Literal["model", "encoder", "classifier", None]
RATES = "learning rates, chosen on dev"


class BaselineConfig(Kind):
    """One baseline. Each kind has a class of its own; a bare kind in a study is short for ``{name: kind, kind: kind}``.

    Attributes:
        seeded: Whether it is run for each initialisation seed; the others have no initialisation.
        reads_words: Whether it reads label words behind the task's template.
        runs_on: What it runs: the study's language model, a sentence encoder, a sequence classifier, or none (None).
        needs_left_to_right: Whether the language model must read from left to right.
        needs_package: What `pip install` needs, and the extra of this package that holds it.
        of_inputs: Settings that say where files lie; a stage's id holds the hash of those files instead.
        combines: Whether it combines other rows of the comparison, whose scores it needs.
        backward: Work of a trained row, forward and backward, against a row forward; 0 where nothing is trained.

    Example:
        >>> BaselineConfig(name="LoRA 4", kind="lora", rank=4).options["alpha"]
        16.0
    """

    kinds: ClassVar[dict[str, type[BaselineConfig]]]
    seeded: ClassVar[bool] = False
    reads_words: ClassVar[bool] = False
    runs_on: ClassVar[Runs] = None
    needs_left_to_right: ClassVar[bool] = False
    needs_package: ClassVar[tuple[str, str] | None] = None
    of_inputs: ClassVar[tuple[str, ...]] = ()
    combines: ClassVar[bool] = False
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

    @field_validator("learning_rates", "c_values", "k_values", "shrinkages", check_fields=False)
    @classmethod
    def _no_repeats(cls, values: list[float]) -> list[float]:
        if len(set(values)) != len(values):
            raise ValueError("a value stands twice")
        return values

    @property
    def options(self) -> dict[str, Any]:
        """Settings of this kind, as they enter a stage's id."""
        apart = ("name", "kind", *self.of_inputs)
        return {key: getattr(self, key) for key in type(self).model_fields if key not in apart}

    def options_in(self, evaluation: EvaluationConfig) -> dict[str, Any]:
        """`options`, completed from the study's evaluation."""
        return self.options

    def encoder_in(self, encoder: EncoderConfig) -> EncoderConfig:
        """The sentence encoder (or sequence classifier) that it runs, given the study's encoder."""
        return encoder

    @property
    def runs(self) -> Runs:
        """What it runs: the study's language model, a sentence encoder, a sequence classifier, or none."""
        return self.runs_on
