"""What a clustering costs: seconds by a law of its algorithm, from a constant or from a short calibration; memory.

A fit's seconds grow with a power of its rows that is a property of the algorithm (k-means: a little more than linear;
HDBSCAN in dozens of dimensions and trees of all pairs: nearly quadratic). What is calibrated is the constant: some
thousand rows are fitted, more of them while that takes less than a second (`calibrate_clustering`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from metapt_explore.config import ClusteringConfig, limits
from metapt_explore.cost.own_cost import BASE_MIB

MIB = 2**20
#: Seconds below which a calibration is not worth its time.
WORTH_S = 5.0
#: Bytes that a text takes: as a string, in a table, on its way.
TEXT_BYTES = 800
#: Numbers of a vector where nobody knows.
WIDTH = 384


@dataclass(frozen=True)
class Law:
    """How an algorithm's seconds grow; constants are of one core of 2026.

    Attributes:
        fit: Seconds of a fit of 10,000 rows (of 8 clusters).
        exponent: Of the fitted rows.
        per_cluster: Exponent of the number of clusters.
        assigned: Seconds of a row that is assigned afterwards (to a fit of 10,000).
        assigned_exponent: Of the fitted rows, in the seconds of an assigned one.
        fixed: Seconds of a fit whatever its rows.
    """

    fit: float
    exponent: float
    per_cluster: float = 0.0
    assigned: float = 1e-6
    assigned_exponent: float = 0.0
    fixed: float = 0.0

    def fit_seconds(self, rows: int, clusters: int) -> float:
        """Seconds of a fit."""
        return float(self.fixed + self.fit * (rows / 10_000) ** self.exponent * (clusters / 8) ** self.per_cluster)

    def assign_seconds(self, rows: int, fitted: int) -> float:
        """Seconds of assigning so many rows to a fit of so many."""
        return float(rows * self.assigned * (fitted / 10_000) ** self.assigned_exponent)


LAWS = {
    "kmeans": Law(0.4, 1.1, 0.9),
    "minibatch_kmeans": Law(0.03, 1.0, 0.5),
    "hdbscan": Law(12.0, 1.9, assigned=1.6e-4, assigned_exponent=0.5),
    "gaussian_mixture": Law(2.0, 1.1, 0.9, assigned=3e-6),
    "agglomerative": Law(8.0, 2.0),
    "lda": Law(20.0, 1.12, 0.3, assigned=4e-4),
}
#: Seconds a row of what every clustering does: principal components, map, words, quality.
AROUND_S = 4.5e-5
#: The quality of 5,000 rows.
QUALITY_S = 1.0


@dataclass(frozen=True)
class ClusteringCost:
    """Predicted cost of a clustering.

    Attributes:
        seconds: Of all of it.
        mib: Peak memory of the process that makes it.
        rows: Texts.
        fitted: Texts that are fitted.
        algorithm: Its algorithm.
        whole_seconds: Fitted on all texts; None where that is what is done.
        whole_mib: The memory of that.
        calibrated: Whether this machine was measured for it.
        asked: Whether the study says how many are fitted.
    """

    seconds: float
    mib: float
    rows: int
    fitted: int
    algorithm: str
    whole_seconds: float | None = None
    whole_mib: float | None = None
    calibrated: bool = False
    asked: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def law_of(config: ClusteringConfig, rows: int) -> Law | None:
    """The law of a clustering of so many texts; None for controls and edits, which fit nothing."""
    return LAWS.get("minibatch_kmeans" if config.in_mini_batches(rows) else config.algorithm)


def clusters_of(config: ClusteringConfig) -> int:
    """How many clusters an algorithm is told to make; 8 where it is not."""
    return int(getattr(config, "n_clusters", 8))


def rough_seconds(config: ClusteringConfig, rows: int) -> float:
    """About how long a clustering takes, with nothing measured.

    Example:
        >>> dense = ClusteringConfig(name="dense", algorithm="hdbscan")
        >>> rough_seconds(dense, 600) < 5 < 60 < rough_seconds(dense, 90_000)
        True
    """
    return clustering_cost(config, rows).seconds


def clustering_cost(
    config: ClusteringConfig, rows: int, *, width: int = WIDTH, law: Law | None = None, around: float = AROUND_S
) -> ClusteringCost:
    """What a clustering costs.

    Args:
        config: The clustering.
        rows: Texts.
        width: Of a vector.
        law: What was measured (`calibrate_clustering`); rough constants when absent.
        around: Seconds a row beside the fit, as measured.
    """
    measured, law = law is not None, law or law_of(config, rows)
    beside = around * rows + QUALITY_S * min(1.0, (rows / 5_000) ** 2)
    fitted = config.fitted_rows(rows)
    mib = memory_mib(config, rows, fitted, width=width)
    asked = getattr(config, "fit_rows", None) is not None
    if law is None:
        return ClusteringCost(beside, mib, rows, rows, config.algorithm)
    seconds = beside + law.fit_seconds(fitted, clusters_of(config)) + law.assign_seconds(rows - fitted, fitted)
    whole = whole_mib = None
    if fitted < rows:
        whole = beside + law.fit_seconds(rows, clusters_of(config))
        whole_mib = memory_mib(config, rows, rows, width=width)
    return ClusteringCost(
        seconds, mib, rows, fitted, config.algorithm, whole, whole_mib, calibrated=measured, asked=asked
    )


def memory_mib(config: ClusteringConfig, rows: int, fitted: int, *, width: int) -> float:
    """Peak memory of the process that makes a clustering, in MiB."""
    dimensions = min(config.dimensions, width)
    if rows > limits.MANY_TEXTS:
        of_rows = 4 * dimensions * 2 + TEXT_BYTES
    else:
        of_rows = 8 * (3 * width + 3 * dimensions) + TEXT_BYTES
    needed = float(rows * of_rows)
    if config.algorithm == "agglomerative":
        needed += 8.0 * fitted**2
    elif config.algorithm == "hdbscan":
        needed += 8.0 * fitted * dimensions * 4
    elif config.algorithm == "lda":
        needed += rows * clusters_of(config) * 8.0
    elif config.algorithm == "gaussian_mixture":
        needed += fitted * (8.0 * clusters_of(config) * 4 + 8.0 * dimensions)
    return BASE_MIB + needed / MIB
