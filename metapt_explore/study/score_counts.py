"""How many of a study's scores are there: of methods at every number of examples, and of baselines."""

from __future__ import annotations

from collections import Counter
from typing import Any

from metapt_explore.config import StudyConfig
from metapt_explore.results.tables import OTHER_SHOTS
from metapt_explore.storage.workspace import Workspace

#: What a study's list calls artifacts with scores.
SCORES = ("fewshot", OTHER_SHOTS, "baseline")


def asked_of(config: StudyConfig) -> dict[str, int]:
    """Scores that a study asks for on each of its tasks, by what they are scores of.

    A score is the artifact of one initialisation seed; a baseline that has no initialisation counts once.

    Example:
        >>> from metapt_explore.config import load_study
        >>> asked_of(load_study("tour"))
        {'PT': 1, 'PPT': 1, 'MetaPT': 1}
    """
    seeds = len(config.evaluation.init_seeds)
    asked = {method.name: seeds for method in config.methods}
    for shots in config.evaluation.more_shots:
        asked |= {_at_shots(method.name, shots): seeds for method in config.methods}
    return asked | {baseline.name: seeds if baseline.seeded else 1 for baseline in config.baselines}


def asked_scores(config: StudyConfig) -> int:
    """All of them, over all tasks."""
    return len(config.evaluation.tasks) * sum(asked_of(config).values())


def finished_of(workspace: Workspace, study: str) -> Counter[tuple[str, str]]:
    """Scores that are there and answer what is asked now, by what they are scores of and task.

    Raises:
        UserError: Where the study's list is damaged.
    """
    found: Counter[tuple[str, str]] = Counter()
    for entry in workspace.current_index(study):
        if entry["kind"] in SCORES and workspace.artifact(entry["id"]).finished:
            found[_title(entry), str(entry["task"])] += 1
    return found


def finished_scores(workspace: Workspace, config: StudyConfig) -> int:
    """All of them that the study asks for.

    Raises:
        UserError: Where the study's list is damaged.
    """
    asked = asked_of(config)
    return sum(count for (title, _), count in finished_of(workspace, config.name).items() if title in asked)


def _title(entry: dict[str, Any]) -> str:
    return _at_shots(entry["method"], entry["shots"]) if entry["kind"] == OTHER_SHOTS else str(entry["method"])


def _at_shots(method: str, shots: int) -> str:
    return f"{method}, {shots} examples"
