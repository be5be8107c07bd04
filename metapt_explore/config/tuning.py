"""How one method is tuned downstream, where that differs from `evaluation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from metapt_explore.config.limits import MOST_SEARCHED, Rate, Seed
from metapt_explore.config.task import Strict

SelectBy = Literal["loss", "accuracy", "one_se", "last"]

#: Temperature of a gate over starts: a start whose loss is lower by this much weighs e times as much.
GATE_TEMPERATURE = 0.1
#: Steps that learn the weights of a mixture of starts (`mixture: learned`).
MIXTURE_STEPS = 10
#: What a method has learned for tuning, and how that is used: part of the method, no terms of its own.
LEARNED = {"keep_rates", "adapted_only", "mixture", "temperature"}


class TuningConfig(Strict):
    """How one method is tuned where it differs from `evaluation`; reports flag the difference.

    Another order of the examples is not flagged: it is chance, like a seed.
    """

    learning_rates: list[Rate] | None = Field(
        None, min_length=1, max_length=MOST_SEARCHED, description="as in `evaluation`"
    )
    steps: int | None = Field(None, ge=1, le=100_000, description="likewise")
    proximal: float | None = Field(None, ge=0, le=1e6, description="likewise")
    select_by: SelectBy | None = Field(None, description="likewise")
    soup: int | None = Field(None, ge=1, le=1000, description="likewise")
    order_seed: Seed | None = Field(
        None,
        description="another order of the few-shot examples (where a step takes fewer than there are), the same for "
        "every initialisation seed; a list makes a method of each (`sweep.py`); as the initialisation seed has it when "
        "absent",
    )
    keep_rates: bool | None = Field(
        None,
        description="false: inner rates that pre-training learned (meta_sgd) are left out of tuning; else they scale "
        "its steps",
    )

    adapted_only: bool | None = Field(
        None, description="true: tuning moves only the vectors that the inner steps adapt (`adapted`), as they do"
    )
    mixture: Literal["gate", "best", "mean", "learned"] | None = Field(
        None,
        description="for learners of several starts, on each data seed's training rows: weights by softmax of minus "
        "the loss at each start (gate, the default); the start with the lowest loss (best); equal weights (mean); or "
        "weights that a few steps learn first (learned)",
    )
    temperature: float | None = Field(
        None, gt=0, le=1e6, description="of the gate: the lower, the more the best start counts"
    )

    demonstrations: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="so many vectors more behind the prompt, which begin as the token embeddings of each data seed's "
        "training rows, and are tuned with it",
    )

    @model_validator(mode="after")
    def _a_gate_has_a_temperature(self) -> Self:
        if self.temperature is not None and self.mixture not in (None, "gate"):
            raise ValueError(f"`temperature` goes with `mixture: gate`, not with `{self.mixture}`")
        return self

    @property
    def mixture_keys(self) -> list[str]:
        """The settings that it has for several starts."""
        return [key for key in ("mixture", "temperature") if getattr(self, key) is not None]

    @property
    def of_evaluation(self) -> dict[str, Any]:
        """Settings that replace those of `evaluation`; order of examples and what was learned are no settings of it."""
        return self.model_dump(exclude_none=True, exclude={"order_seed", "demonstrations", *LEARNED})


def tuning_terms(tuning: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A method's tuning settings without the order of its examples; defaults are left out.

    Example:
        >>> tuning_terms({"steps": 90, "soup": None, "order_seed": 1}), tuning_terms({"order_seed": 1})
        ({'steps': 90}, None)
        >>> tuning_terms({"keep_rates": True}), tuning_terms({"keep_rates": False})
        (None, {'keep_rates': False})
        >>> tuning_terms({"mixture": "gate"}), tuning_terms({"mixture": "best"})
        (None, {'mixture': 'best'})
    """
    terms = {key: value for key, value in (tuning or {}).items() if value is not None and key != "order_seed"}
    if terms.get("keep_rates"):
        del terms["keep_rates"]
    if terms.get("mixture") == "gate":
        del terms["mixture"]
    return terms or None


def shared_terms(tuning: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The tuning settings that a method of another kind can have, too.

    What a method has learned for tuning, and whether it is kept, is part of that method: one that learns no rates is
    its control all the same.

    Example:
        >>> shared_terms({"steps": 90, "keep_rates": False}), shared_terms({"keep_rates": False})
        ({'steps': 90}, None)
    """
    terms = {key: value for key, value in (tuning_terms(tuning) or {}).items() if key not in LEARNED}
    return terms or None
