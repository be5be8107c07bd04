"""What all pre-training methods share: sizes and rates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metapt_explore.config.limits import Count, Rate, Share
from metapt_explore.config.task import Strict

#: Row passes that a Hessian product counts for: what it costs against a row's forward and backward in the
#: same, plain decoder. Measured with the starter model on a CPU: 2.5 in bfloat16, 2.9 in float32
#: (`benchmarks/full.py`, the records named `second-order`).
SECOND_ORDER_COST = 2.7

#: Row passes that a row counts for where a method's gradient needs it forward only. Measured likewise: 0.49 in
#: bfloat16.
FORWARD_COST = 0.5

#: Rate of plain gradient steps where none is given: some fifty times shorter than a step of tuning.
GRADIENT_LR = 0.03

#: How a prompt moves on a task's support rows.
InnerOptimiser = Literal["gradient", "adam"]


class PretrainingConfig(Strict):
    """Settings shared by every pre-training method; `budget` says what all of them spend alike."""

    steps: Count = Field(60, description="outer steps")
    meta_batch_size: int = Field(4, ge=1, le=10_000, description="auxiliary tasks per outer step")
    support_size: int = Field(8, ge=2, le=100_000, description="rows per task for the inner step")
    support_shots: Count | Literal["match"] | None = Field(
        None,
        description="in place of `support_size`: so many rows of each class (of the tasks with most classes; others "
        "have more of each). match: as many as the labelled examples that prompts are tuned on; a study with "
        "`evaluation.more_shots` then pre-trains a prompt for each number",
    )
    query_size: int = Field(8, ge=2, le=100_000, description="rows per task for the outer gradient")
    inner_lr: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="step size on a task's support rows, in the inner optimiser's scale; when absent the middle one of "
        "`evaluation.learning_rates` with `adam` (of two the larger), and 0.03 with `gradient`",
    )
    inner_optimiser: InnerOptimiser | None = Field(
        None,
        description="adam: an inner step is what a tuning step is; gradient: plain gradient descent; when absent adam, "
        "but gradient where an `inner_lr` is given alone, and with `order: exact`",
    )
    outer_lr: Rate = Field(0.01, description="step size of the prompt itself (Adam)")
    budget: Literal["rows", "updates"] = Field(
        "rows",
        description="rows: a method whose outer step costs more row passes takes fewer of them; updates: every method "
        "takes `steps` outer steps, at unequal cost",
    )
    outer_schedule: Literal["constant", "cosine"] = Field(
        "constant", description="cosine: the outer rate falls towards 0 along half a cosine, for every method alike"
    )
    warmup: Share = Field(0.0, description="share of the outer steps over which the outer rate rises in equal parts")
    average_last: Share = Field(
        0.0, description="the prompt is the mean over this share of the last outer steps, for every method alike"
    )
    checkpoint_every: Count = Field(5, description="outer steps between two savings")
