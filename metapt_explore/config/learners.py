"""Meta-learners: a class for each, and the list of all methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from metapt_explore.config.kinds import one_of
from metapt_explore.config.limits import MOST_ENTRIES
from metapt_explore.config.method import MethodConfig, PPTMethod, PretrainedMethod, PTMethod
from metapt_explore.config.names import Text
from metapt_explore.config.pretraining import FORWARD_COST, SECOND_ORDER_COST, InnerOptimiser, PretrainingConfig
from metapt_explore.config.tuning import GATE_TEMPERATURE

#: Families of starts: the gate sends the support rows through the model once for each.
MOST_FAMILIES = 64


class ClusterTasksMethod(PretrainedMethod):
    """Settings shared by methods that learn from clusters as tasks."""

    meta_learned = True
    kind: Literal["metapt"]
    learner: str = Field(description="how the prompt is meta-learned")
    clustering: Text | Annotated[list[Text], Field(max_length=MOST_ENTRIES)] = Field(
        description="whose clusters are the tasks (several: those of all)"
    )

    @model_validator(mode="before")
    @classmethod
    def _needs_clusters(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("clustering") is None:
            raise ValueError("a metapt method needs `clustering`")
        return given


class MetaPTMethod(ClusterTasksMethod):
    """Settings shared by meta-learners: the prompt is meta-learned by inner steps on each cluster."""

    inner_steps: int = Field(1, ge=1, le=1000, description="inner steps on each task's support rows")
    inner_lr: float | None = Field(None, gt=0, le=1e6, description="overrides pretraining.inner_lr")
    inner_optimiser: InnerOptimiser | None = Field(None, description="overrides pretraining.inner_optimiser")

    def inner_optimiser_among(self, shared: PretrainingConfig) -> InnerOptimiser:
        """How its inner steps are taken: as tuning's, unless something else is said.

        An `inner_lr` that stands alone is the rate of plain gradient steps, which every study file meant before there
        was a choice; `order: exact` has a derivative for these only.

        Args:
            shared: Settings of the study's pre-training.

        Example:
            >>> method = MethodConfig(name="m", kind="metapt", clustering="c")
            >>> method.inner_optimiser_among(PretrainingConfig())
            'adam'
            >>> method.inner_optimiser_among(PretrainingConfig(inner_lr=0.03))
            'gradient'
        """
        plain = self.second_order or self.inner_lr or shared.inner_lr
        return self.inner_optimiser or shared.inner_optimiser or ("gradient" if plain else "adam")

    def row_passes_per_step(self, config: PretrainingConfig) -> float:
        """Row passes of one outer step.

        Example:
            >>> config = PretrainingConfig(meta_batch_size=4, support_size=8, query_size=8)
            >>> MethodConfig(name="m", kind="metapt", clustering="c", inner_steps=3).row_passes_per_step(config)
            128.0
        """
        per_inner_step = config.support_size * (1 + (SECOND_ORDER_COST if self.second_order else 0))
        forward = FORWARD_COST * self.forward_rows_per_task(config)
        return float(config.meta_batch_size * (self.inner_steps * per_inner_step + config.query_size + forward))

    def forward_rows_per_task(self, config: PretrainingConfig) -> int:
        """Rows that a task sends forward only in an outer step because the gradient needs their loss."""
        return 0

    def support_rows_per_task(self, config: PretrainingConfig) -> int:
        """Support rows that a task draws in an outer step; each inner step is taken on `support_size` of them."""
        return config.support_size

    def rows_at_once(self, config: PretrainingConfig) -> int:
        """Support and query rows are passes of their own."""
        return config.meta_batch_size * max(config.support_size, config.query_size)


class DifferentiatedMethod(MetaPTMethod):
    """Settings shared by meta-learners that can differentiate through their inner steps."""

    order: Literal["first", "exact"] = Field(
        "first", description="exact differentiates through the inner steps, at more passes a step"
    )
    adapted: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the prompt's vectors that the inner steps adapt, the last ones; the first ones are "
        "shared by all tasks (ANIL, CAVIA). Tuning moves all, unless `tuning.adapted_only` says otherwise",
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


class TrajectoryMethod(MetaPTMethod):
    """Settings shared by meta-learners that learn from the way of each task's own training."""

    hints: ClassVar = {
        **PretrainedMethod.hints,
        "order": "it never differentiates through its inner steps",
    }
    inner_rows: Literal["new", "same"] = Field(
        "new", description="each inner step has support rows of its own, as many as `support_size`, or all the same"
    )

    def support_rows_per_task(self, config: PretrainingConfig) -> int:
        """Support rows that a task draws in an outer step; each inner step is taken on `support_size` of them.

        Example:
            >>> method = MethodConfig(name="m", kind="metapt", learner="reptile", clustering="c", inner_steps=3)
            >>> method.support_rows_per_task(PretrainingConfig(support_size=8))
            24
        """
        return config.support_size * (self.inner_steps if self.inner_rows == "new" else 1)


class ReptileMethod(TrajectoryMethod):
    """Meta-learned with Reptile (Nichol et al., 2018)."""

    title = "Reptile"
    implementation = "reptile:Reptile"
    learner: Literal["reptile"]


class LeapMethod(TrajectoryMethod):
    """Meta-learned with Leap, which shortens the way of each task's training (Flennerhag et al., 2019)."""

    title = "Leap"
    implementation = "leap:Leap"
    learner: Literal["leap"]
    path: Literal["length", "energy"] = Field(
        "length", description="what is shortened: the way's length, or its energy, by which long steps count more"
    )

    def forward_rows_per_task(self, config: PretrainingConfig) -> int:
        """Support and query rows: the loss of each step is taken before and after it.

        Example:
            >>> config = PretrainingConfig(meta_batch_size=4, support_size=8, query_size=8)
            >>> LeapMethod(name="m", kind="metapt", learner="leap", clustering="c").row_passes_per_step(config)
            96.0
        """
        return self.support_rows_per_task(config) + config.query_size


class MetaSGDMethod(DifferentiatedMethod):
    """Meta-learned with Meta-SGD, which learns the inner rates, too (Li et al., 2017)."""

    title = "Meta-SGD"
    implementation = "meta_sgd:MetaSGD"
    learns_rates = True
    learner: Literal["meta_sgd"]
    rates: Literal["number", "vector", "step", "vector_and_step"] = Field(
        "number",
        description="what has an inner rate of its own: each number of the prompt, each vector, each inner step, or "
        "each vector in each step",
    )


class PromptPerClusterMethod(ClusterTasksMethod):
    """A prompt for each cluster (SPoT, Vu et al., 2022; mixed as in ATTEMPT, Asai et al., 2022)."""

    title = "a prompt for each cluster"
    implementation = "prompt_per_cluster:PromptPerCluster"
    starts_called = "task"
    hints: ClassVar = {
        **PretrainedMethod.hints,
        **dict.fromkeys(("inner_steps", "inner_lr", "inner_optimiser", "order"), "it takes no inner steps"),
    }
    learner: Literal["prompt_per_cluster"]

    @model_validator(mode="after")
    def _has_no_topics(self) -> Self:
        if self.topics is not None:
            raise ValueError("`topics` goes with learners of one prompt: a topic is no cluster that has a prompt")
        return self

    def rows_at_once(self, config: PretrainingConfig) -> int:
        """All rows of a step are one pass."""
        return config.meta_batch_size * (config.support_size + config.query_size)


class HSMLMethod(MetaPTMethod):
    """Meta-learned with a start for each task, mixed of families by a gate (HSML, Yao et al., 2019; simplified)."""

    title = "HSML (a gate over families of starts)"
    implementation = "hsml:HSML"
    starts_called = "family"
    hints: ClassVar = {
        **PretrainedMethod.hints,
        "order": "it is first order: neither steps nor gate are differentiated",
    }
    learner: Literal["hsml"]
    families: int = Field(
        4, ge=2, le=MOST_FAMILIES, description="starts that are learned, of which each task has a mix"
    )
    temperature: float = Field(
        GATE_TEMPERATURE, gt=0, le=1e6, description="of the gate over families: the lower, the more the best one counts"
    )

    def forward_rows_per_task(self, config: PretrainingConfig) -> int:
        """Support rows, once for each family: the gate looks at the loss of each start.

        Example:
            >>> config = PretrainingConfig(meta_batch_size=4, support_size=8, query_size=8)
            >>> HSMLMethod(name="m", kind="metapt", learner="hsml", clustering="c").row_passes_per_step(config)
            128.0
        """
        return self.families * config.support_size

    def rows_at_once(self, config: PretrainingConfig) -> int:
        """The gate's rows are one pass."""
        return max(super().rows_at_once(config), config.meta_batch_size * self.families * config.support_size)

    @property
    def own_temperature(self) -> float:
        """Temperature of its gate, where `tuning` has no other."""
        return self.temperature


if TYPE_CHECKING:
    AnyMethod = MethodConfig
else:
    AnyMethod = one_of(
        MethodConfig,
        PTMethod,
        PPTMethod,
        MAMLMethod,
        ReptileMethod,
        MetaSGDMethod,
        LeapMethod,
        HSMLMethod,
        PromptPerClusterMethod,
    )
