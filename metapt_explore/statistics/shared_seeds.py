"""The variance of a mean over pairs of seeds of which some share a seed, before it is calibrated.

Three sums of squares hold all there is to know of how far seeds matter: the variance of the mean clustered by
initialisation seed, clustered by data seed, and as if pairs were independent (Cameron, Gelbach and Miller 2011). All
functions take one set of values or many (last axis: pairs).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metapt_explore.errors import UserError

Floats = NDArray[np.float64]

#: Entries of the larger matrix of `Layout.members`: 512 MiB. A full cross of 400 × 400 seeds has as many.
MOST_MEMBERS = 2**26


@dataclass(frozen=True)
class Layout:
    """Which seeds each pair has.

    Attributes:
        init: Level of the initialisation seed of each pair, 0, 1, …
        data: Level of the data seed of each pair.
    """

    init: tuple[int, ...]
    data: tuple[int, ...]

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return len(self.init)

    @cached_property
    def levels(self) -> tuple[int, int]:
        """Number of initialisation seeds and of data seeds."""
        return len(set(self.init)), len(set(self.data))

    @property
    def crossed(self) -> bool:
        """Whether every initialisation seed stands with every data seed."""
        return self.levels[0] * self.levels[1] == self.pairs

    @cached_property
    def members(self) -> tuple[Floats, Floats]:
        """Shapes [pairs, levels]: 1 where the pair has the seed.

        Raises:
            UserError: With so many pairs and seeds that the matrices would not fit into memory.
        """
        most = self.pairs * max(self.levels)
        if most > MOST_MEMBERS:
            raise UserError(
                f"{self.pairs:,} pairs of {self.levels[0]:,} initialisation and {self.levels[1]:,} data seeds are "
                f"too many to compare (at most {MOST_MEMBERS:,}, pairs × seeds): compare fewer seeds, or check that "
                "the record's results.parquet is not damaged."
            )
        return np.eye(self.levels[0])[list(self.init)], np.eye(self.levels[1])[list(self.data)]

    @cached_property
    def effective(self) -> tuple[float, float]:
        """Levels of either seed, counted less where some stand in more pairs than others: n² / Σ n_g²."""
        sizes = [member.sum(axis=0) for member in self.members]
        return float(self.pairs**2 / (sizes[0] ** 2).sum()), float(self.pairs**2 / (sizes[1] ** 2).sum())

    @cached_property
    def evenly_nested(self) -> bool:
        """Whether each level of one seed has levels of the other for itself, all equally many.

        Then the mean is that of independent groups of one size, and a t test of the groups' means is exact.
        """
        for fine, coarse in ((0, 1), (1, 0)):
            sizes = self.members[coarse].sum(axis=0)
            if self.levels[fine] == self.pairs and sizes.min() == sizes.max():
                return True
        return False


@dataclass(frozen=True)
class Clustered:
    """The variance of the mean, estimated in three ways; each one number, or one for each study.

    Attributes:
        by_init: Clustered by initialisation seed.
        by_data: Clustered by data seed.
        single: As if no two pairs shared a seed: s² / n.
    """

    by_init: Floats
    by_data: Floats
    single: Floats


def clustered(sums_init: Floats, sums_data: Floats, squares: Floats, layout: Layout) -> Clustered:
    """The three variances out of sums.

    Args:
        sums_init: Residuals added up by initialisation seed, shape [..., levels].
        sums_data: The same by data seed.
        squares: Sum of the squared residuals, shape [...].
        layout: Which seeds each pair has.
    """
    n, (first, second) = layout.pairs, layout.effective
    return Clustered(
        first / (first - 1) * (sums_init**2).sum(axis=-1) / n**2,
        second / (second - 1) * (sums_data**2).sum(axis=-1) / n**2,
        squares / ((n - 1) * n),
    )


def clustered_values(values: Floats, layout: Layout) -> Clustered:
    """The three variances of the mean of values, shape [..., pairs]."""
    residuals = values - values.mean(axis=-1, keepdims=True)
    by_init, by_data = layout.members
    return clustered(residuals @ by_init, residuals @ by_data, (residuals**2).sum(axis=-1), layout)


def raw_variance(parts: Clustered, layout: Layout) -> tuple[Floats, Floats]:
    """Variance of the mean and its degrees of freedom, before calibration.

    Crossed seeds: two-way random effects, [max(MS_a − MS_e, 0) + max(MS_b − MS_e, 0) + MS_e] / n, degrees of freedom
    by Satterthwaite (1946) over the mean squares in use. Else clustered both ways, but not below the smaller of the
    two clustered one way, so that it is not negative; degrees of freedom of the seed with fewer effective levels.
    """
    if layout.crossed:
        ms_a, ms_b, ms_e = mean_squares(parts, layout)
        rows, columns = layout.levels
        total = np.maximum(ms_a - ms_e, 0) + np.maximum(ms_b - ms_e, 0) + ms_e
        # An estimate that was cut to zero takes no part in Satterthwaite's formula.
        spread = ms_e**2 / ((rows - 1) * (columns - 1))
        spread = (
            spread + np.where(ms_a > ms_e, ms_a**2 / (rows - 1), 0) + np.where(ms_b > ms_e, ms_b**2 / (columns - 1), 0)
        )
        with np.errstate(all="ignore"):
            df = np.where(spread > 0, total**2 / spread, float((rows - 1) * (columns - 1)))
        return total / layout.pairs, df
    both = parts.by_init + parts.by_data - parts.single
    df = np.full(np.shape(both), min(layout.effective) - 1)
    return np.maximum(both, np.minimum(parts.by_init, parts.by_data)), df


def mean_squares(parts: Clustered, layout: Layout) -> tuple[Floats, Floats, Floats]:
    """Mean squares of initialisations, data seeds and the rest of a crossed layout."""
    (rows, columns), n = layout.levels, layout.pairs
    ms_a, ms_b = n * parts.by_init, n * parts.by_data
    rest = (n - 1) * n * parts.single - (rows - 1) * ms_a - (columns - 1) * ms_b
    # What rounding leaves of a sum of squares that is 0 is no spread.
    rest = np.where(rest > 1e-9 * n * n * parts.single, rest, 0.0)
    return ms_a, ms_b, rest / ((rows - 1) * (columns - 1))
