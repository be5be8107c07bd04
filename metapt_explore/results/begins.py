"""What tuning began from, where data seeds have starts of their own: in words, and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

#: The column of `results_table` that says it, as JSON (`fewshot/starts.py: Begins`).
BEGINS = "begins"
#: Starts of a mixture that are named.
NAMED = 3


def begins_of(score: Mapping[str, Any]) -> dict[str, Any]:
    """What a score's tuning began from; empty where it began from the method's prompt as it is.

    Args:
        score: A row of the results.

    Example:
        >>> begins_of({"begins": '{"demonstrations": 4}'}), begins_of({"begins": None})
        ({'demonstrations': 4}, {})
    """
    written = score.get(BEGINS)
    return json.loads(written) if isinstance(written, str) else {}


def format_begins(begins: Mapping[str, Any]) -> str:
    """The start in words; empty where there is nothing to say.

    Example:
        >>> format_begins({"demonstrations": 4, "of_rows": 8, "vectors": 60, "cut": False})
        'began from 4 of its 8 few-shot rows (60 vectors)'
        >>> format_begins({"weights": {"task 0": 0.2, "task 1": 0.8}, "mixture": "gate"})
        'began from task 1 (0.80) and task 0 (0.20) by gate'
    """
    if "weights" in begins:
        return f"began from {_format_weights(begins['weights'])} by {begins['mixture']}"
    if "demonstrations" not in begins:
        return ""
    cut = ", texts cut" if begins["cut"] else ""
    return (
        f"began from {begins['demonstrations']} of its {begins['of_rows']} few-shot rows "
        f"({begins['vectors']} vectors{cut})"
    )


def _format_weights(weights: Mapping[str, float]) -> str:
    """The heaviest starts with their weights, and how many others have some weight."""
    heaviest = sorted((name for name in weights if weights[name] > 0), key=lambda name: -weights[name])
    named = [f"{name} ({weights[name]:.2f})" for name in heaviest[:NAMED]]
    others = len(heaviest) - len(named)
    if others:
        named.append(f"{others} other{'s' * (others != 1)}")
    return " and ".join(", ".join(named).rsplit(", ", 1))


def begins_table(results: pd.DataFrame) -> pd.DataFrame:
    """One row for each score whose data seed has a start of its own.

    Args:
        results: What `results_table` returned.

    Returns:
        Columns method, task, data seed, initialisation seed and began from; empty where there is none.
    """
    columns = ["method", "task", "data seed", "initialisation seed", "began from"]
    if BEGINS not in results:
        return pd.DataFrame(columns=columns)
    rows = [
        [row["method"], row["task"], row["data_seed"], row["init_seed"], format_begins(begins)]
        for row in results.to_dict(orient="records")
        if (begins := begins_of(row))
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(**{"began from": table["began from"].str.removeprefix("began from ")}) if len(table) else table
