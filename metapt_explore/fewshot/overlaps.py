"""Texts that several tasks, or several splits of one task, have in common."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from metapt_explore.texts.normalise import comparison_key
from metapt_explore.texts.rows import texts_of

COLUMNS = ["task", "part", "other_task", "other_part", "texts", "share"]


def task_overlaps(splits: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Counts shared texts between the test sets of tasks, and between any few-shot rows and any test set.

    Few-shot rows are those of all data seeds together. Texts are equal when they are equal after normalising
    (`texts/normalise.py`), as in decontamination; rows of a pair count as one text.

    Args:
        splits: For each task its rows: columns split (``train``, ``dev``, ``test``), text and, for pairs, text_pair.

    Returns:
        One row for each two parts that share a text: task and part, other task and part (``test``, but for dev rows
        that are also train rows of one data seed), ``texts`` (distinct texts in both) and ``share`` (of the first
        part's distinct texts). Largest first.

    Example:
        >>> a = pd.DataFrame({"split": ["train", "test"], "data_seed": [1, None], "text": ["x y", "b"]})
        >>> b = pd.DataFrame({"split": ["test"], "data_seed": [None], "text": ["X  y"]})
        >>> task_overlaps({"a": a, "b": b}).values.tolist()
        [['a', 'train', 'b', 'test', 1, 1.0]]
    """
    keys = {name: _keys(rows) for name, rows in splits.items()}
    names = list(splits)
    overlaps = []
    for index, name in enumerate(names):
        for part in ("test", "train", "dev"):
            part_keys = set(keys[name].get(part, {}))
            # Two test sets are compared once, few-shot rows with every test set.
            for other in names[index + 1 :] if part == "test" else names:
                shared = part_keys & set(keys[other].get("test", {}))
                if shared:
                    overlaps.append([name, part, other, "test", len(shared), len(shared) / len(part_keys)])
        both = _within_one_data_seed(splits[name])
        if both:
            dev = set(keys[name].get("dev", {}))
            overlaps.append([name, "dev", name, "train", len(both), len(both) / len(dev)])
    return pd.DataFrame(overlaps, columns=COLUMNS).sort_values("texts", ascending=False, ignore_index=True)


def _keys(rows: pd.DataFrame) -> dict[str, dict[str, None]]:
    frame = pd.DataFrame({"split": rows["split"].to_numpy(), "key": [comparison_key(t) for t in texts_of(rows)]})
    return {str(part): dict.fromkeys(of_part["key"]) for part, of_part in frame.groupby("split")}


def _within_one_data_seed(rows: pd.DataFrame) -> set[str]:
    """Texts that are both train and dev rows of the same data seed."""
    both: set[str] = set()
    few_shot = rows[rows["split"].isin(["train", "dev"])]
    for _, seed_rows in few_shot.groupby("data_seed"):
        keys = _keys(seed_rows)
        both |= set(keys.get("train", {})) & set(keys.get("dev", {}))
    return both
