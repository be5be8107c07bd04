"""What a study answered, to the last bit, and whether its workspace is as a finished run leaves it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from metapt_explore.jobs.state import job_state
from metapt_explore.results.tables import curves_table, results_table, summary_table
from metapt_explore.storage.workspace import Workspace

#: Files that hold times and memory, or say how a job stood.
NOT_COMPARED = ("stage.json", "telemetry.parquet")
COMPARED = (".json", ".jsonl", ".parquet", ".safetensors")
#: Columns of the results table that are times, or say where a score is from.
TIMES = ["seconds", "pretraining_seconds"]


def answers(workspace: Workspace, name: str) -> dict[str, Any]:
    """Hash of each payload file (prompts, curves, tables, summaries) and of the tables that people see."""
    found: dict[str, Any] = {}
    for entry in workspace.current_index(name):
        artifact = workspace.artifact(entry["id"])
        found[artifact.id] = artifact.status
        for file in sorted(artifact.folder.iterdir()):
            if file.suffix in COMPARED and file.name not in NOT_COMPARED:
                found[f"{artifact.id}/{file.name}"] = _hash(file)
    results = results_table(workspace, name)
    for title, table in (
        ("results", results.drop(columns=TIMES)),
        ("summary", summary_table(results.drop(columns=TIMES))),
        ("curves", curves_table(workspace, name)),
    ):
        found[title] = _text_of(table)
    return found


def _hash(file: Path) -> str:
    content = file.read_bytes()
    if file.suffix == ".safetensors":  # it lists what stands in its head in an order of chance
        size = int.from_bytes(content[:8], "little")
        head = json.dumps(json.loads(content[8 : 8 + size]), sort_keys=True)
        content = head.encode() + content[8 + size :]
    return hashlib.sha256(content).hexdigest()


def _text_of(table: pd.DataFrame) -> str:
    """Every digit, in the table's order."""
    return str(table.to_csv(index=False))


def different(found: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """What is missing, too much or not equal."""
    return sorted(key for key in found.keys() | right.keys() if found.get(key) != right.get(key))


def held_locks(workspace: Workspace) -> list[str]:
    """Locks that a process holds."""
    held = []
    for file in workspace.folder.rglob("*.lock"):
        try:
            with FileLock(file, timeout=0):
                pass
        except Timeout:
            held.append(str(file.relative_to(workspace.folder)))
    return held


def leftovers(workspace: Workspace) -> list[Path]:
    """Temporary files and checkpoints that nobody needs any more."""
    return [*workspace.folder.rglob("*.tmp"), *workspace.folder.glob("artifacts/*/checkpoint/*")]


def assert_whole(workspace: Workspace, name: str, right: dict[str, Any], story: object) -> None:
    """A study that ended after kills is as one that was never disturbed.

    Args:
        workspace: Where it ran.
        name: The study.
        right: The answers of an uninterrupted run.
        story: The kills, for the message.
    """
    state = job_state(workspace, name)
    assert state["status"] == "done", (state, story)
    differing = different(answers(workspace, name), right)
    assert not differing, (differing, story)
    assert held_locks(workspace) == [], story
    assert not list((workspace.study_folder(name)).glob("request.json")), story
    assert not (workspace.study_folder(name) / "cancel").exists(), story
