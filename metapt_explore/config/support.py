"""Support rows of an inner step that follow the number of labelled examples: `pretraining.support_shots`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from metapt_explore.config.auxiliary_tasks import AuxiliaryTasksConfig
from metapt_explore.config.evaluation import EvaluationConfig
from metapt_explore.config.pretraining import PretrainingConfig
from metapt_explore.config.task_formats import ClusterClassesFormat
from metapt_explore.errors import UserError

if TYPE_CHECKING:
    from metapt_explore.config.method import MethodConfig
    from metapt_explore.config.study import StudyConfig


def most_classes(auxiliary: AuxiliaryTasksConfig) -> int:
    """Classes of the auxiliary tasks that have most of them.

    Example:
        >>> most_classes(AuxiliaryTasksConfig.model_validate([{"format": "selection", "options": 4}]))
        4
    """
    counts = [len(auxiliary.labels)]
    for each in auxiliary.formats:
        reading = each.reading
        counts.append(
            each.classes[1] if isinstance(each, ClusterClassesFormat) else len(reading.labels if reading else ())
        )
    return max(counts)


def sized(pretraining: PretrainingConfig, auxiliary: AuxiliaryTasksConfig, shots: int) -> PretrainingConfig:
    """The settings with the support size that `support_shots` makes; the same where there is none.

    Args:
        pretraining: The settings.
        auxiliary: What tasks tell apart.
        shots: Labelled examples a class that prompts are tuned on.

    Example:
        >>> auxiliary = AuxiliaryTasksConfig.model_validate({"labels": {"no": "no", "maybe": "maybe", "yes": "yes"}})
        >>> [sized(PretrainingConfig(support_shots=s), auxiliary, 16).support_size for s in (2, "match", None)]
        [6, 48, 8]
    """
    if pretraining.support_shots is None:
        return pretraining
    each = shots if pretraining.support_shots == "match" else pretraining.support_shots
    return pretraining.model_copy(update={"support_size": each * most_classes(auxiliary)})


def pretrained_at(study: StudyConfig, method: MethodConfig) -> list[int | None]:
    """Numbers of examples that a method has a pre-training of its own for; None is the study's own number."""
    own = method.pretrained and study.pretraining.support_shots == "match"
    return [None, *(study.evaluation.more_shots if own else ())]


def other_shots(study: StudyConfig, shots: int | None) -> int | None:
    """A number of examples as stages are listed by it: None for the study's own.

    Args:
        study: The study.
        shots: The number; the study's own when absent.

    Raises:
        UserError: Where the study has no such number.

    Example:
        >>> from metapt_explore.config import load_study
        >>> other_shots(load_study("tour"), 8) is None
        True
    """
    asked = [study.evaluation.shots, *study.evaluation.more_shots]
    if shots is not None and shots not in asked:
        listed = ", ".join(map(str, sorted(asked)))
        raise UserError(
            f"Nothing of '{study.name}' is tuned on {shots} examples a class; its numbers (evaluation.shots and "
            f"more_shots) are {listed}."
        )
    return None if shots == study.evaluation.shots else shots


def with_support(tree: Any) -> Any:
    """A study's settings with the support size that `support_shots` makes; unchanged where there is none.

    Args:
        tree: The settings as they were read, or as they are validated.

    Raises:
        ValueError: Where another `support_size` stands beside it.
    """
    if not isinstance(tree, dict) or not isinstance(given := _plain(tree.get("pretraining")), dict):
        return tree
    if given.get("support_shots") is None:
        return tree
    try:
        asked = PretrainingConfig.model_validate({"support_shots": given["support_shots"]})
        auxiliary = AuxiliaryTasksConfig.model_validate(_plain(tree.get("auxiliary_tasks")))
        shots = EvaluationConfig.model_validate(_plain(tree.get("evaluation"))).shots
    except ValidationError:
        return tree  # said where these settings stand
    size, classes = sized(asked, auxiliary, shots).support_size, most_classes(auxiliary)
    if given.get("support_size", size) != size:
        raise ValueError(
            f"pretraining: `support_shots: {asked.support_shots}` makes `support_size` {size} ({size // classes} rows "
            f"of each of {classes} classes), not {given['support_size']}; leave `support_size` out"
        )
    return {**tree, "pretraining": {**given, "support_size": size}}


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value.model_dump() if hasattr(value, "model_dump") else value
