"""The pre-training methods by name."""

from __future__ import annotations

from metapt_explore.pretraining.learner import Learner, PretrainingTask


def make_learner(pretraining_task: PretrainingTask) -> Learner:
    """Makes the learner of a study's method."""
    learner: Learner = pretraining_task.method.load("metapt_explore.pretraining")(pretraining_task)
    return learner
