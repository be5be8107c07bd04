"""Tuning with one or two examples a class: dev has as few rows, and what it chooses is luck."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from metapt_explore.config.limits import Rate
from metapt_explore.config.task import Strict

#: With so many examples a class, and fewer, dev has too few rows to choose a learning rate and a step by.
FEW_DEV_ROWS = 2


class FixedRecipe(Strict):
    """How prompts are tuned at those of `more_shots` where nothing is chosen on dev.

    Example:
        >>> FixedRecipe(learning_rate=0.016, steps=10).up_to
        2
    """

    up_to: int = Field(FEW_DEV_ROWS, ge=1, le=1_000_000, description="at so many examples a class, and fewer")
    learning_rate: Rate = Field(description="the one rate; fixed beforehand, or chosen on other tasks")
    steps: int = Field(ge=0, le=100_000, description="tuning steps; the prompt of the last one is kept")

    def holds_at(self, shots: int) -> bool:
        """Whether it is the recipe at a number of examples a class."""
        return shots <= self.up_to

    def settings(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """What it makes of the settings of `evaluation`.

        Args:
            own: What a method says of its own tuning: its steps, and its learning rate where it names one, stand.

        Example:
            >>> FixedRecipe(learning_rate=0.016, steps=10).settings({"steps": 20})["steps"]
            20
        """
        rates = own.get("learning_rates", ())
        return {
            "select_by": "last",
            "soup": 1,
            "halving_steps": [],
            "learning_rates": list(rates) if len(rates) == 1 else [self.learning_rate],
            "steps": own.get("steps", self.steps),
        }


def few_dev_rows(study: Mapping[str, Any]) -> list[str]:
    """Says where learning rate and step are chosen on too few dev rows, and what to do; nothing where they are not.

    Args:
        study: A study's settings as plain values; what is at its default may be left out.

    Example:
        >>> evaluation = {"shots": 16, "more_shots": [1, 4]}
        >>> print(few_dev_rows({"evaluation": evaluation, "methods": [{"name": "PT", "kind": "pt"}]})[0])
        At 1 example a class dev has as few rows, and choosing learning rate and step by them is luck: give \
`evaluation.fixed_recipe` a learning rate and steps, and nothing is chosen there (docs/study.md).
        >>> few_dev_rows({"evaluation": {**evaluation, "fixed_recipe": {"learning_rate": 0.1, "steps": 5}}})
        []
    """
    evaluation = study["evaluation"]
    recipe = evaluation.get("fixed_recipe")
    fixed = 0 if recipe is None else recipe.get("up_to", FEW_DEV_ROWS)
    select_by = {
        (method.get("tuning") or {}).get("select_by") or evaluation.get("select_by", "loss")
        for method in study.get("methods", [])
    }
    if not select_by - {"last"} or not evaluation.get("steps", 1):
        return []
    own = evaluation.get("shots", 16)
    few = [shots for shots in sorted({own, *evaluation.get("more_shots", [])}) if fixed < shots <= FEW_DEV_ROWS]
    if not few:
        return []
    at = f"At {' and '.join(map(str, few))} example{'s' * (few != [1])} a class"
    if few == [own]:
        cure = "take `evaluation.select_by: last` with one learning rate, and nothing is chosen"
    elif own in few:
        cure = (
            "make `shots` the largest number, and give `evaluation.fixed_recipe` a learning rate and steps: nothing is "
            "chosen there then"
        )
    else:
        cure = "give `evaluation.fixed_recipe` a learning rate and steps, and nothing is chosen there"
    luck = "dev has as few rows, and choosing learning rate and step by them is luck"
    return [f"{at} {luck}: {cure} (docs/study.md)."]
