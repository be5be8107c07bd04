"""What formats of auxiliary tasks made of the texts, for a study's record."""

from __future__ import annotations

from typing import Any

from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace


def made_of_texts(workspace: Workspace, done: list[IndexEntry]) -> dict[str, Any]:
    """Formats with their rows, and the tasks of each method's clusterings; empty where a study lists no formats.

    Args:
        workspace: Where the study's artifacts lie.
        done: Its finished artifacts.
    """
    summaries = [(entry, workspace.artifact(entry["id"]).summary) for entry in done if entry["kind"] == "tasks"]
    tasks = {
        str(entry.get("clustering")): {each["name"]: int(each["tasks"]) for each in summary["formats"]}
        for entry, summary in summaries
        if "formats" in summary
    }
    rows = next((workspace.artifact(entry["id"]).summary for entry in done if entry["kind"] == "format_rows"), {})
    if not tasks and not rows:
        return {}
    return {"rows": {name: facts["rows"] for name, facts in rows.get("formats", {}).items()}, "tasks": tasks}


def made_sentences(made: dict[str, Any]) -> list[str]:
    """What was made, in sentences.

    Example:
        >>> made = {"rows": {"sentence_pair": 1200}, "tasks": {"kmeans": {"sentence_pair": 8, "cluster_classes": 100}}}
        >>> for sentence in made_sentences(made):
        ...     print(sentence)
        Made of the texts: 1,200 rows of sentence_pair.
        Auxiliary tasks of kmeans: 8 sentence_pair, 100 cluster_classes.
    """
    rows = ", ".join(f"{count:,} rows of {name}" for name, count in made["rows"].items())
    sentences = [f"Made of the texts: {rows}."] if rows else []
    for clustering, counts in made["tasks"].items():
        listed = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        sentences.append(f"Auxiliary tasks of {clustering}: {listed}.")
    return sentences
