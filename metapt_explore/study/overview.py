"""How far a study is, stage by stage, in a few words each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metapt_explore.config import StudyConfig
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.score_counts import SCORES, asked_scores, finished_scores


@dataclass(frozen=True)
class Step:
    """A step of the pipeline.

    Attributes:
        name: Texts, Clusters, Tasks, Prompts, Scores or Answer.
        status: ``none``, ``running``, ``partly`` or ``done``.
        said: What is there, in a few words; empty where nothing is.
    """

    name: str
    status: str
    said: str = ""


def pipeline(workspace: Workspace, config: StudyConfig) -> list[Step]:
    """The steps of a study with what exists; one that groups no texts, or compares no prompts, has fewer.

    Raises:
        UserError: Where the study's list is damaged.
    """
    index = workspace.index(config.name)
    seeds = len(config.evaluation.init_seeds)
    clusterings = {entry["clustering"] for entry in index if entry["kind"] == "clusters"}
    texts = _done(workspace, index, "texts")
    kept = f"{texts[0]['kept']:,} texts" if texts and "kept" in texts[0] else ""
    # One pool of all texts (PPT's) is no task that clusters made.
    made = _done(workspace, [entry for entry in index if entry.get("clustering") != "pool"], "tasks")
    total = sum(int(summary.get("tasks", 0)) for summary in made)
    scored, asked = finished_scores(workspace, config), asked_scores(config)
    answer = "none" if not scored else "done" if scored >= asked else "partly"
    clusters = _step(workspace, index, "Clusters", "clusters", len(config.clusterings), "clustering")
    grouped = [
        clusters if clusterings else Step("Clusters", "none"),
        Step("Tasks", "done" if made else "none", f"{total} auxiliary task{'s' if total != 1 else ''}" if made else ""),
    ]
    prompts = _step(workspace, index, "Prompts", "prompt", len(config.methods) * seeds, "prompt")
    return [
        Step("Texts", "done" if texts else "none", kept),
        *(grouped if config.clusterings else []),
        *([prompts] if config.methods else []),
        _scores(workspace, index, scored, asked),
        Step("Answer", answer, "compare methods" if scored else ""),
    ]


def _done(workspace: Workspace, index: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Summaries of the finished artifacts of a kind."""
    found = [workspace.artifact(entry["id"]) for entry in index if entry["kind"] == kind]
    return [artifact.summary for artifact in found if artifact.finished]


def _scores(workspace: Workspace, index: list[dict[str, Any]], scored: int, asked: int) -> Step:
    status = [workspace.artifact(entry["id"]).status for entry in index if entry["kind"] in SCORES]
    if not status:
        return Step("Scores", "none")
    said = f"{scored} of {asked} scores" if scored < asked else f"{scored} score{'s' if scored != 1 else ''}"
    return Step("Scores", "done" if scored >= asked else "running" if "running" in status else "partly", said)


def _step(workspace: Workspace, index: list[dict[str, Any]], name: str, kind: str, asked: int, noun: str) -> Step:
    entries = [entry for entry in index if entry["kind"] == kind]
    status = [workspace.artifact(entry["id"]).status for entry in entries]
    done = status.count("done")
    if not entries:
        return Step(name, "none")
    plural = "s" if asked != 1 else ""
    said = f"{done} of {asked} {noun}{plural}" if done < asked else f"{done} {noun}{plural}"
    if "damaged" in status:
        said += f", {status.count('damaged')} damaged"
    return Step(name, "done" if done >= asked else "running" if "running" in status else "partly", said)
