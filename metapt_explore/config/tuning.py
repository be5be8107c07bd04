"""How one method is tuned downstream, where that differs from `evaluation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from metapt_explore.config.limits import MOST_SEARCHED, Rate, Seed
from metapt_explore.config.task import Strict

#: What a method has learned for tuning, and whether it is kept: part of that method.
OF_LEARNER = ("keep_rates", "adapted_only")

SelectBy = Literal["loss", "accuracy", "one_se", "last"]


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

    @property
    def of_evaluation(self) -> dict[str, Any]:
        """Settings that replace those of `evaluation`; order of examples and what was learned are none of it."""
        return self.model_dump(exclude_none=True, exclude={"order_seed", *OF_LEARNER})


def tuning_terms(tuning: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A method's tuning settings without the order of its examples; defaults are left out.

    Example:
        >>> tuning_terms({"steps": 90, "soup": None, "order_seed": 1}), tuning_terms({"order_seed": 1})
        ({'steps': 90}, None)
        >>> tuning_terms({"keep_rates": True}), tuning_terms({"keep_rates": False})
        (None, {'keep_rates': False})
    """
    terms = {key: value for key, value in (tuning or {}).items() if value is not None and key != "order_seed"}
    if terms.get("keep_rates"):
        del terms["keep_rates"]
    return terms or None


def shared_terms(tuning: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The tuning settings that a method of another kind can have, too.

    What a method has learned for tuning, and whether it is kept, is part of that method: one that learns no rates is
    its control all the same.

    Example:
        >>> shared_terms({"steps": 90, "keep_rates": False}), shared_terms({"keep_rates": False})
        ({'steps': 90}, None)
    """
    terms = {key: value for key, value in (tuning_terms(tuning) or {}).items() if key not in OF_LEARNER}
    return terms or None
