from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from metapt_explore.clusters.reduce import normalise, principal_components, project, reduce_embeddings


@pytest.mark.parametrize(("rows", "width"), [(50, 8), (6, 20)])
def test_principal_components_agree_with_scikit_learn_up_to_sign(rows: int, width: int) -> None:
    vectors = np.random.default_rng(1).normal(size=(rows, width)).astype(np.float32)
    expected = PCA(4, svd_solver="full").fit_transform(vectors.astype(float))
    np.testing.assert_allclose(np.abs(principal_components(vectors, 4)), np.abs(expected), atol=1e-8)


def test_the_largest_loading_is_positive() -> None:
    # The second coordinate varies most, in the opposite direction to the first.
    vectors = np.array([[1.0, -4.0], [0.0, 0.0], [-1.0, 4.0]])
    axis = project(vectors)[:, 0]
    np.testing.assert_allclose(axis, [-np.sqrt(17), 0.0, np.sqrt(17)])
    np.testing.assert_allclose(project(-vectors)[:, 0], -axis)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (3, 1), (2, 5)])
def test_a_map_has_two_axes_whatever_the_shape(shape: tuple[int, int]) -> None:
    points = project(np.random.default_rng(0).normal(size=shape))
    assert points.shape == (shape[0], 2) and np.isfinite(points).all()


def test_reduce_takes_no_more_dimensions_than_there_are() -> None:
    assert reduce_embeddings(np.random.default_rng(0).normal(size=(7, 30)), 50).shape == (7, 7)
    assert normalise(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]
