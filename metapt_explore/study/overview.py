"""How far a study is: its steps in a few words each, and how many scores are finished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from metapt_explore.config import EvaluationConfig, StudyConfig
from metapt_explore.config.ensembles import is_seeded
from metapt_explore.results.tables import OTHER_SHOTS
from metapt_explore.stages.registry import STAGES
from metapt_explore.stages.steps import Listed, Step
from metapt_explore.storage.workspace import Workspace

#: What it calls artifacts with scores.
SCORES = ("fewshot", "baseline", *OTHER_SHOTS)


def pipeline(workspace: Workspace, config: StudyConfig) -> list[Step]:
    """The steps of a study with what exists; one that groups no texts, or compares no prompts, has fewer.

    Raises:
        UserError: Where the study's list is damaged.
    """
    listed = Listed(workspace, config, workspace.index(config.name))
    steps = [stage.step(listed) for stage in STAGES]
    scored, asked = finished_scores(workspace, config), asked_scores(config)
    answer = "none" if not scored else "done" if scored >= asked else "partly"
    return [
        *(step for step in steps if step is not None),
        _scores(listed, scored, asked),
        Step("Answer", answer, "compare methods" if scored else ""),
    ]


def _scores(listed: Listed, scored: int, asked: int) -> Step:
    status = listed.statuses(*SCORES)
    if not status:
        return Step("Scores", "none")
    said = f"{scored} of {asked} scores" if scored < asked else f"{scored} score{'s' if scored != 1 else ''}"
    return Step("Scores", "done" if scored >= asked else "running" if "running" in status else "partly", said)


def asked_of(config: StudyConfig) -> dict[str, int]:
    """Scores that a study asks for on each task, by method or baseline.

    A score is the artifact of one initialisation seed; a baseline that has no initialisation counts once.

    Example:
        >>> from metapt_explore.config import load_study
        >>> asked_of(load_study("tour"))
        {'PT': 1, 'PPT': 1, 'MetaPT': 1, 'PPT and probe': 1}
    """
    seeds = len(config.evaluation.init_seeds)
    of = {method.name: seeds for method in config.methods}
    of |= {baseline.name: seeds if is_seeded(config, baseline) else 1 for baseline in config.baselines}
    more = config.evaluation.more_shots
    return of | {_at_shots(name, shots): count for shots in more for name, count in of.items()}


def asked_scores(config: StudyConfig) -> int:
    """All of them, over all tasks."""
    evaluation, own = config.evaluation, asked_of(config.model_copy(update={"evaluation": _at_own_shots(config)}))
    more = sum(asked_of(config).values()) - sum(own.values())
    return len(evaluation.tasks) * sum(own.values()) + len(evaluation.tasks_at_more_shots) * more


def _at_own_shots(config: StudyConfig) -> EvaluationConfig:
    return config.evaluation.model_copy(update={"more_shots": []})


def finished_of(workspace: Workspace, study: str) -> Counter[tuple[str, str]]:
    """Finished, current scores per (method, task).

    Raises:
        UserError: Where the study's list is damaged.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for entry in workspace.current_index(study):
        if entry["kind"] in SCORES and workspace.artifact(entry["id"]).finished:
            counts[_title(entry), str(entry["task"])] += 1
    return counts


def finished_scores(workspace: Workspace, config: StudyConfig) -> int:
    """All of them that the study asks for.

    Raises:
        UserError: Where the study's list is damaged.
    """
    asked = asked_of(config)
    return sum(count for (title, _), count in finished_of(workspace, config.name).items() if title in asked)


def _title(entry: Mapping[str, Any]) -> str:
    return _at_shots(entry["method"], entry["shots"]) if entry["kind"] in OTHER_SHOTS else str(entry["method"])


def _at_shots(method: str, shots: int) -> str:
    return f"{method}, {shots} example{'s' * (shots != 1)}"
