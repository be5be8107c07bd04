from __future__ import annotations

import numpy as np
from sklearn.metrics.pairwise import cosine_similarity

from metapt_explore.clusters.neighbours import nearest


def test_neighbours_are_those_of_scikit_learn() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    rows, similarity = nearest(vectors, 7, 5)
    every = cosine_similarity(vectors[7:8], vectors)[0]
    expected = [row for row in np.argsort(-every) if row != 7][:5]
    assert rows.tolist() == expected
    np.testing.assert_allclose(similarity, every[expected], atol=1e-6)


def test_empty_texts_and_few_rows() -> None:
    vectors = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    rows, similarity = nearest(vectors, 0, 9)
    assert rows.tolist() == [1, 2] and similarity.tolist() == [0.0, 0.0]
    assert nearest(vectors, 1)[0].tolist() == [2, 0]
