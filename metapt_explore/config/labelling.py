"""Where the labels of unlabelled pre-training texts come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from metapt_explore.config.limits import MOST_CLASSES, MOST_SEARCHED, Share
from metapt_explore.config.names import Text
from metapt_explore.config.task import SourceConfig, Strict


class LabellingConfig(Strict):
    """Gives pre-training texts labels: by the language model itself, or by a classifier.

    Example:
        >>> LabellingConfig(by="zero_shot", cutoff={"negative": 0.9, "positive": 0.7}).cutoff_of("positive")
        0.7
    """

    by: Literal["zero_shot", "classifier"] = Field(
        description="zero_shot: the language model reads auxiliary_tasks' template and label words, without a prompt; "
        "classifier: logistic regression on sentence embeddings, trained on `train`"
    )
    which: Literal["unlabelled", "all"] = Field(
        "unlabelled",
        description="unlabelled: texts without any label (one whose label is no class stays as it is); all: labels of "
        "the data are set aside, and compared with in the summary",
    )
    cutoff: Share | Annotated[dict[str, Share], Field(max_length=MOST_CLASSES)] = Field(
        0.0, description="confidence below which a text stays unlabelled: one number, or one for each class"
    )
    most_per_class: int | None = Field(
        None, ge=1, le=1_000_000_000, description="the most confident texts of each class are kept"
    )
    calibration: Literal["batch_mean", "content_free", "none"] = Field(
        "batch_mean", description="zero_shot: takes off what the model says of all texts, or of texts that say nothing"
    )
    content_free: list[Text] = Field(
        ["N/A", "nothing", "..."], min_length=1, max_length=MOST_SEARCHED, description="texts that say nothing"
    )
    train: SourceConfig | None = Field(None, description="classifier: labelled rows to learn from")

    @field_validator("cutoff", mode="before")
    @classmethod
    def _are_confidences(cls, cutoff: Any) -> Any:
        values = list(cutoff.values()) if isinstance(cutoff, dict) else [cutoff]
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
            raise ValueError("give a confidence between 0 and 1, or a mapping of classes to confidences")
        if any(not 0 <= value <= 1 for value in values):
            raise ValueError("a confidence lies between 0 and 1")
        # YAML reads a class called 0 as a number.
        return {str(name): value for name, value in cutoff.items()} if isinstance(cutoff, dict) else cutoff

    @model_validator(mode="after")
    def _classifier_learns_from_something(self) -> LabellingConfig:
        if (self.by == "classifier") != (self.train is not None):
            raise ValueError("`train` (labelled rows) goes with `by: classifier`, and only with it")
        if self.by == "classifier":
            for key in ("calibration", "content_free"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"`{key}` belongs to `by: zero_shot`")
        if self.train is not None and self.train.starter is None and self.train.columns.label is None:
            raise ValueError(f"{self.train.name} needs a label column; set `train: {{columns: {{label: ...}}}}`")
        return self

    def cutoff_of(self, name: str) -> float:
        """The confidence that a class asks for; 0 where a mapping does not name it."""
        return self.cutoff.get(name, 0.0) if isinstance(self.cutoff, dict) else self.cutoff
