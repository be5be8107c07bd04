"""What a record says of each downstream task."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from metapt_explore.config import StudyConfig, TaskConfig, load_study_task
from metapt_explore.errors import UserError
from metapt_explore.results.tables import split_samples
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace


def task_facts(workspace: Workspace, config: StudyConfig, done: list[IndexEntry]) -> list[dict[str, Any]]:
    """Title, template, words, sizes, checksums and samples of each task.

    Args:
        workspace: Where the study lies.
        config: The study.
        done: Entries of its list that are finished.
    """
    known: dict[str, TaskConfig] = {}
    for source in config.evaluation.tasks:
        # The file may be gone; its results are still here.
        with suppress(UserError):
            loaded = load_study_task(config.evaluation, source)
            known[loaded.name] = loaded
    records = []
    for entry in done:
        if entry["kind"] != "split":
            continue
        artifact = workspace.artifact(entry["id"])
        task, summary = known.get(entry["task"]), artifact.summary
        records.append(
            {
                "name": entry["task"],
                "title": task.title if task else "",
                "sentiment": task.sentiment if task else None,
                "template": task.template if task else None,
                "words": {name: label.words for name, label in task.labels.items()} if task else {},
                "classes": list(artifact.stage["config"]["labels"]),
                "shots": artifact.stage["config"]["shots"],
                **({"max_tokens": task.max_tokens} if task and task.max_tokens is not None else {}),
                **{key: summary.get(key) for key in ("sizes", "warnings", "checksums")},
                "samples": split_samples(artifact),
            }
        )
    return records
