"""The pre-training methods by name."""

from __future__ import annotations

from collections.abc import Callable

from metapt_explore.pretraining.learner import Learner, PretrainingTask
from metapt_explore.pretraining.maml import MAML
from metapt_explore.pretraining.meta_sgd import MetaSGD
from metapt_explore.pretraining.pooled import Pooled
from metapt_explore.pretraining.reptile import Reptile

#: Meta-learners of MetaPT, by `method.learner`.
META_LEARNERS: dict[str, Callable[[PretrainingTask], Learner]] = {"maml": MAML, "meta_sgd": MetaSGD, "reptile": Reptile}


def make_learner(pretraining_task: PretrainingTask) -> Learner:
    """Makes the learner of a study's method."""
    return (
        Pooled(pretraining_task)
        if pretraining_task.method.kind == "ppt"
        else META_LEARNERS[pretraining_task.method.learner](pretraining_task)
    )
