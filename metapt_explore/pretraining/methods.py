"""The pre-training methods by name."""

from __future__ import annotations

from collections.abc import Callable

from metapt_explore.pretraining.learner import Learner, Setting
from metapt_explore.pretraining.maml import FirstOrderMAML
from metapt_explore.pretraining.pooled import Pooled

METHODS: dict[str, Callable[[Setting], Learner]] = {"ppt": Pooled, "metapt": FirstOrderMAML}


def make_learner(kind: str, setting: Setting) -> Learner:
    """Makes the method called `kind` in a study (`ppt` or `metapt`)."""
    return METHODS[kind](setting)
