"""Is a study of clusters worth its price? One sentence, from task diversity, headroom and displacement.

MetaPT can beat pooled pre-training only where tasks differ (else one prompt serves all, and pooling finds it), where
adapting to a few rows of a task helps on its others, and where the inner loop moves the prompt at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from metapt_explore.diagnostics.agreement import LEAST_RELIABILITY
from metapt_explore.diagnostics.displacement import Displacement
from metapt_explore.diagnostics.headroom import Estimate
from metapt_explore.statistics.numbers import number

#: Mean corrected cosine from which tasks are nearly one. Of many tasks whose gradients are equally long and have the
#: cosine c with one another, a step along their mean reaches √c of what a step of the same length along a task's own
#: gradient reaches, to first order: at 0.7 pooling gets 84 % of it, and at most a sixth is left for adapting.
NEARLY_ONE = 0.7
#: Mean corrected cosine up to which tasks differ: at 0.4 pooling gets 63 %, and more than a third is left.
DIFFER = 0.4

Word = Literal["nearly_one", "differ", "nothing_to_adapt", "cannot_be_told"]
SAID: dict[Word, str] = {
    "nearly_one": "clusters are nearly one task: MetaPT will equal PPT here",
    "differ": "tasks differ: worth trying",
    "nothing_to_adapt": "tasks differ, but adapting to a few rows gains nothing on the others: MetaPT has nothing to "
    "learn at this start",
    "cannot_be_told": "cannot be told",
}


@dataclass(frozen=True)
class Screening:
    """What is known of a method before it is paid for.

    Attributes:
        tasks: Auxiliary tasks.
        cosine: Of the gradients of two tasks, corrected for noise (`task_diversity`).
        gains: What adapting takes off the loss on unseen rows, in nats (`headroom.GAINS`); over tasks.
        displacement: How far steps move the prompt.
        tuning_steps: Steps of the adaptation that is like tuning.
    """

    tasks: int
    cosine: Estimate
    gains: Mapping[str, Estimate]
    displacement: Displacement
    tuning_steps: int

    @property
    def word(self) -> Word:
        """What all of it comes to."""
        if self.tasks < 2:
            return "nearly_one"
        cosine = self.cosine
        if not np.isfinite(cosine.value):
            return "cannot_be_told"
        # An interval that is not known (NaN) contradicts nothing.
        if cosine.value >= NEARLY_ONE and not cosine.low < DIFFER:
            return "nearly_one"
        if cosine.value <= DIFFER and not cosine.high > NEARLY_ONE:
            # Any steps on few rows may harm a start that knows nothing; a task's own still harm less than another's.
            return "differ" if any(gain.above_zero for gain in self.gains.values()) else "nothing_to_adapt"
        return "cannot_be_told"

    @property
    def sentence(self) -> str:
        """The word in a sentence, with why where it is not plain."""
        if self.tasks < 2:
            return "there is one auxiliary task: this is pooled pre-training under another name."
        said = SAID[self.word]
        if self.word == "cannot_be_told":
            said += f": {self._why_not}"
        return f"{said}."

    @property
    def _why_not(self) -> str:
        if not np.isfinite(self.cosine.value):
            return "gradients are mostly noise; more rows a draw (`agreement.rows`) or larger clusters would tell"
        if DIFFER < self.cosine.value < NEARLY_ONE:
            return f"a cosine of {self.cosine.value:.2f} is between one task and many"
        return "the cosine differs too much from task to task"

    @property
    def warning(self) -> str:
        """What is wrong with the size of the inner steps; empty where nothing is."""
        return self.displacement.warning

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "tasks": self.tasks,
            "cosine": self.cosine.as_dict(),
            "gains": {gain: estimate.as_dict() for gain, estimate in self.gains.items()},
            "displacement": self.displacement.as_dict(),
            "tuning_steps": self.tuning_steps,
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Screening:
        """What `as_dict` told."""
        return cls(
            tasks=int(told["tasks"]),
            cosine=Estimate.of(told["cosine"]),
            gains={gain: Estimate.of(estimate) for gain, estimate in told["gains"].items()},
            displacement=Displacement.of(told["displacement"]),
            tuning_steps=int(told["tuning_steps"]),
        )


def task_diversity(pairs: pd.DataFrame, reliability: Mapping[str, float | None]) -> Estimate:
    """Mean cosine of auxiliary tasks with one another, corrected for noise.

    Noise is taken off the mean, not off each pair: the sum of observed cosines over the sum of what they would be were
    all tasks one, √(reliability × reliability). So tasks whose own gradient is mostly noise count, too, for as much
    as is known of them; the mean over pairs that can be corrected one by one is that of the clearest tasks.

    Args:
        pairs: The table ``agreement`` of `stages/agreement.py`.
        reliability: Of each task's gradient, by its name; only these tasks are looked at.

    Returns:
        The mean; NaN where gradients are nothing but noise. The interval leaves out one task at a time (jackknife over
        tasks: a task's cosines share its noise); with two tasks it is that of their observed cosine.

    Example:
        >>> pairs = pd.DataFrame({"first": ["a", "a", "b"], "second": ["b", "c", "c"], "cosine": [0.4, 0.3, 0.2],
        ...                       "standard_error": 0.1})
        >>> round(task_diversity(pairs, {"a": 0.5, "b": 0.5, "c": 0.5}).value, 2)
        0.6
    """
    own = {name: max(value or 0.0, 0.0) for name, value in reliability.items()}
    both = pairs[pairs["first"].isin(own) & pairs["second"].isin(own)]
    if both.empty:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    at_most = np.sqrt(both["first"].map(own).to_numpy(float) * both["second"].map(own).to_numpy(float))
    observed = both["cosine"].to_numpy(float)
    value = _ratio(observed, at_most)
    names = sorted({*both["first"], *both["second"]})
    if len(names) == 2:
        error, freedom = float(both["standard_error"].iloc[0]) / float(at_most[0] or np.nan), len(both)
        reach = float(stats.norm.ppf(0.975)) * error
        return Estimate(value, value - reach, value + reach, freedom)
    kept = [((both["first"] != name) & (both["second"] != name)).to_numpy() for name in names]
    left = np.array([_ratio(observed[keep], at_most[keep]) for keep in kept])
    # Where all hangs on one task nothing is known of the others.
    error = float(np.sqrt((len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum()))
    reach = float(stats.t.ppf(0.975, len(left) - 1)) * error
    if not np.isfinite(reach):
        value = float("nan")
    return Estimate(value, value - reach, value + reach, len(both))


def _ratio(observed: np.ndarray, at_most: np.ndarray) -> float:
    """Mean cosine over what it would be for one task; NaN where that is nothing but noise."""
    return float(observed.sum() / at_most.sum()) if at_most.mean() >= LEAST_RELIABILITY else float("nan")


def downstream_cosines(pairs: pd.DataFrame, tasks: Collection[str]) -> dict[str, float | None]:
    """Mean corrected cosine of auxiliary tasks with each downstream task; None where none is known.

    Args:
        pairs: As for `task_diversity`.
        tasks: Names of the auxiliary tasks.
    """
    across = pairs[(pairs["first_kind"] == "auxiliary") & (pairs["second_kind"] == "downstream")]
    means = across[across["first"].isin(tasks)].groupby("second", sort=False)["corrected"].mean()
    return {str(task): float(mean) if np.isfinite(mean) else None for task, mean in means.items()}


def figures_sentence(screening: Screening) -> str:
    """The figures behind the word, in one line.

    Example:
        >>> gains = dict.fromkeys(["inner", "tuning", "own"], Estimate(0.1, 0.05, 0.15, 6))
        >>> moves = Displacement(0.001, 0.01, 0.02)
        >>> screening = Screening(6, Estimate(0.87, 0.8, 0.94, 15), gains, moves, 5)
        >>> print(figures_sentence(screening))
        Gradient cosine between tasks 0.87 (0.80 to 0.94; 1: one task). Loss on unseen rows falls by 0.100 (0.050 to \
0.150) nats in its inner steps, by 0.100 (0.050 to 0.150) in 5 tuning steps; a task's own rows teach 0.100 (0.050 to \
0.150) more than another's. Displacement: inner 0.0010, outer step 0.0100, tuning step 0.0200.
    """
    inner, tuning, own = (format_estimate(screening.gains[gain], 3) for gain in ("inner", "tuning", "own"))
    moves = screening.displacement
    inner_move = "unknown" if moves.inner is None else f"{moves.inner:.4f}"
    return (
        f"Gradient cosine between tasks {format_estimate(screening.cosine, 2, '; 1: one task')}. Loss on unseen rows "
        f"falls by {inner.replace(')', ') nats', 1) if '(' in inner else inner + ' nats'} in its inner steps, by "
        f"{tuning} in {screening.tuning_steps} tuning steps; a task's own rows teach {own} more than another's. "
        f"Displacement: inner {inner_move}, outer step {moves.outer:.4f}, tuning step {moves.tuning:.4f}."
    )


def format_estimate(estimate: Estimate, digits: int, more: str = "") -> str:
    """A mean with its interval; a dash where it is not known.

    Example:
        >>> format_estimate(Estimate(-0.5, -0.75, -0.25, 3), 2)
        '−0.50 (−0.75 to −0.25)'
        >>> format_estimate(Estimate(0.5, float("nan"), float("nan"), 1), 1)
        '0.5'
    """
    if not np.isfinite(estimate.value):
        return "–"
    value, low, high = (number(each, digits) for each in (estimate.value, estimate.low, estimate.high))
    return value if not np.isfinite(estimate.low) else f"{value} ({low} to {high}{more})"
