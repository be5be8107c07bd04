"""A pipeline that computes nothing: for what stages say of themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from metapt_explore.config import StudyConfig
from metapt_explore.progress.state import Progress
from metapt_explore.stages.base import Stage
from metapt_explore.storage.artifact import Question
from metapt_explore.storage.workspace import Workspace


def fake_pipeline(config: StudyConfig, workspace: Any = "nowhere", **more: Any) -> Any:
    """Sees a study whose tasks and model nobody looks for."""
    model = SimpleNamespace(identity={"model": "hash"}, placement="suffix", device="cpu")
    seen = {"tasks": {}, "progress": Progress(), "model": model, "known": None, "goes_on": False}
    return SimpleNamespace(config=config, workspace=Workspace(workspace), **{**seen, **more})


def id_over(stage: Stage, **parents: str) -> str:
    """Id of a stage whose parents have these ids."""
    return Question(stage.kind, stage.title, stage.version, stage.config(), parents, stage.inputs()).id
