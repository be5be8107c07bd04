"""A mixture of Gaussians: clusters, and how probable each of them is for a text."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from metapt_explore.clusters.grouping import Grouping, Inputs, ids_by_size, renumber_by_size
from metapt_explore.config import limits
from metapt_explore.config.clustering import GaussianMixtureClustering
from metapt_explore.seeds import derived_seed
from metapt_explore.storage.shards import SHARD, row_slices

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
    for chosen, probabilities in _parts(inputs, fitted):
        component[chosen], membership[chosen] = probabilities.argmax(axis=1), probabilities.max(axis=1)
    return Grouping(renumber_by_size(component), membership)


def _parts(inputs: Inputs[GaussianMixtureClustering], fitted: GaussianMixture) -> Iterator[tuple[slice, np.ndarray]]:
    """Probabilities of all rows together, unless they are many: those of a million rows would fill the memory."""
    rows = len(inputs.reduced)
    for chosen in row_slices(rows, rows if rows <= limits.MANY_TEXTS else SHARD):
        yield chosen, fitted.predict_proba(inputs.reduced[chosen])


def responsibilities(
    inputs: Inputs[GaussianMixtureClustering], labels: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """How probable each component is for each row, ``[rows, clusters]``, a part of the rows at a time; rows sum to 1.

    Args:
        inputs: What was clustered; it is fitted again.
        labels: ``[rows]`` ids that were found then.

    Raises:
        UserError: Where fitting again finds other clusters.
    """
    fitted = _fit(inputs)
    component = np.concatenate([part.argmax(axis=1) for _, part in _parts(inputs, fitted)])
    inputs.check_same(renumber_by_size(component), labels)
    order = ids_by_size(component)
    for chosen, part in _parts(inputs, fitted):
        yield chosen, part[:, order]


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
