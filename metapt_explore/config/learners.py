"""Meta-learners: a class for each, and the list of all methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from metapt_explore.config.kinds import one_of
from metapt_explore.config.limits import MOST_ENTRIES
from metapt_explore.config.method import MethodConfig, PPTMethod, PretrainedMethod, PTMethod
from metapt_explore.config.names import Text
from metapt_explore.config.pretraining import SECOND_ORDER_COST, InnerOptimiser, PretrainingConfig


class MetaPTMethod(PretrainedMethod):
    """Settings shared by meta-learners: the prompt is meta-learned over clusters."""

    meta_learned = True
    kind: Literal["metapt"]
    learner: str = Field(description="how the prompt is meta-learned")
    clustering: Text | Annotated[list[Text], Field(max_length=MOST_ENTRIES)] = Field(
        description="whose clusters are the tasks (several: those of all)"
    )
    inner_steps: int = Field(1, ge=1, le=1000, description="inner steps on each task's support rows")
    inner_lr: float | None = Field(None, gt=0, le=1e6, description="overrides pretraining.inner_lr")
    inner_optimiser: InnerOptimiser | None = Field(None, description="overrides pretraining.inner_optimiser")

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
    learns_rates = True
    learner: Literal["meta_sgd"]


if TYPE_CHECKING:
    AnyMethod = MethodConfig
else:
    AnyMethod = one_of(MethodConfig, PTMethod, PPTMethod, MAMLMethod, ReptileMethod, MetaSGDMethod)
