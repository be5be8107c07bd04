"""A small study whose support rows follow the labelled examples (`pretraining.support_shots`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny

from metapt_explore.config import StudyConfig, parse

SIZES = {"steps": 2, "meta_batch_size": 2, "query_size": 4, "inner_lr": 0.5, "outer_lr": 0.05}


def config_of(world: Path, shots: Any, more: list[int] | None = None, **sizes: Any) -> StudyConfig:
    """A study whose auxiliary tasks have two classes."""
    tree = tiny.study_tree(world, evaluation={"data_seeds": [1], "more_shots": more or []})
    tree["evaluation"]["tasks"] = tree["evaluation"]["tasks"][:1]
    tree["pretraining"] = {**SIZES, **({} if shots is None else {"support_shots": shots}), **sizes}
    return parse(StudyConfig, tree, "test")
