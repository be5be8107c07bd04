"""How far a kind of stage is, for the overview of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metapt_explore.config import StudyConfig
from metapt_explore.storage.workspace import Workspace


@dataclass(frozen=True)
class Step:
    """A step of the pipeline, for the overview of a study.

    Attributes:
        name: Texts, Clusters, Tasks, Prompts, Scores or Answer.
        status: ``none``, ``running``, ``partly`` or ``done``.
        said: What is there, in a few words; empty where nothing is.
    """

    name: str
    status: str
    said: str = ""


@dataclass(frozen=True)
class Listed:
    """A study's list of artifacts, for overviews; nothing is computed.

    Attributes:
        workspace: Where the artifacts lie.
        config: The study.
        index: Its list.
    """

    workspace: Workspace
    config: StudyConfig
    index: Sequence[Mapping[str, Any]]

    def entries(self, *kinds: str) -> list[Mapping[str, Any]]:
        """The entries of these kinds."""
        return [entry for entry in self.index if entry["kind"] in kinds]

    def statuses(self, *kinds: str) -> list[str]:
        """Status of each of their artifacts."""
        return [self.workspace.artifact(entry["id"]).status for entry in self.entries(*kinds)]

    def summaries(self, kind: str) -> list[tuple[Mapping[str, Any], dict[str, Any]]]:
        """The finished ones: entry and summary."""
        made = [(entry, self.workspace.artifact(entry["id"])) for entry in self.entries(kind)]
        return [(entry, artifact.summary) for entry, artifact in made if artifact.finished]

    def counted(self, name: str, *kinds: str, asked: int, noun: str) -> Step:
        """A step that says how many of these kinds are done."""
        status = self.statuses(*kinds)
        if not status:
            return Step(name, "none")
        done, plural = status.count("done"), "s" if asked != 1 else ""
        said = f"{done} of {asked} {noun}{plural}" if done < asked else f"{done} {noun}{plural}"
        if "damaged" in status:
            said += f", {status.count('damaged')} damaged"
        return Step(name, "done" if done >= asked else "running" if "running" in status else "partly", said)
