"""Where few-shot tuning begins: the prompt that is given, or what each data seed makes of it with its training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from torch import Tensor

from metapt_explore.fewshot.scoring import LabelledTexts
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import PatternVerbalizer


@dataclass(frozen=True)
class Begins:
    """What a data seed's start was made of, as results tell it.

    Attributes:
        demonstrations: Few-shot rows that stand in it.
        of_rows: Few-shot rows that there are.
        vectors: Vectors that demonstrations fill.
        cut: Whether their texts were cut.
        weights: Weight of each start in a mixture, by its name.
        mixture: What the weights come from.
    """

    demonstrations: int | None = None
    of_rows: int | None = None
    vectors: int | None = None
    cut: bool | None = None
    weights: Mapping[str, float] | None = None
    mixture: str | None = None

    def record(self) -> dict[str, Any]:
        """What is known, by name."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Starts:
    """The prompts that tuning begins from.

    Attributes:
        prompts: fp32 `[prompt_tokens, width]`, by data seed.
        begins: What each was made of; empty where all begin from the same prompt.
        row_passes: Rows sent forward and backward to make them.
        forward_rows: Rows sent forward only.
    """

    prompts: Mapping[int, Tensor]
    begins: Mapping[int, Begins] = field(default_factory=dict)
    row_passes: int = 0
    forward_rows: int = 0

    @property
    def differ(self) -> bool:
        """Whether data seeds have starts of their own."""
        return bool(self.begins)


@dataclass(frozen=True)
class TrainRows:
    """The few-shot training rows of all data seeds in one bank; dev and scored rows are not there.

    Attributes:
        backbone: The frozen model.
        pattern: Template and label words of the task.
        train: The rows of each data seed.
        objective: Losses over the bank.
        first: Where each data seed's rows begin in it.
    """

    backbone: Backbone
    pattern: PatternVerbalizer
    train: Mapping[int, LabelledTexts]
    objective: PromptObjective
    first: Mapping[int, int]

    @classmethod
    def of(cls, backbone: Backbone, pattern: PatternVerbalizer, train: Mapping[int, LabelledTexts]) -> TrainRows:
        """Puts the rows into a bank."""
        texts: list[TextInput] = []
        first = {}
        for seed, split in train.items():
            first[seed] = len(texts)
            texts += split.texts
        return cls(backbone, pattern, train, PromptObjective(backbone, backbone.bank(texts, pattern), pattern), first)


class StartMaker(Protocol):
    """Makes the starts of a task's data seeds."""

    def __call__(self, prompt: Tensor, rows: TrainRows) -> Starts:
        """Makes the start of each data seed from its own training rows.

        Args:
            prompt: The prompt that is given, fp32 `[prompt_tokens, width]`.
            rows: The training rows.
        """


def same_start(prompt: Tensor, rows: TrainRows) -> Starts:
    """Every data seed begins from the prompt that is given (see `StartMaker`)."""
    return Starts(dict.fromkeys(rows.train, prompt))
