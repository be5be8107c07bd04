"""Which readers an ensemble took, and how much each counted: in words, and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from metapt_explore.stages.ensemble import READER, READERS
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace


def readers_of(workspace: Workspace, score: Artifact) -> list[Artifact]:
    """The scores that an ensemble combines; empty for other scores."""
    parents = score.stage.get("parents", {})
    return [workspace.artifact(identifier) for role, identifier in parents.items() if role.startswith(READER)]


def reader_weights(score: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a score's readers, and the dev rows that they were chosen on; empty for other scores.

    Args:
        score: A row of the results.

    Example:
        >>> reader_weights({"readers": '{"weights": {"PPT": 1.0}, "dev_rows": 32}'})
        {'weights': {'PPT': 1.0}, 'dev_rows': 32}
    """
    written = score.get(READERS)
    return json.loads(written) if isinstance(written, str) else {}


def format_readers(score: Mapping[str, Any]) -> str:
    """How the readers count, in words; empty for other scores.

    Example:
        >>> format_readers({"readers": '{"weights": {"PPT": 1.0, "tfidf": 0.0}, "dev_rows": 32}'})
        "takes 'PPT', by 32 dev rows"
        >>> format_readers({"readers": '{"weights": {"PPT": 0.5, "tfidf": 0.5}, "dev_rows": 0}'})
        "weighs 'PPT' 0.50 and 'tfidf' 0.50, by no dev row"
    """
    known = reader_weights(score)
    if not known:
        return ""
    counting = {name: weight for name, weight in known["weights"].items() if weight > 0}
    said = " and ".join(", ".join(f"'{name}' {weight:.2f}" for name, weight in counting.items()).rsplit(", ", 1))
    does = f"takes '{next(iter(counting))}'" if list(counting.values()) == [1.0] else f"weighs {said}"
    return f"{does}, by {known['dev_rows'] or 'no'} dev row{'s' * (known['dev_rows'] != 0)}"


def readers_table(results: pd.DataFrame) -> pd.DataFrame:
    """How often an ensemble took each reader on a task, or how much it counted there.

    Args:
        results: What `results_table` returned.

    Returns:
        Columns method, task, reader, taken (share of the scores in which it alone counts), weight (its share of all
        weights, mean), scores, and undecided (scores in which dev rows decided nothing). Empty without ensembles.
    """
    columns = ["method", "task", "reader", "taken", "weight", "scores", "undecided"]
    rows = list(_each(results)) if READERS in results else []
    if not rows:
        return pd.DataFrame(columns=columns)
    grouped = pd.DataFrame(rows).groupby(["method", "task", "reader"], sort=False)
    table = grouped.agg(
        taken=("taken", "mean"), weight=("weight", "mean"), scores=("taken", "size"), undecided=("undecided", "sum")
    )
    return table.reset_index()[columns]


def _each(results: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in results.to_dict(orient="records"):
        known = reader_weights(row)
        total = sum(known.get("weights", {}).values()) or 1.0
        for name, weight in known.get("weights", {}).items():
            yield {
                "method": row["method"],
                "task": row["task"],
                "reader": name,
                "taken": float(weight == total),
                "weight": weight / total,
                "undecided": int(not known["dev_rows"]),
            }
