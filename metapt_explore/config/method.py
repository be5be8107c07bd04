"""The methods that are compared: prompt tuning, and what pre-trained methods share. Meta-learners: `learners.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from metapt_explore.config.init import AnyInit, InitConfig
from metapt_explore.config.kinds import Kind
from metapt_explore.config.limits import MOST_ENTRIES, MOST_VALUES, ClusterId, Rate, Share
from metapt_explore.config.model import VerbalizerConfig
from metapt_explore.config.names import Name, Text
from metapt_explore.config.pretraining import PretrainingConfig
from metapt_explore.config.topics import TopicsConfig
from metapt_explore.config.tuning import GATE_TEMPERATURE, TuningConfig


class MethodConfig(Kind):
    """One row of the comparison. Each kind, and each meta-learner, has a class of its own.

    Attributes:
        pretrained: Whether its prompt is pre-trained.
        meta_learned: Whether it is meta-learned over auxiliary tasks.
        learns_rates: Whether it learns inner rates, one for each number of the prompt.
        starts_called: What its several starts belong to, of which few-shot rows choose a mixture; empty for one start.

    Example:
        >>> method = MethodConfig(name="MetaPT", kind="metapt", clustering="kmeans", order="exact")
        >>> type(method).__name__, method.clusterings, method.second_order
        ('MAMLMethod', ['kmeans'], True)
    """

    told_by = ("kind", "learner")
    kinds: ClassVar[dict[str, type[MethodConfig]]]
    pretrained: ClassVar[bool] = False
    meta_learned: ClassVar[bool] = False
    learns_rates: ClassVar[bool] = False
    starts_called: ClassVar[str] = ""

    if TYPE_CHECKING:

        def __init__(self, **settings: Any) -> None: ...

    name: Name = Field(description="what tables and figures call it")
    kind: str = Field(description="pt, ppt or metapt")
    tuning: TuningConfig | None = Field(None, description="overrides of evaluation for this method")
    verbalizer: VerbalizerConfig | None = Field(
        None, description="how this method's classes are read, where that is not the study's way; reports flag it"
    )

    @model_validator(mode="after")
    def _keeps_rates_that_are_learned(self) -> Self:
        if self.tuning is not None and self.tuning.keep_rates is not None and not self.learns_rates:
            raise ValueError("`tuning.keep_rates` goes with a learner that learns inner rates (`learner: meta_sgd`)")
        if self.tuning is not None and self.tuning.adapted_only is not None and self.adapted_share == 1:
            raise ValueError("`tuning.adapted_only` goes with a method that has `adapted` below 1")
        return self

    @model_validator(mode="after")
    def _mixes_starts_that_are_learned(self) -> Self:
        if self.tuning is not None and self.tuning.mixture_keys and not self.starts_called:
            raise ValueError(
                f"`tuning.{self.tuning.mixture_keys[0]}` goes with a learner of several starts "
                "(`learner: hsml`, `prompt_per_cluster`)"
            )
        return self

    @model_validator(mode="after")
    def _demonstrations_stand_once(self) -> Self:
        if self.added_vectors and (self.from_demonstrations or self.starts_called):
            other = "`init: demonstrations`" if self.from_demonstrations else "a learner of several starts"
            raise ValueError(f"`tuning.demonstrations` does not go with {other}")
        return self

    @property
    def clusterings(self) -> list[str]:
        """The clusterings that its tasks are made of."""
        return []

    @property
    def own_init(self) -> InitConfig | None:
        """Where its prompt begins, where that is not `prompt.init`."""
        return None

    @property
    def from_demonstrations(self) -> bool:
        """Whether the whole prompt begins as each data seed's few-shot rows."""
        return self.own_init is not None and self.own_init.of_few_shot_rows

    @property
    def added_vectors(self) -> int:
        """Vectors that tuning puts behind the prompt, made of each data seed's few-shot rows."""
        return (self.tuning.demonstrations or 0) if self.tuning is not None else 0

    @property
    def topic_tasks(self) -> TopicsConfig | None:
        """Its tasks that tell clusters apart."""
        return None

    @property
    def keeps_rates(self) -> bool:
        """Whether tuning goes on with inner rates that pre-training learned."""
        return self.learns_rates and not (self.tuning is not None and self.tuning.keep_rates is False)

    @property
    def adapted_share(self) -> float:
        """Share of the prompt's vectors that its inner steps adapt, the last ones."""
        share: float = getattr(self, "adapted", 1.0)
        return share

    @property
    def tuned_share(self) -> float:
        """Share of the prompt's vectors that tuning moves, the last ones."""
        return self.adapted_share if self.tuning is not None and self.tuning.adapted_only else 1.0

    @property
    def mixture(self) -> dict[str, Any] | None:
        """How few-shot rows choose among its starts, and the gate's temperature; None for a method of one start."""
        if not self.starts_called:
            return None
        given = self.tuning.model_dump(include=set(self.tuning.mixture_keys)) if self.tuning is not None else {}
        chosen = {"mixture": "gate", "temperature": self.own_temperature, **given}
        return chosen if chosen["mixture"] == "gate" else {"mixture": chosen["mixture"]}

    @property
    def own_temperature(self) -> float:
        """Temperature of its gate, where `tuning` has no other."""
        return GATE_TEMPERATURE

    @property
    def second_order(self) -> bool:
        """Whether it differentiates through its inner steps."""
        return False

    def row_passes_per_step(self, config: PretrainingConfig) -> float:
        """Row passes of one outer step."""
        return float(config.meta_batch_size * (config.support_size + config.query_size))

    def rows_at_once(self, config: PretrainingConfig) -> int:
        """Rows of the largest single pass of its pre-training; 0 without any."""
        return 0

    def is_set(self, key: str) -> bool:
        """Whether a setting differs from its default."""
        field = type(self).model_fields.get(key)
        return field is not None and bool(getattr(self, key) != field.default)


class PTMethod(MethodConfig):
    """Prompt tuning without pre-training."""

    title = "prompt tuning without pre-training"
    hints: ClassVar = {"clustering": "it has no pre-training"}
    kind: Literal["pt"]
    init: AnyInit | None = Field(
        None, description="overrides prompt.init; `demonstrations`: each data seed begins from its own few-shot rows"
    )
    extra_tuning: bool = Field(
        False,
        description="tunes on for as many rows as the others spend on pre-training; dev still chooses the step",
    )

    @property
    def own_init(self) -> InitConfig | None:
        """Where its prompt begins, where that is not `prompt.init`."""
        return self.init


class PretrainedMethod(MethodConfig):
    """Settings shared by pre-trained methods."""

    pretrained = True
    hints: ClassVar = {
        "init": "pre-trained methods all begin from prompt.init",
        "extra_tuning": "the other methods spend these rows on pre-training",
    }
    clustering: Text | Annotated[list[Text], Field(max_length=MOST_ENTRIES)] | None = Field(
        None, description="whose rows are the pool, where not all labelled rows are"
    )
    without: list[ClusterId] = Field(
        default=[],
        max_length=MOST_VALUES,
        description="clusters that are left out of its tasks (`docs/why.md`: which cluster helps?)",
    )
    only: list[ClusterId] = Field(
        default=[], max_length=MOST_VALUES, description="clusters that its tasks are made of; all when absent"
    )
    outer_lr: Rate | None = Field(None, description="overrides pretraining.outer_lr")
    average_last: Share | None = Field(None, description="overrides pretraining.average_last")
    topics: TopicsConfig | None = Field(
        None, description="part of each outer step tells clusters apart, instead of labels (`topics.py`)"
    )

    @field_validator("clustering")
    @classmethod
    def _clusterings_differ(cls, clustering: str | list[str] | None) -> str | list[str] | None:
        if not isinstance(clustering, list):
            return clustering
        if not clustering or len(set(clustering)) != len(clustering):
            raise ValueError("the list is empty" if not clustering else "a clustering stands twice")
        return clustering if len(clustering) > 1 else clustering[0]

    @model_validator(mode="after")
    def _clusters_are_chosen_once(self) -> Self:
        if (self.without or self.only) and self.clustering is None:
            raise ValueError("`without` and `only` name clusters and go with `clustering`")
        if self.topics is not None and (self.without or self.only):
            raise ValueError(
                "`without` and `only` go without `topics`, which would still tell the left-out clusters apart"
            )
        if self.without and self.only:
            raise ValueError("give `without` or `only`, not both")
        return self

    @property
    def clusterings(self) -> list[str]:
        """The clusterings that its tasks are made of."""
        return [self.clustering] if isinstance(self.clustering, str) else list(self.clustering or [])

    @property
    def topic_tasks(self) -> TopicsConfig | None:
        """Its tasks that tell clusters apart."""
        return self.topics


class PPTMethod(PretrainedMethod):
    """Pre-trained on all texts together (Gu et al., 2022)."""

    title = "pre-trained on all texts together"
    implementation = "pooled:Pooled"
    kind: Literal["ppt"]

    def rows_at_once(self, config: PretrainingConfig) -> int:
        """All rows of a step are one pass."""
        return config.meta_batch_size * (config.support_size + config.query_size)
