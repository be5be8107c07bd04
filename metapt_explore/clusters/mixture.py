"""A mixture of Gaussians: clusters, and how probable each of them is for a text."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from metapt_explore.clusters.grouping import Grouping, Inputs, ids_by_size, renumber_by_size
from metapt_explore.config import limits
from metapt_explore.config.clustering import GaussianMixtureClustering
from metapt_explore.seeds import derived_seed
from metapt_explore.storage.shards import SHARD

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture


def gaussian_mixture(inputs: Inputs[GaussianMixtureClustering]) -> Grouping:
    """A mixture of `n_clusters` Gaussians by expectation maximisation (Dempster, Laird and Rubin, 1977).

    The best of four k-means starts. A row's cluster is the component that it most probably comes from, its membership
    that probability: near 1 for most rows where there are many dimensions. A component that is the most probable one
    of no row makes no cluster. Beyond 200,000 rows a sample is fitted; the probabilities are those of all rows.
    """
    fitted = _fit(inputs)
    rows = len(inputs.reduced)
    component, membership = np.empty(rows, dtype=np.int64), np.empty(rows)
    for chosen in _at_once(rows):
        probabilities = fitted.predict_proba(inputs.reduced[chosen])
        component[chosen], membership[chosen] = probabilities.argmax(axis=1), probabilities.max(axis=1)
    return Grouping(renumber_by_size(component), membership)


def _at_once(rows: int) -> list[slice]:
    """All rows together, unless they are many: probabilities of a million rows would fill the memory."""
    size = rows if rows <= limits.MANY_TEXTS else SHARD
    return [slice(first, min(first + size, rows)) for first in range(0, rows, size)]


def responsibilities(inputs: Inputs[GaussianMixtureClustering], labels: np.ndarray) -> np.ndarray:
    """How probable each component is for each row, ``[rows, clusters]``; rows sum to 1.

    Args:
        inputs: What was clustered; it is fitted again.
        labels: ``[rows]`` ids that were found then.

    Raises:
        UserError: Where fitting again finds other clusters.
    """
    probabilities: np.ndarray = _fit(inputs).predict_proba(inputs.reduced)
    inputs.check_same(renumber_by_size(probabilities.argmax(axis=1)), labels)
    return probabilities[:, ids_by_size(probabilities.argmax(axis=1))]


def _fit(inputs: Inputs[GaussianMixtureClustering]) -> GaussianMixture:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    rows, config = len(inputs.embeddings if inputs.sample is None else inputs.sample), inputs.config
    if rows < config.n_clusters:
        raise inputs.refusal(
            f"{rows} texts cannot make {config.n_clusters} clusters. Lower n_clusters or use more texts."
        )
    fitted = inputs.fitted
    mixture = GaussianMixture(
        config.n_clusters,
        covariance_type=config.covariance,
        n_init=4,
        random_state=derived_seed(inputs.seed, "clustering", "gaussian_mixture") % 2**32,
    )
    try:
        with warnings.catch_warnings():  # after 100 steps the clusters hardly move
            warnings.simplefilter("ignore", ConvergenceWarning)
            return mixture.fit(fitted)
    except ValueError as error:  # a component shrank to fewer rows than it has dimensions
        raise inputs.refusal(
            f"no mixture of {config.n_clusters} Gaussians with `covariance: {config.covariance}` fits {rows} texts in "
            f"{fitted.shape[1]} dimensions. Lower n_clusters or dimensions, or use covariance: diag."
        ) from error
