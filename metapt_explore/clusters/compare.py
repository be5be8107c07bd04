"""Two groupings of the same texts: how far they agree, and which cluster went where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from metapt_explore.clusters.quality import agreement


@dataclass(frozen=True, eq=False)
class GroupingAgreement:
    """Two groupings side by side.

    Attributes:
        adjusted_rand_index: 1 for the same grouping, about 0 for what chance gives (Hubert and Arabie, 1985).
        adjusted_mutual_information: The same by shared information (Vinh, Epps and Bailey, 2010).
        rows: Texts that both put into a cluster; the two indices are over these.
        table: Texts by first (rows) and second (columns) cluster, -1 for outliers.
    """

    adjusted_rand_index: float | None
    adjusted_mutual_information: float | None
    rows: int
    table: pd.DataFrame


def compare_groupings(first: np.ndarray, second: np.ndarray) -> GroupingAgreement:
    """Compares two groupings of the same rows.

    Args:
        first: ``[rows]`` cluster ids, negative for outliers.
        second: The same of the other grouping.

    Raises:
        ValueError: Where they have different numbers of rows.

    Example:
        >>> compared = compare_groupings(np.array([0, 0, 1, -1]), np.array([1, 1, 0, 0]))
        >>> compared.adjusted_rand_index, compared.rows, int(compared.table.loc[0, 1])
        (1.0, 3, 2)
    """
    first, second = np.asarray(first), np.asarray(second)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} rows")
    both = (first >= 0) & (second >= 0)
    table = pd.crosstab(np.maximum(first, -1), np.maximum(second, -1))
    scores = agreement(first, [None if cluster < 0 else str(cluster) for cluster in second])
    if scores is None:
        return GroupingAgreement(None, None, 0, table)
    return GroupingAgreement(
        scores["adjusted_rand_index"], scores["adjusted_mutual_information"], int(both.sum()), table
    )
