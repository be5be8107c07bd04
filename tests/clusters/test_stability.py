from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from metapt_explore.clusters import stability as module
from metapt_explore.clusters.algorithms import cluster
from metapt_explore.clusters.stability import stability, verdict
from metapt_explore.config import ClusteringConfig
from metapt_explore.errors import UserError
from metapt_explore.seeds import derived_seed

LABELS = np.repeat([0, 1, 2, -1], [40, 30, 20, 10])


def test_the_same_answer_every_time_is_stable() -> None:
    found = stability(LABELS, lambda rows, seed: LABELS[rows], runs=3, seed=0)
    assert found["jaccard"] == 1.0 and {c["verdict"] for c in found["clusters"].values()} == {"highly stable"}
    for part, runs in (("over_seeds", 4), ("over_samples", 3)):
        assert found[part] == {
            "adjusted_rand_index": 1.0,
            "adjusted_mutual_information": pytest.approx(1.0),
            "lowest_adjusted_rand_index": 1.0,
            "runs": runs,
            "failed": 0,
        }
    assert list(found["clusters"]) == ["0", "1", "2"]  # outliers are no cluster
    assert "3 of 3 clusters come back" in found["sentence"] and "0 dissolve" in found["sentence"]
    json.dumps(found)


def test_jaccard_by_hand() -> None:
    """Every rerun cuts cluster 1 in two and calls the rest cluster 0: ids do not matter, overlaps do."""
    labels = np.array([0] * 50 + [1] * 50)
    other = np.array([5] * 60 + [3] * 40)
    seen: list[np.ndarray] = []

    def rerun(rows: np.ndarray, seed: int) -> np.ndarray:
        seen.append(rows)
        return other[rows]

    found = stability(labels, rerun, runs=4, seed=1, seeded=False)
    assert found["over_seeds"] is None and found["clusters"]["0"]["jaccard_over_seeds"] is None
    assert len(seen) == 4 and all(len(rows) == 80 and (np.diff(rows) > 0).all() for rows in seen)
    zero = [(rows < 50).sum() / (rows < 60).sum() for rows in seen]
    one = [(rows >= 60).sum() / (rows >= 50).sum() for rows in seen]
    assert found["clusters"]["0"]["jaccard"] == pytest.approx(np.mean(zero))
    assert found["clusters"]["1"]["jaccard"] == pytest.approx(np.mean(one))
    assert found["jaccard"] == pytest.approx((np.mean(zero) + np.mean(one)) / 2)


def test_agreement_is_that_of_scikit_learn_on_the_rows_that_both_saw() -> None:
    runs: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def rerun(rows: np.ndarray, seed: int) -> np.ndarray:
        made = np.random.default_rng(seed).integers(-1, 3, len(rows))
        runs[seed] = rows, made
        return made

    found = stability(LABELS, rerun, runs=2, seed=3)
    first, second = (runs[derived_seed(3, "stability", "sample", run)] for run in (0, 1))
    shared = sorted(set(first[0]) & set(second[0]))
    left, right = (dict(zip(rows, labels, strict=True)) for rows, labels in (first, second))
    pair = [left[row] for row in shared], [right[row] for row in shared]
    assert found["over_samples"]["adjusted_rand_index"] == pytest.approx(adjusted_rand_score(*pair))
    assert found["over_samples"]["adjusted_mutual_information"] == pytest.approx(adjusted_mutual_info_score(*pair))
    # Over seeds the clustering itself is compared, too: three pairs.
    others = [runs[derived_seed(3, "stability", "seed", run)][1] for run in (0, 1)]
    pairs = [(LABELS, others[0]), (LABELS, others[1]), (others[0], others[1])]
    scores = [adjusted_rand_score(*pair) for pair in pairs]
    assert found["over_seeds"]["adjusted_rand_index"] == pytest.approx(np.mean(scores))
    assert found["over_seeds"]["lowest_adjusted_rand_index"] == pytest.approx(min(scores))
    assert all(c["verdict"] == "dissolved" and c["dissolved"] == 2 for c in found["clusters"].values())


def test_a_run_that_finds_nothing_counts_as_one_without_clusters() -> None:
    def rerun(rows: np.ndarray, seed: int) -> np.ndarray:
        raise UserError("no cluster")

    found = stability(LABELS, rerun, runs=2, seed=0, seeded=False)
    assert found["jaccard"] == 0.0 and found["over_samples"]["failed"] == 2
    assert found["over_samples"]["adjusted_rand_index"] == 0.0, "two that found nothing do not agree"
    assert "2 sub-sample(s) had no cluster at all" in found["sentence"]
    with pytest.raises(ValueError, match="1 runs cannot be compared"):
        stability(LABELS, rerun, runs=1, seed=0)


def test_blobs_are_stable_and_noise_is_not() -> None:
    random = np.random.default_rng(0)
    blobs = np.eye(8)[np.repeat([0, 1, 2], 40)] + 0.05 * random.normal(size=(120, 8))
    noise = random.normal(size=(120, 8))
    config = ClusteringConfig(name="k", algorithm="kmeans", n_clusters=3)
    found = []
    for vectors in (blobs, noise):

        def rerun(rows: np.ndarray, seed: int, vectors: np.ndarray = vectors) -> np.ndarray:
            return cluster(vectors[rows], config.model_copy(update={"seed": seed}), 0).labels

        found.append(stability(cluster(vectors, config, 0).labels, rerun, runs=4, seed=0))
    assert found[0]["jaccard"] == 1.0 and found[1]["jaccard"] < 0.75
    assert found[0]["over_samples"]["adjusted_rand_index"] == 1.0 > found[1]["over_samples"]["adjusted_rand_index"]


def slow_jaccards(labels: np.ndarray, cluster: int, rows: np.ndarray, other: np.ndarray) -> float | None:
    """Hennig's similarity by sets."""
    own = {row for row in rows.tolist() if labels[row] == cluster}
    if not own:
        return None
    pairs = list(zip(rows.tolist(), other.tolist(), strict=True))
    groups = [{row for row, to in pairs if to == each} for each in set(other) - {-1}]
    return max([0.0, *(len(own & group) / len(own | group) for group in groups)])


def test_similarities_are_those_of_sets() -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        labels = np.array([3, *random.integers(-1, 4, 39)])  # an id may be missing
        rows = np.sort(random.permutation(40)[:25])
        other = random.integers(-1, 5, 25)
        ids = np.unique(labels[labels >= 0])
        found = module._jaccards(labels, ids, rows, other)
        wanted = [slow_jaccards(labels, cluster, rows, other) for cluster in ids.tolist()]
        assert [None if np.isnan(value) else value for value in found.tolist()] == wanted
        nothing = module._jaccards(labels, ids, rows, np.full(25, -1))
        assert [np.isnan(value) for value in nothing] == [value is None for value in wanted] and np.nansum(nothing) == 0


def test_agreement_of_many_rows_is_that_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.limits, "MANY_TEXTS", 60)
    monkeypatch.setattr(module, "AGREEMENT_ROWS", 50)
    seen: list[int] = []

    def score(left: np.ndarray, right: np.ndarray) -> float:
        seen.append(len(left))
        return adjusted_rand_score(left, right)

    monkeypatch.setattr("sklearn.metrics.adjusted_rand_score", score)
    found = stability(LABELS, lambda rows, seed: LABELS[rows], runs=2, seed=0)
    assert set(seen) == {50} and found["over_seeds"]["adjusted_rand_index"] == 1.0


def test_verdicts_at_their_bounds() -> None:
    assert [verdict(value) for value in (1.0, 0.85, 0.84, 0.75, 0.6, 0.59, 0.51, 0.5, 0.0)] == [
        "highly stable", "highly stable", "stable", "stable", module.VERDICTS[2][1], "not stable", "not stable",
        "dissolved", "dissolved",
    ]  # fmt: skip
