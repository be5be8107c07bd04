"""How far a difference hangs on seeds, on test rows, and on both: a bootstrap at two levels.

All pairs of seeds score the same test rows, so an interval over seeds takes the rows for fixed, and one over rows the
seeds. One who wants to know what a method gains on new texts needs both.

Decisions of one task are a table of pairs of seeds by rows, in which each cell has noise of its own (a row that one
seed happens to get right). Drawing pairs and rows anew at once counts that noise three times (Owen 2007). So the seeds'
part is scaled down to what is not noise of cells, as in the residual bootstrap of multilevel models (Carpenter,
Goldstein and Rasbash 2003), and up to the t interval of so few seeds; the rows' part is drawn as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metapt_explore.errors import UserError
from metapt_explore.statistics.designs import mean_over_pairs, without_idle_seeds
from metapt_explore.statistics.errors import paired_decisions
from metapt_explore.statistics.ground import Grounds, as_one_sample, one_seed_each, shared_rows
from metapt_explore.statistics.numbers import interval, points
from metapt_explore.statistics.resampling import bootstrap_weights
from metapt_explore.statistics.units import NO_INIT, UNIT

#: What the three intervals say; stands beside them wherever they are shown.
COVERS = (
    "Over seeds: other few-shot samples and initialisations, on these test rows. Over rows: other test rows of the "
    "kind, under these seeds. Over both: other seeds and other test rows; only this one speaks of new texts. No "
    "interval covers other tasks, another model or other pre-training texts."
)

Ends = tuple[float, float]

#: Pairs of seeds, and cells (pairs × rows) of one task, beyond which nothing is drawn: half a GiB of decisions.
MOST_PAIRS, MOST_CELLS = 20_000, 2**26
#: Rows that are drawn at once, over all resamples: what is drawn takes 32 MiB.
DRAWN_AT_ONCE = 2**22


@dataclass(frozen=True)
class TwoLevel:
    """A difference of accuracies and its intervals of 95 %.

    Attributes:
        difference: Mean over tasks, pairs of seeds and rows of the first − the second.
        tasks: Tasks.
        pairs: Pairs of seeds that have every task.
        rows: Test rows, of all tasks together.
        over_seeds: The t interval over seeds (`designs.mean_over_pairs`); None with one pair, or where all say the
            same.
        over_rows: The bootstrap interval over rows.
        over_both: The bootstrap interval over both, which holds the other two.
    """

    difference: float
    tasks: int
    pairs: int
    rows: int
    over_seeds: Ends | None
    over_rows: Ends
    over_both: Ends

    @property
    def sentence(self) -> str:
        """The difference with its intervals, in points."""
        seeds = "–" if self.over_seeds is None else interval(*self.over_seeds)
        return (
            f"{points(self.difference)} points; 95 %: {seeds} over {self.pairs} pair{'s' * (self.pairs != 1)} of "
            f"seeds, {interval(*self.over_rows)} over {self.rows:,} rows, {interval(*self.over_both)} over both."
        )


def two_level(
    first: pd.DataFrame, second: pd.DataFrame, *, resamples: int = 2000, grounds: Grounds | None = None
) -> TwoLevel:
    """Compares two methods over seeds and test rows.

    Args:
        first: Predictions of a method, of one task or of several (column ``task``).
        second: Those of another.
        resamples: Bootstrap samples.
        grounds: By task, what its few-shot samples share (`ground_of`); nothing is known when absent.

    Raises:
        ValueError: Where they have no pair of seeds with every task in common, or where pairs of seeds are scored on
            rows of their own (`evaluation.scored_on: other_seeds`): an interval over such seeds holds their rows'
            error already.
        UserError: Where a task has so many pairs of seeds or rows that a table of them would not fit into memory.
    """
    decisions = paired_decisions(first, second)
    if "init_seed" not in decisions:
        decisions = decisions.assign(init_seed=NO_INIT)
    if "task" not in decisions:
        decisions = decisions.assign(task="")
    decisions["gain"] = decisions["first"].astype(float) - decisions["second"].astype(float)
    for task, of_task in decisions.groupby("task", sort=False, observed=True):
        _check_fits(str(task), of_task)
    tables = {
        str(task): of_task.pivot_table(index=UNIT, columns="row", values="gain")
        for task, of_task in decisions.groupby("task", sort=False, observed=True)
    }
    pairs = next(iter(tables.values())).index
    for table in tables.values():
        pairs = pairs.intersection(table.index)
    if not len(pairs):
        raise ValueError("no pair of seeds has every task")
    known = {} if grounds is None else grounds
    stands = one_seed_each(known, list(tables))  # data seeds of the same sample count once
    gains = {task: as_one_sample(table.loc[pairs], stands) for task, table in tables.items()}
    if any(table.isna().to_numpy().any() for table in gains.values()):
        raise ValueError("pairs of seeds are scored on rows of their own")
    seeds = sorted({int(seed) for seed in next(iter(gains.values())).index.get_level_values("data_seed")})
    return of_gains(gains, resamples=resamples, shared=shared_rows(known, list(gains), seeds))


def of_gains(gains: Mapping[str, pd.DataFrame], *, resamples: int = 2000, shared: float = 0.0) -> TwoLevel:
    """The intervals out of tables of gains.

    Args:
        gains: For each task, pairs of seeds (index levels init_seed, data_seed; the same for all tasks) by test rows:
            1 where only the first method is right, −1 where only the second is, 0 elsewhere.
        resamples: Bootstrap samples.
        shared: Mean share of rows that the few-shot samples of two data seeds have in common.
    """
    rng = np.random.default_rng(0)
    of_pair = pd.concat([table.mean(axis=1) for table in gains.values()], axis=1).mean(axis=1)
    estimate = mean_over_pairs(of_pair, shared=shared)
    mean, by_rows = float(of_pair.mean()), np.zeros(resamples)
    for table in gains.values():
        of_row = table.mean(axis=0).to_numpy()
        # The same numbers as in one draw, in pieces: a task may have a million rows.
        at_once = max(1, DRAWN_AT_ONCE // len(of_row))
        for start in range(0, resamples, at_once):
            part = slice(start, min(start + at_once, resamples))
            drawn = rng.integers(0, len(of_row), size=(part.stop - part.start, len(of_row)))
            by_rows[part] += (of_row[drawn].mean(axis=1) - of_row.mean()) / len(gains)
    over_rows, over_seeds = _ends(mean + by_rows), None
    over_both = over_rows
    if estimate.low is not None and estimate.high is not None and estimate.standard_error is not None:
        over_seeds = (estimate.low, estimate.high)
        signal = max(0.0, 1 - _cell_noise(list(gains.values())) / estimate.standard_error**2)
        reach = (estimate.high - estimate.low) / 2 * np.sqrt(signal)
        low, high = _ends(mean + by_rows + _seed_draws(of_pair, resamples, rng) * reach)
        # With two or three pairs the t interval, in which cells' noise counts as the seeds', can reach further.
        over_both = min(low, over_seeds[0], over_rows[0]), max(high, over_seeds[1], over_rows[1])
    return TwoLevel(
        difference=mean,
        tasks=len(gains),
        pairs=len(of_pair),
        rows=sum(table.shape[1] for table in gains.values()),
        over_seeds=over_seeds,
        over_rows=over_rows,
        over_both=over_both,
    )


def _check_fits(task: str, decisions: pd.DataFrame) -> None:
    """Refuses decisions whose table of pairs by rows would not fit: a record may name each seed and row once."""
    pairs, rows = int(decisions.groupby(UNIT).ngroups), int(decisions["row"].nunique())
    if pairs > MOST_PAIRS or pairs * rows > MOST_CELLS:
        of_task = f"the task '{task}'" if task else "the task"
        raise UserError(
            f"The decisions on {of_task} are of {pairs:,} pairs of seeds and {rows:,} rows, too many to compare over "
            f"seeds and rows together (at most {MOST_PAIRS:,} pairs, and {MOST_CELLS:,} decisions of a method): "
            "compare fewer seeds, or check that the record's predictions.parquet is not damaged."
        )


def _seed_draws(of_pair: pd.Series, resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Bootstrap means over pairs about their centre, scaled to an interval of 95 % from −1 to 1."""
    values, design, _ = without_idle_seeds(of_pair)
    weights = bootstrap_weights(design, resamples, rng)
    means = weights @ values.to_numpy(dtype=float) / weights.sum(axis=1)
    # Samples without any pair are left out there: filled up, so that each draw of rows meets one of seeds.
    centred = np.resize(means, resamples) - values.mean()
    mirrored = centred * rng.choice([-1.0, 1.0], size=resamples)  # the t interval has no longer side
    low, high = _ends(mirrored)
    drawn: NDArray[np.float64] = mirrored / max((high - low) / 2, 1e-12)
    return drawn


def _cell_noise(gains: list[pd.DataFrame]) -> float:
    """What the noise of cells brings to the variance of the mean over tasks, pairs and rows."""
    noise = 0.0
    for table in gains:
        values = table.to_numpy()
        pairs, rows = values.shape
        left = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0, keepdims=True) + values.mean()
        noise += float((left**2).sum()) / max((pairs - 1) * (rows - 1), 1) / (pairs * rows)
    return noise / len(gains) ** 2


def _ends(values: NDArray[np.float64]) -> Ends:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
