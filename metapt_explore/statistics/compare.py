"""One method against another over pairs of seeds and tasks, with a verdict in plain words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from metapt_explore.statistics.inference import (
    Estimate,
    bootstrap_interval,
    holm,
    paired_t,
    seeds_needed,
    sign_flip_p,
    two_way_t,
)
from metapt_explore.statistics.spread import Spread, spread_ratio
from metapt_explore.statistics.units import Units, paired_units

#: Fewer pairs of seeds can show nothing.
LEAST = 5
#: Fewer pairs of seeds than the house asks for.
ENOUGH = 10

Word = Literal["helped", "hurt", "no difference", "cannot tell"]


@dataclass(frozen=True)
class Comparison:
    """What the scores say about one method against another.

    Attributes:
        method: Whose gain is asked for.
        baseline: What it is compared with.
        metric: The score.
        pairs: Units: pairs of an initialisation and a data seed with all tasks under both.
        left_out: Units that lack a task.
        tasks: Tasks that both have.
        estimate: The primary test: mean over tasks and units of the difference.
        permutation_p: The same by flips of signs; None in a crossed design.
        bootstrap: Bootstrap interval of the mean; None in a crossed design.
        blocked: The same test with one value for each data seed, where a data seed stands in several units.
        unit_spread: Standard deviation of the units' differences.
        wins: Units in which the method is ahead, equal, behind (mean over tasks).
        per_task: Difference, interval, p, Holm's p, wins, ties and losses of each task: secondary tests.
        spread: How much the scores vary from unit to unit, against the baseline's.
        worst: The worst unit of the method and of the baseline.
        needed: Pairs of seeds for a power of 80 % for the observed difference and for `margin`.
        verdict: The answer in one word or two.
        sentence: The answer with its figures.
        settle: What would settle it; empty where it is settled.
        caveats: What a reader has to know.
    """

    method: str
    baseline: str
    metric: str
    pairs: int
    left_out: int
    tasks: list[str]
    estimate: Estimate
    permutation_p: float | None
    bootstrap: tuple[float, float] | None
    blocked: Estimate | None
    unit_spread: float
    wins: tuple[int, int, int]
    per_task: pd.DataFrame
    spread: Spread
    worst: tuple[float, float]
    needed: dict[str, int | None]
    verdict: Word
    sentence: str
    settle: str
    caveats: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "per_task": self.per_task.to_dict(orient="records")}


def compare(
    results: pd.DataFrame,
    method: str,
    baseline: str,
    metric: str = "accuracy",
    margin: float = 0.02,
    seed: int = 0,
) -> Comparison:
    """Compares two methods.

    The primary test is Student's paired t over units, the mean over tasks being one value of a unit; in a crossed
    design (every initialisation on every data seed) the two-way form of it, since units share seeds. Tests of single
    tasks are secondary and corrected after Holm. "No difference" means equivalence: the 90 % interval lies within
    ± `margin` (two one-sided tests at 5 %, Schuirmann, 1987).

    Args:
        results: Columns method, task, data_seed, init_seed and `metric`.
        method: Whose gain is asked for.
        baseline: What it is compared with.
        metric: ``accuracy``, ``start_accuracy``, ``macro_f1`` …, as a share of 1.
        margin: The smallest difference that matters.
        seed: For permutations and bootstrap.

    Raises:
        UserError: Where the two share no scores.

    Example:
        >>> columns = ["method", "init_seed", "data_seed"]
        >>> table = pd.DataFrame([(m, s, s) for m in "ab" for s in range(10)], columns=columns)
        >>> table["task"], table["accuracy"] = "t", 0.7 + 0.05 * (table["method"] == "a") + table["data_seed"] / 100
        >>> found = compare(table, "a", "b")
        >>> found.verdict, round(found.estimate.mean, 3)
        ('helped', 0.05)
    """
    units = paired_units(results, method, baseline, metric)
    differences = units.differences
    crossed = units.grid is not None
    estimate = _mean(units, differences)
    caveats = _caveats(units)
    verdict: Word = _verdict(estimate, len(differences), margin)
    unit_spread = float(differences.std(ddof=1)) if len(differences) > 1 else float("nan")
    needed = {
        "observed": None if np.isnan(unit_spread) else seeds_needed(unit_spread, estimate.mean),
        "margin": None if np.isnan(unit_spread) else seeds_needed(unit_spread, margin),
    }
    return Comparison(
        method=method,
        baseline=baseline,
        metric=metric,
        pairs=len(differences),
        left_out=units.left_out,
        tasks=units.tasks,
        estimate=estimate,
        permutation_p=None if crossed else sign_flip_p(differences, seed),
        bootstrap=None if crossed else bootstrap_interval(differences, seed),
        blocked=_blocked(units, differences),
        unit_spread=unit_spread,
        wins=_wins(differences),
        per_task=_per_task(units),
        spread=spread_ratio(units, seed),
        worst=(float(units.method.mean(axis=1).min()), float(units.baseline.mean(axis=1).min())),
        needed=needed,
        verdict=verdict,
        sentence=_sentence(method, baseline, metric, verdict, estimate, len(differences), len(units.tasks), margin),
        settle=_settle(verdict, estimate, needed, len(differences), margin),
        caveats=caveats,
    )


def _mean(units: Units, differences: np.ndarray) -> Estimate:
    return paired_t(differences) if units.grid is None else two_way_t(differences[units.grid])


def _blocked(units: Units, differences: np.ndarray) -> Estimate | None:
    seeds = [seed for _, seed in units.pairs]
    if units.grid is not None or len(set(seeds)) == len(seeds) or len(set(seeds)) < 2:
        return None
    return paired_t(pd.Series(differences).groupby(seeds).mean().to_numpy())


def _verdict(estimate: Estimate, pairs: int, margin: float) -> Word:
    if pairs < LEAST or estimate.df <= 0:
        return "cannot tell"
    if estimate.low > 0:
        return "helped"
    if estimate.high < 0:
        return "hurt"
    low, high = estimate.interval(0.90)
    return "no difference" if -margin < low and high < margin else "cannot tell"


def points(value: float, sign: bool = True) -> str:
    """Writes a difference in points of a hundred.

    Example:
        >>> points(0.0123), points(-0.02)
        ('+1.2', '−2.0')
    """
    return f"{100 * value:{'+' if sign else ''}.1f}".replace("-", "−")


def _sentence(
    method: str, baseline: str, metric: str, verdict: Word, estimate: Estimate, pairs: int, tasks: int, margin: float
) -> str:
    what = {"helped": "is better than", "hurt": "is worse than", "no difference": "makes no difference that matters to"}
    says = {
        "cannot tell": f"Cannot tell whether {method} is better or worse than {baseline}",
        **{word: f"{method} {verb} {baseline}" for word, verb in what.items()},
    }[verdict]
    score = {"accuracy": "accuracy", "start_accuracy": "accuracy at the start"}.get(metric, metric)
    if verdict in ("helped", "hurt") and max(abs(estimate.low), abs(estimate.high)) < margin:
        says += f", by less than the {points(margin, sign=False)} points that matter"
    interval = f"{points(estimate.low)} to {points(estimate.high)}"
    p = f"p = {estimate.p:.3f}" if estimate.p >= 0.001 else "p < 0.001"
    sure = f", 95 % interval {interval}, {p}" if estimate.df > 0 else ", without an interval"
    over = f"{tasks} task{'s' * (tasks != 1)} and {pairs} pair{'s' * (pairs != 1)} of seeds"
    return f"{says}: {points(estimate.mean)} points of {score}{sure}, mean over {over}."


def _settle(verdict: Word, estimate: Estimate, needed: dict[str, int | None], pairs: int, margin: float) -> str:
    if verdict != "cannot tell":
        return ""
    if pairs < LEAST:
        return f"Fewer than {LEAST} pairs of seeds prove nothing: run {ENOUGH} or more."
    parts = []
    if needed["observed"] is not None and abs(estimate.mean) >= margin / 4:
        parts.append(f"about {needed['observed']} pairs of seeds would show a difference of the observed size")
    if needed["margin"] is not None:
        parts.append(f"about {needed['margin']} would show one of {points(margin, sign=False)} points")
    return f"With the present spread {', '.join(parts)} (power 80 %)." if parts else ""


def _caveats(units: Units) -> list[str]:
    inits, seeds = [init for init, _ in units.pairs], [seed for _, seed in units.pairs]
    pairs = len(units.pairs)
    found = []
    if pairs < ENOUGH:
        found.append(f"Fewer than {ENOUGH} pairs of seeds ({pairs}) are a hint, not a result.")
    if len(set(inits)) == 1 and pairs > 1:
        found.append("All units share one pre-training: nothing is said about other pre-trainings.")
    if len(set(seeds)) == 1 and pairs > 1:
        found.append("All units share one few-shot sample: nothing is said about other samples.")
    if units.grid is None and 1 < len(set(seeds)) < pairs and len(set(inits)) > 1:
        found.append(
            f"{pairs} units share {len(set(seeds))} few-shot samples; the test by data seed counts each sample once."
        )
    if units.left_out:
        found.append(f"Pairs of seeds left out because they lack a task under one of the methods: {units.left_out}.")
    return found


def _wins(differences: np.ndarray, tie: float = 1e-12) -> tuple[int, int, int]:
    return (
        int((differences > tie).sum()),
        int((np.abs(differences) <= tie).sum()),
        int((differences < -tie).sum()),
    )


def _per_task(units: Units) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for column, task in enumerate(units.tasks):
        differences = units.method[:, column] - units.baseline[:, column]
        found = _mean(units, differences)
        wins, ties, losses = _wins(differences)
        rows.append(
            {
                "task": task,
                "method": float(units.method[:, column].mean()),
                "baseline": float(units.baseline[:, column].mean()),
                "difference": found.mean,
                "low": found.low,
                "high": found.high,
                "p": found.p,
                "wins": wins,
                "ties": ties,
                "losses": losses,
            }
        )
    corrected = holm([row["p"] for row in rows])
    return pd.DataFrame([{**row, "p_holm": p} for row, p in zip(rows, corrected, strict=True)])
