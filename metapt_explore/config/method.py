"""Pre-training, and the methods that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from metapt_explore.config.init import InitConfig
from metapt_explore.config.limits import MOST_ENTRIES, MOST_SEARCHED, MOST_VALUES, ClusterId, Count, Rate, Seed
from metapt_explore.config.model import VerbalizerConfig
from metapt_explore.config.names import Name, Text
from metapt_explore.config.task import Strict
from metapt_explore.config.topics import TopicsConfig

#: Row passes that a Hessian product counts for: what it costs against a row's forward and backward in the
#: same, plain decoder. Measured with the starter model on a CPU: 2.5 in bfloat16, 2.9 in float32
#: (`benchmarks/full.py`, the records named `second-order`).
SECOND_ORDER_COST = 2.7


class PretrainingConfig(Strict):
    """Settings shared by every pre-training method; the number of backbone passes is the same for all."""

    steps: Count = Field(60, description="outer steps")
    meta_batch_size: int = Field(4, ge=1, le=10_000, description="auxiliary tasks per outer step")
    support_size: int = Field(8, ge=2, le=100_000, description="rows per task for the inner step")
    query_size: int = Field(8, ge=2, le=100_000, description="rows per task for the outer gradient")
    inner_lr: float = Field(
        0.03, gt=0, le=1e6, description="step size on a task's support rows (plain gradient descent)"
    )
    outer_lr: Rate = Field(0.01, description="step size of the prompt itself (Adam)")
    checkpoint_every: Count = Field(5, description="outer steps between two savings")


SelectBy = Literal["loss", "accuracy", "one_se"]


class TuningConfig(Strict):
    """How one method is tuned, where that is not what `evaluation` says; reports flag the difference.

    Only another order of the examples is no difference: it is luck, as a seed is.
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

    @property
    def of_evaluation(self) -> dict[str, Any]:
        """What is set here in the place of a setting of `evaluation`; the order of examples is none of them."""
        return self.model_dump(exclude_none=True, exclude={"order_seed"})


def tuning_terms(tuning: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What sets a method's tuning apart from another's: the order of its examples does not.

    Example:
        >>> tuning_terms({"steps": 90, "soup": None, "order_seed": 1}), tuning_terms({"order_seed": 1})
        ({'steps': 90}, None)
    """
    found = {key: value for key, value in (tuning or {}).items() if value is not None and key != "order_seed"}
    return found or None


#: Settings of methods that are pre-trained.
PRETRAINED_ONLY = ("outer_lr", "average_last", "topics")


class MethodConfig(Strict):
    """One row of the comparison."""

    name: Name = Field(description="what tables and figures call it")
    kind: Literal["pt", "ppt", "metapt"] = Field(
        description="pt: prompt tuning without pre-training; ppt: pre-trained on all texts together; metapt: "
        "meta-learned over clusters"
    )
    clustering: Text | Annotated[list[Text], Field(max_length=MOST_ENTRIES)] | None = Field(
        None, description="metapt: whose clusters are the tasks (several: those of all); ppt: the pool's rows"
    )
    without: list[ClusterId] = Field(
        default=[],
        max_length=MOST_VALUES,
        description="clusters that are left out of its tasks (`docs/why.md`: which cluster helps?)",
    )
    only: list[ClusterId] = Field(
        default=[], max_length=MOST_VALUES, description="clusters that its tasks are made of; all when absent"
    )
    init: InitConfig | None = Field(None, description="overrides prompt.init (pt only)")
    extra_tuning: bool = Field(
        False,
        description="pt: tunes on for as many rows as the others spend on pre-training; dev still chooses the step",
    )
    learner: Literal["maml", "reptile", "meta_sgd"] = Field(
        "maml", description="metapt: how the prompt is meta-learned"
    )
    order: Literal["first", "exact"] = Field(
        "first", description="maml, meta_sgd: exact differentiates through the inner steps, at more passes a step"
    )
    inner_steps: int = Field(1, ge=1, le=1000, description="metapt: gradient steps on each task's support rows")
    inner_lr: float | None = Field(None, gt=0, le=1e6, description="metapt: overrides pretraining.inner_lr")
    outer_lr: Rate | None = Field(None, description="ppt, metapt: overrides pretraining.outer_lr")
    average_last: float = Field(
        0.0, ge=0, le=1, description="ppt, metapt: the prompt is the mean over this share of the last outer steps"
    )
    pooled_weight: float = Field(
        0.0, ge=0, le=1, description="maml: share of the pooled objective in the outer gradient; it costs no pass"
    )
    task_weights: Literal["equal", "loss", "agreement"] = Field(
        "equal",
        description="maml: tasks of an episode count equally, by their query loss, or by how far their gradient agrees "
        "with the others'",
    )
    topics: TopicsConfig | None = Field(
        None, description="ppt, metapt: part of each outer step tells clusters apart, instead of labels (`topics.py`)"
    )
    tuning: TuningConfig | None = Field(None, description="overrides of evaluation for this method")
    verbalizer: VerbalizerConfig | None = Field(
        None, description="how this method's classes are read, where that is not the study's way; reports flag it"
    )

    @field_validator("clustering")
    @classmethod
    def _clusterings_differ(cls, clustering: str | list[str] | None) -> str | list[str] | None:
        if not isinstance(clustering, list):
            return clustering
        if not clustering or len(set(clustering)) != len(clustering):
            raise ValueError("the list is empty" if not clustering else "a clustering stands twice")
        return clustering if len(clustering) > 1 else clustering[0]

    @property
    def clusterings(self) -> list[str]:
        """The clusterings that its tasks are made of.

        Example:
            >>> MethodConfig(name="MetaPT", kind="metapt", clustering="kmeans").clusterings
            ['kmeans']
        """
        return [self.clustering] if isinstance(self.clustering, str) else list(self.clustering or [])

    @model_validator(mode="after")
    def _fits_kind(self) -> MethodConfig:
        if self.kind == "metapt" and self.clustering is None:
            raise ValueError("a metapt method needs `clustering`")
        if self.kind == "pt" and self.clustering is not None:
            raise ValueError("a pt method has no pre-training and takes no `clustering`")
        if (self.without or self.only) and self.clustering is None:
            raise ValueError("`without` and `only` name clusters and go with `clustering`")
        if self.topics is not None and (self.without or self.only):
            raise ValueError(
                "`without` and `only` go without `topics`, which would still tell the left-out clusters apart"
            )
        if self.without and self.only:
            raise ValueError("give `without` or `only`, not both")
        if self.kind != "pt" and self.extra_tuning:
            raise ValueError("`extra_tuning` belongs to pt: the other methods spend these rows on pre-training")
        if self.kind != "pt" and self.init is not None:
            raise ValueError("`init` belongs to pt; pre-trained methods all begin from prompt.init")
        refused = {"pt": PRETRAINED_ONLY, "ppt": (), "metapt": ()}[self.kind]
        if self.kind != "metapt":
            refused = ("learner", "order", "inner_steps", "inner_lr", "pooled_weight", "task_weights", *refused)
        for key in refused:
            if self.is_set(key):
                raise ValueError(f"`{key}` belongs to {'pre-trained' if key in PRETRAINED_ONLY else 'metapt'} methods")
        if self.learner != "maml" and (self.is_set("pooled_weight") or self.is_set("task_weights")):
            raise ValueError("`pooled_weight` and `task_weights` go with `learner: maml`")
        if self.learner == "reptile" and self.order == "exact":
            raise ValueError("reptile has no `order: exact`: it never differentiates through its inner steps")
        return self

    def is_set(self, key: str) -> bool:
        """Whether a setting differs from its default."""
        return bool(getattr(self, key) != type(self).model_fields[key].default)
