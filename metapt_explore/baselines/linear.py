"""Logistic regression on given features, its C chosen on dev: the end of several baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metapt_explore.fewshot.logistic_regression import LinearHead
from metapt_explore.fewshot.scoring import measure
from metapt_explore.fewshot.tuning import choose


def fit_on_dev(
    train: Any,
    labels: Sequence[int],
    dev: Any,
    dev_labels: list[int],
    classes: int,
    c_values: Sequence[float],
    select_by: str,
    where: str,
) -> tuple[LinearHead, dict[str, Any]]:
    """Fits one classifier for each C and keeps the one that dev chooses; of equals the most strongly regularised.

    Returns:
        The classifier, and its ``c``, ``dev_accuracy`` and ``dev_loss``.
    """
    records, heads = [], {}
    for place, c in enumerate(sorted(c_values)):
        heads[c] = LinearHead(train, labels, classes, c, where)
        measured = measure(heads[c].scores(dev), dev_labels)
        records.append({"c": c, "step": place, **{f"dev_{key}": value for key, value in measured.items()}})
    chosen = choose(records, select_by)
    return heads[chosen["c"]], {key: chosen[key] for key in ("c", "dev_accuracy", "dev_loss")}
