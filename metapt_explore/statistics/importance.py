"""Which settings of a sweep the score depends on: a random forest, and how its variance falls apart by setting."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Trees of the forest, as in Optuna's `FanovaImportanceEvaluator`.
TREES = 64
#: Combinations of settings that are looked at; of more a sample.
MOST_COMBINATIONS = 4096
#: With fewer settings of the sweep there is nothing to say.
FEWEST = 4


@dataclass(frozen=True)
class Importance:
    """How much of the forest's variance each setting brings by itself.

    Attributes:
        shares: Setting to share of the variance, the largest first.
        rest: Share that settings bring only together.
        points: Scores that the forest learned from.
        methods: Methods behind them: so many combinations of settings were tried.
        fit: Share of the scores' variance that it tells of scores that a tree did not see (out of bag); at 0 or below
            the shares mean nothing.
    """

    shares: dict[str, float]
    rest: float
    points: int
    methods: int
    fit: float


def setting_importance(settings: pd.DataFrame, scores: pd.Series) -> Importance | None:
    """Fits a forest to scores by settings, and takes its variance apart (functional ANOVA, Hutter et al. 2014).

    The forest is asked for every combination of the values that were tried. A setting's share is the variance of the
    means over all other settings, over the variance of all answers: what it does by itself.

    Args:
        settings: A row for each method (its index), a column for each setting; numbers, or anything else as a category.
        scores: Scores, any number of each method; their index holds the methods.

    Returns:
        None where there are too few methods, or all scores are equal.

    Example:
        >>> settings = pd.DataFrame({"rate": [1, 1, 2, 2], "order": ["a", "b"] * 2}, index=list("wxyz"))
        >>> scores = pd.Series([0.1, 0.1, 0.9, 0.9] * 5, index=list("wxyz") * 5)
        >>> found = setting_importance(settings, scores)
        >>> {name: round(share, 1) for name, share in found.shares.items()}, found.points
        ({'rate': 1.0, 'order': 0.0}, 20)
    """
    known = scores[scores.index.isin(settings.index)]
    if known.index.nunique() < FEWEST or settings.shape[1] == 0 or float(np.ptp(known.to_numpy(dtype=float))) < 1e-9:
        return None
    from sklearn.ensemble import RandomForestRegressor

    levels = {str(name): _levels(settings[name]) for name in settings}
    codes = settings.apply(lambda column: column.map(dict(zip(levels[str(column.name)], range(99), strict=False))))
    forest = RandomForestRegressor(n_estimators=TREES, random_state=0, oob_score=True, min_samples_leaf=2)
    forest.fit(_coded(codes.loc[known.index].to_numpy(dtype=int), levels), known.to_numpy(dtype=float))
    grid = _combinations([len(values) for values in levels.values()])
    answers = forest.predict(_coded(grid, levels))
    total = float(answers.var())
    shares = {name: _alone(grid[:, place], answers) / total if total > 0 else 0.0 for place, name in enumerate(levels)}
    ordered = dict(sorted(shares.items(), key=lambda item: -item[1]))
    rest = max(0.0, 1 - sum(shares.values())) if total > 0 else 0.0
    return Importance(ordered, rest, len(known), known.index.nunique(), float(forest.oob_score_))


def _levels(column: pd.Series) -> list[object]:
    """Values of a setting: numbers by size, others as they come."""
    values = list(dict.fromkeys(column))
    return sorted(values) if pd.api.types.is_numeric_dtype(column) else values


def _coded(places: NDArray[np.int_], levels: dict[str, list[object]]) -> NDArray[np.float64]:
    """Numbers as they are, categories as a column for each value."""
    columns = []
    for index, values in enumerate(levels.values()):
        if all(isinstance(value, int | float | np.number) for value in values):
            columns.append(np.array(values, dtype=float)[places[:, index]][:, None])
        else:
            columns.append(np.eye(len(values))[places[:, index]])
    return np.concatenate(columns, axis=1)


def _combinations(counts: list[int]) -> NDArray[np.int_]:
    if np.prod(counts, dtype=float) <= MOST_COMBINATIONS:
        return np.array(list(product(*(range(count) for count in counts))))
    random = np.random.default_rng(0)
    return np.stack([random.integers(count, size=MOST_COMBINATIONS) for count in counts], axis=1)


def _alone(places: NDArray[np.int_], answers: NDArray[np.float64]) -> float:
    """Variance of the means of the answers at each value of a setting; each value counts once."""
    return float(np.var([answers[places == place].mean() for place in np.unique(places)]))
