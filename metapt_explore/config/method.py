"""Pre-training, and the methods that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from metapt_explore.config.init import AnyInit, InitConfig
from metapt_explore.config.kinds import Kind, one_of
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

    @property
    def of_evaluation(self) -> dict[str, Any]:
        """Settings that replace those of `evaluation`; the order of examples is not one of them."""
        return self.model_dump(exclude_none=True, exclude={"order_seed"})


def tuning_terms(tuning: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A method's tuning settings without the order of its examples.

    Example:
        >>> tuning_terms({"steps": 90, "soup": None, "order_seed": 1}), tuning_terms({"order_seed": 1})
        ({'steps': 90}, None)
    """
    terms = {key: value for key, value in (tuning or {}).items() if value is not None and key != "order_seed"}
    return terms or None


class MethodConfig(Kind):
    """One row of the comparison. Each kind, and each meta-learner, has a class of its own.

    Attributes:
        pretrained: Whether its prompt is pre-trained.
        meta_learned: Whether it is meta-learned over auxiliary tasks.

    Example:
        >>> method = MethodConfig(name="MetaPT", kind="metapt", clustering="kmeans", order="exact")
        >>> type(method).__name__, method.clusterings, method.second_order
        ('MAMLMethod', ['kmeans'], True)
    """

    told_by = ("kind", "learner")
    kinds: ClassVar[dict[str, type[MethodConfig]]]
    pretrained: ClassVar[bool] = False
    meta_learned: ClassVar[bool] = False

    if TYPE_CHECKING:

        def __init__(self, **settings: Any) -> None: ...

    name: Name = Field(description="what tables and figures call it")
    kind: str = Field(description="pt, ppt or metapt")
    tuning: TuningConfig | None = Field(None, description="overrides of evaluation for this method")
    verbalizer: VerbalizerConfig | None = Field(
        None, description="how this method's classes are read, where that is not the study's way; reports flag it"
    )

    @property
    def clusterings(self) -> list[str]:
        """The clusterings that its tasks are made of."""
        return []

    @property
    def own_init(self) -> InitConfig | None:
        """Where its prompt begins, where that is not `prompt.init`."""
        return None

    @property
    def topic_tasks(self) -> TopicsConfig | None:
        """Its tasks that tell clusters apart."""
        return None

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
    init: AnyInit | None = Field(None, description="overrides prompt.init")
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
    average_last: float = Field(
        0.0, ge=0, le=1, description="the prompt is the mean over this share of the last outer steps"
    )
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


class MetaPTMethod(PretrainedMethod):
    """Settings shared by meta-learners: the prompt is meta-learned over clusters."""

    meta_learned = True
    kind: Literal["metapt"]
    learner: str = Field(description="how the prompt is meta-learned")
    clustering: Text | Annotated[list[Text], Field(max_length=MOST_ENTRIES)] = Field(
        description="whose clusters are the tasks (several: those of all)"
    )
    inner_steps: int = Field(1, ge=1, le=1000, description="gradient steps on each task's support rows")
    inner_lr: float | None = Field(None, gt=0, le=1e6, description="overrides pretraining.inner_lr")

    @model_validator(mode="before")
    @classmethod
    def _needs_clusters(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("clustering") is None:
            raise ValueError("a metapt method needs `clustering`")
        return given

    def row_passes_per_step(self, config: PretrainingConfig) -> float:
        """Row passes of one outer step.

        Example:
            >>> config = PretrainingConfig(meta_batch_size=4, support_size=8, query_size=8)
            >>> MethodConfig(name="m", kind="metapt", clustering="c", inner_steps=3).row_passes_per_step(config)
            128.0
        """
        per_inner_step = config.support_size * (1 + (SECOND_ORDER_COST if self.second_order else 0))
        return float(config.meta_batch_size * (self.inner_steps * per_inner_step + config.query_size))

    def rows_at_once(self, config: PretrainingConfig) -> int:
        """Support and query rows are passes of their own."""
        return config.meta_batch_size * max(config.support_size, config.query_size)


class DifferentiatedMethod(MetaPTMethod):
    """Settings shared by meta-learners that can differentiate through their inner steps."""

    order: Literal["first", "exact"] = Field(
        "first", description="exact differentiates through the inner steps, at more passes a step"
    )

    @property
    def second_order(self) -> bool:
        """Whether it differentiates through its inner steps."""
        return self.order == "exact"


class MAMLMethod(DifferentiatedMethod):
    """Meta-learned with MAML (Finn et al., 2017)."""

    title = "MAML"
    implementation = "maml:MAML"
    learner: Literal["maml"] = "maml"
    pooled_weight: float = Field(
        0.0, ge=0, le=1, description="share of the pooled objective in the outer gradient; it costs no pass"
    )
    task_weights: Literal["equal", "loss", "agreement"] = Field(
        "equal",
        description="tasks of an episode count equally, by their query loss, or by how far their gradient agrees "
        "with the others'",
    )


class ReptileMethod(MetaPTMethod):
    """Meta-learned with Reptile (Nichol et al., 2018)."""

    title = "Reptile"
    implementation = "reptile:Reptile"
    hints: ClassVar = {
        **PretrainedMethod.hints,
        "order": "it never differentiates through its inner steps",
    }
    learner: Literal["reptile"]


class MetaSGDMethod(DifferentiatedMethod):
    """Meta-learned with Meta-SGD, which learns the inner rates, too (Li et al., 2017)."""

    title = "Meta-SGD"
    implementation = "meta_sgd:MetaSGD"
    learner: Literal["meta_sgd"]


if TYPE_CHECKING:
    AnyMethod = MethodConfig
else:
    AnyMethod = one_of(MethodConfig, PTMethod, PPTMethod, MAMLMethod, ReptileMethod, MetaSGDMethod)
