"""What each data seed's tuning begins from, as part of a few-shot stage: its settings, its maker and its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metapt_explore.config import MethodConfig, StudyConfig, TaskConfig
from metapt_explore.config.learners import HSMLMethod
from metapt_explore.config.tuning import MIXTURE_STEPS
from metapt_explore.cost.count import Work
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.integrity import payloads

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from metapt_explore.fewshot.starts import StartMaker

#: Clusters of a clustering that finds their number itself, as a guess.
UNKNOWN_CLUSTERS = 8


def begins_settings(method: MethodConfig) -> dict[str, Any]:
    """What enters a stage's id, where tuning does not begin from the prompt as it is.

    Example:
        >>> begins_settings(MethodConfig(name="PT", kind="pt"))
        {}
        >>> begins_settings(MethodConfig(name="CT", kind="pt", init="demonstrations"))
        {'begins': 'demonstrations'}
    """
    if method.from_demonstrations:
        return {"begins": "demonstrations"}
    if method.added_vectors:
        return {"begins": {"demonstrations": method.added_vectors}}
    return {"begins": method.mixture} if method.mixture is not None else {}


def start_maker(
    method: MethodConfig, prompt: Artifact, task: TaskConfig, *, where: str, device: torch.device
) -> StartMaker:
    """What makes each data seed's start.

    Args:
        method: The method.
        prompt: Its prompt.
        task: The task.
        where: What to call the task in messages.
        device: The model's.
    """
    from metapt_explore.fewshot.demonstrations import FromDemonstrations
    from metapt_explore.fewshot.mixture import FromMixture
    from metapt_explore.fewshot.starts import same_start
    from metapt_explore.pretraining.gate import OFFSETS

    if method.from_demonstrations or method.added_vectors:
        return FromDemonstrations(task, where, added=method.added_vectors)
    if method.mixture is None:
        return same_start
    names = [f"{method.starts_called} {number}" for number in prompt.summary["starts"]]
    return FromMixture(prompt.tensors("prompt")[OFFSETS].to(device), names, **method.mixture)


def choosing_work(method: MethodConfig, study: StudyConfig, rows: int) -> Work:
    """Rows that choosing a mixture takes.

    Args:
        method: The method.
        study: The study.
        rows: Training rows of all data seeds that are tuned together.
    """
    if method.mixture is None or method.mixture["mixture"] == "mean":
        return Work()
    if method.mixture["mixture"] == "learned":
        return Work(trained=MIXTURE_STEPS * rows)
    if isinstance(method, HSMLMethod):
        return Work(scored=method.families * rows)
    asked = [getattr(study.clustering(name), "n_clusters", UNKNOWN_CLUSTERS) for name in method.clusterings]
    return Work(scored=sum(asked) * rows)


def own_starts(evaluation: Artifact) -> dict[str, Tensor]:
    """Where each data seed began, by name as in ``prompts``; empty where all began from the prompt as it is."""
    return evaluation.tensors("starts") if "starts.safetensors" in payloads(evaluation.folder) else {}
