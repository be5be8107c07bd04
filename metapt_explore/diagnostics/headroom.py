"""Headroom: does a task's loss on unseen rows fall when the prompt adapts to a few of its rows?

Three losses on the same query rows of a task, none of which is a support row: before; after the inner steps as a
method takes them; after steps as few-shot tuning takes them. And a fourth, after the same tuning steps on the support
rows of *another* task. Where the third is no lower than the first, there is nothing to adapt to. Where the fourth is as
low as the third, any task's rows do: one prompt serves all tasks, and pooling finds it (the comparison of a learner
with a shared and a specific part; compare "feature reuse", Raghu et al., ICLR 2020, arXiv 1909.09157).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

#: Gains in a table of headroom: name -> (loss before, loss after).
GAINS: dict[str, tuple[str, str]] = {
    "inner": ("query_before", "query_inner"),
    "tuning": ("query_before", "query_tuning"),
    "own": ("query_other", "query_tuning"),
}

#: Losses that are shown with their intervals: the adapted rows before and after, other rows before and after each.
LOSSES = ("support_before", "support_after", "query_before", "query_inner", "query_tuning")


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        value: The mean; NaN without values.
        low: Lower end of the 95 % interval; NaN where a single value has no spread.
        high: Upper end.
        n: Values.
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.low > 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values; None for NaN."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {key: float(number) if np.isfinite(number) else None for key, number in numbers.items()} | {"n": self.n}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Estimate:
        """What `as_dict` told."""
        value, low, high = (float("nan") if told[key] is None else float(told[key]) for key in ("value", "low", "high"))
        return cls(value, low, high, int(told["n"]))


def mean_with_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Estimate:
    """The mean of independent values, with Student's interval; values that are not known are left out.

    Example:
        >>> found = mean_with_interval([1.0, 2.0, 3.0])
        >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
        (2.0, -0.484, 4.484)
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not len(known):
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    mean = float(known.mean())
    if len(known) == 1:
        return Estimate(mean, float("nan"), float("nan"), 1)
    reach = float(stats.t.ppf(0.5 + confidence / 2, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return Estimate(mean, mean - reach, mean + reach, len(known))


def headroom_of_tasks(table: pd.DataFrame) -> list[dict[str, Any]]:
    """What adapting gains on each task, over its draws.

    Args:
        table: A row for each task and draw: ``task``, ``name``, and the losses that `GAINS` names, in nats.

    Returns:
        For each task ``task``, ``name``, mean ``support_before``, ``support_after`` and ``query_before``, and of each
        gain an `Estimate` over draws as plain values.
    """
    records = []
    for (task, name), rows in table.groupby(["task", "name"], sort=True):
        means = {column: float(rows[column].mean()) for column in ("support_before", "support_after", "query_before")}
        gains = {
            gain: mean_with_interval((rows[before] - rows[after]).to_numpy()).as_dict()
            for gain, (before, after) in GAINS.items()
        }
        records.append({"task": int(task), "name": str(name), **means, **gains})
    return records


def headroom_over_tasks(table: pd.DataFrame) -> dict[str, Estimate]:
    """What adapting gains in the mean over tasks; the interval is over tasks, each with the mean of its draws.

    Args:
        table: As for `headroom_of_tasks`.

    Returns:
        By gain: ``inner`` (the method's inner steps), ``tuning`` (steps as tuning takes them), and ``own`` (tuning on
        the task's own rows over tuning on another's).
    """
    found = {}
    for gain, (before, after) in GAINS.items():
        of_draws = (table[before] - table[after]).groupby(table["task"]).mean()
        found[gain] = mean_with_interval(of_draws.to_numpy())
    return found


def headroom_losses(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The losses themselves, each with its interval: of every task over its draws, and of their mean over tasks.

    Two intervals that overlap do not say that nothing is gained: a task's rows are the same before and after, so that
    the gain is known better than either loss (`headroom_of_tasks`).

    Args:
        table: As for `headroom_of_tasks`.

    Returns:
        For each task, and last for ``mean over tasks``, its ``name`` and an `Estimate` of each of `LOSSES`, as plain
        values.

    Example:
        >>> columns = dict.fromkeys(["support_before", "support_after", "query_inner", "query_tuning"], 1.0)
        >>> table = pd.DataFrame({"task": [0, 1], "name": ["a", "b"], "query_before": [0.5, 0.75], **columns})
        >>> [(each["name"], each["query_before"]["value"]) for each in headroom_losses(table)]
        [('a', 0.5), ('b', 0.75), ('mean over tasks', 0.625)]
    """
    of_tasks = table.groupby(["task", "name"], sort=True)
    records: list[dict[str, Any]] = [
        {"name": str(name), **{loss: mean_with_interval(rows[loss].to_numpy()).as_dict() for loss in LOSSES}}
        for (_, name), rows in of_tasks
    ]
    means = of_tasks[list(LOSSES)].mean()
    over = {loss: mean_with_interval(means[loss].to_numpy()).as_dict() for loss in LOSSES}
    return [*records, {"name": "mean over tasks", **over}]
