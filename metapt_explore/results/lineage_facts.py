"""What an artifact holds, in a few words for a tree of them."""

from __future__ import annotations

from typing import Any

from metapt_explore.storage.artifact import Artifact


def fact(kind: str, artifact: Artifact) -> str:
    """Says what is in an artifact; empty where it is not finished or says nothing countable."""
    if artifact.status != "done":
        return ""
    summary, config = artifact.summary, artifact.stage.get("config", {})
    say = _SAY.get(kind)
    return "" if say is None else say(summary, config)


def _number(count: Any, what: str) -> str:
    """A count with its noun.

    Example:
        >>> _number(1, "text"), _number(1200, "text")
        ('1 text', '1,200 texts')
    """
    return f"{count or 0:,} {what}{'s' * (count != 1)}"


def _split(summary: dict[str, Any], config: dict[str, Any]) -> str:
    sizes = summary.get("sizes", {})
    return f"{config.get('name')}: {sizes.get('train')} train rows a data seed, {sizes.get('test')} test rows"


def _texts(summary: dict[str, Any], config: dict[str, Any]) -> str:
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in summary.get("dropped", {}).items())
    return f"{_number(summary.get('kept'), 'text')} kept (not: {dropped or 'none'})"


def _clusters(summary: dict[str, Any], config: dict[str, Any]) -> str:
    return f"{config.get('algorithm')}, {_number(len(summary.get('clusters', [])), 'cluster')}"


def _tasks(summary: dict[str, Any], config: dict[str, Any]) -> str:
    used = (summary.get("counts") or {}).get("used")
    chosen = "".join(
        f", {key} cluster {', '.join(map(str, config[key]))}" for key in ("without", "only") if config.get(key)
    )
    rows = f" of {_number(used, 'row')}" if used is not None else ""
    return f"{_number(summary.get('tasks'), 'task')}{rows}{chosen}"


def _prompt(summary: dict[str, Any], config: dict[str, Any]) -> str:
    kind = {"pt": "a start", "ppt": "pooled pre-training", "metapt": "meta-learning"}.get(config.get("kind", ""), "")
    if "outer_steps" not in summary:
        return f"{kind}, {config.get('length')} vectors"
    steps, passes = _number(summary["outer_steps"], "outer step"), _number(summary.get("row_passes"), "row")
    return f"{kind}, {steps}, {passes} forward and backward"


_SAY = {
    "split": _split,
    "texts": _texts,
    "embeddings": lambda summary, config: _number(summary.get("rows"), "vector"),
    "clusters": _clusters,
    "tasks": _tasks,
    "prompt": _prompt,
    "views": lambda summary, config: f"the frozen model's states of {_number(summary.get('texts'), 'text')}",
    "fewshot": lambda summary, config: (
        f"tuned and scored, {_number(summary.get('test_rows'), 'row' if 'scored_on' in config else 'test row')}"
    ),
}
