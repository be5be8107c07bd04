"""Files of a task on own labels: its rows, what is left for pre-training, and the task's YAML."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metapt_explore.config import SourceConfig, TaskConfig, parse, readable_yaml
from metapt_explore.errors import UserError
from metapt_explore.storage.files import write_bytes
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.own_task import OwnTask, Table
from metapt_explore.texts.rows import cell_text


@dataclass(frozen=True)
class WrittenTask:
    """Files of an own task.

    Attributes:
        file: The task's YAML file, as a study names it.
        texts: What is left for pre-training.
    """

    file: Path
    texts: SourceConfig


def write_own_task(workspace: Workspace, own: OwnTask, table: Table) -> WrittenTask:
    """Writes the task and the texts that are left, into a folder of the workspace that is named by its content.

    Args:
        workspace: The workspace; the folder is ``own-tasks/NAME-HASH`` in it. Its YAML file names the others beside it,
            so that the folder may be taken elsewhere.
        own: The plan, without problems.
        table: What it was made of.

    Example:
        >>> write_own_task(Workspace("workspace"), own, table).file.name  # doctest: +SKIP
        'task.yaml'

    Raises:
        UserError: Where the plan has problems.
    """
    if own.problems:
        raise UserError(" ".join(own.problems))
    contents = {
        "few-shot.jsonl": _as_lines(table, own.drawn_from),
        "test.jsonl": _as_lines(table, own.test),
        "texts.jsonl": _as_lines(table, own.rest),
        "task.yaml": readable_yaml(task_tree(own)).encode(),
    }
    digest = hashlib.sha256(b"\0".join(contents.values())).hexdigest()[:8]
    folder = workspace.folder / "own-tasks" / f"{own.name}-{digest}"
    for name, content in contents.items():
        if not (folder / name).exists():
            write_bytes(folder / name, content)
    columns = own.columns
    return WrittenTask(folder / "task.yaml", SourceConfig(file=str(folder / "texts.jsonl"), columns=columns))


def task_tree(own: OwnTask) -> dict[str, Any]:
    """What the task's YAML file holds."""
    columns = own.columns.model_copy(update={"group": None}).model_dump(exclude_none=True)
    few_shot = {"file": "few-shot.jsonl", "columns": columns}
    labels = {
        name: {
            "value": label.value,
            **({"word": label.words[0]} if len(label.words) == 1 else {"words": label.words} if label.words else {}),
            **({"description": label.description} if label.description else {}),
        }
        for name, label in own.labels.labels.items()
    }
    tree = {
        "name": own.name,
        **({"title": own.title} if own.title else {}),
        "sentiment": True,
        "template": own.labels.template,
        "labels": labels,
        "splits": {"train": few_shot, "dev": few_shot, "test": {"file": "test.jsonl", "columns": columns}},
    }
    parse(TaskConfig, tree, f"the task '{own.name}'")
    return tree


def _as_lines(table: Table, rows: Sequence[int]) -> bytes:
    """Rows as JSON Lines, all columns."""
    lines = (
        json.dumps({name: _plain(cells[row]) for name, cells in table.items()}, ensure_ascii=False) for row in rows
    )
    return "".join(f"{line}\n" for line in lines).encode(errors="replace")


def _plain(cell: Any) -> str | int | float | bool | None:
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    return cell if cell is None or isinstance(cell, str | int | bool) else cell_text(cell)
