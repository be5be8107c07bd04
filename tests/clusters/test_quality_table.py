from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import normalized_mutual_info_score

from metapt_explore.clusters.quality_table import (
    MEASURES,
    label_information,
    method_gains,
    quality_correlations,
    quality_table,
)


def results(accuracy: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    """Scores of data seeds 0, 1 … for each (method, task); every start is 0.1 lower."""
    return pd.DataFrame(
        [
            {"method": method, "task": task, "data_seed": seed, "init_seed": 0, "accuracy": score,
             "start_accuracy": score - 0.1 * (method != "PPT")}
            for (method, task), scores in accuracy.items()
            for seed, score in enumerate(scores)
        ]
    )  # fmt: skip


def record(name: str, **quality: Any) -> dict[str, Any]:
    known = {"silhouette": 0.1, "davies_bouldin": 1.0, "calinski_harabasz": 5.0, "outlier_share": 0.0, "n_clusters": 2}
    labels = [{"labels": {"good": 3, "bad": 1}}, {"labels": {"good": 1, "bad": 3, "unlabelled": 9}}]
    return {"name": name, "algorithm": "kmeans", "clusters": {"quality": {**known, **quality}, "clusters": labels}}


def test_label_information_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    clusters, labels = random.integers(0, 4, 200), random.integers(0, 3, 200)
    labels[:80] = clusters[:80] % 3
    counted = [
        {"labels": {f"l{label}": int(((clusters == c) & (labels == label)).sum()) for label in range(3)}}
        for c in range(4)
    ]
    assert label_information(counted) == pytest.approx(normalized_mutual_info_score(clusters, labels))
    counted[0]["labels"]["unlabelled"] = 50
    assert label_information(counted) == pytest.approx(normalized_mutual_info_score(clusters, labels))


@pytest.mark.parametrize("labels", [[], [{"a": 1, "b": 2}], [{"a": 1}, {"a": 2}], [{"unlabelled": 2}] * 2, [{}, {}]])
def test_label_information_of_nothing(labels: list[dict[str, int]]) -> None:
    assert label_information([{"labels": counts} for counts in labels]) is None
    assert label_information([{"cluster": 0}, {"cluster": 1}]) is None  # labels that were not counted


def test_gain_is_paired_and_a_task_counts_once() -> None:
    scores = results(
        {
            ("PPT", "a"): [0.5, 0.6, 0.7], ("M", "a"): [0.6, 0.8],  # seed 2 has no partner
            ("PPT", "b"): [0.5], ("M", "b"): [0.45],
            ("PT", "a"): [0.1, 0.1, 0.1],
        }
    )  # fmt: skip
    found = method_gains(scores, {"M": "kmeans", "late": "hdbscan", "PPT": "x"}, "PPT")
    assert list(found["method"]) == ["M"] and found["units"].tolist() == [3]
    assert found["gain"].iloc[0] == pytest.approx((0.15 - 0.05) / 2)
    assert found["start_gain"].iloc[0] == pytest.approx((0.05 - 0.15) / 2)
    assert method_gains(scores, {"M": "kmeans"}, "other").empty
    assert method_gains(pd.DataFrame(), {"M": "kmeans"}, "PPT").empty


def test_one_row_a_clustering_and_old_summaries_are_read() -> None:
    gains = pd.DataFrame(
        [["M", "new", 0.1, 0.3, 6], ["M2", "new", 0.2, 0.1, 4]],
        columns=["method", "clustering", "gain", "start_gain", "units"],
    )
    stable = {"jaccard": 0.9, "over_seeds": {"adjusted_rand_index": 0.8}}
    agreement = {"adjusted_rand_index": 0.4, "adjusted_mutual_information": 0.5}
    new = {**record("new", dbcv=-0.2), "tasks": {"tasks": 2}, "stability": stable}
    new["clusters"]["agreement"] = agreement
    table = quality_table([record("old"), new, {**record("still"), "stability": {"over_seeds": None}}], gains)
    assert list(table["clustering"]) == ["old", "new", "still"]
    old, row = table.iloc[0], table.iloc[1]
    assert old[["dbcv", "stability", "seed_agreement", "known_groups_ari", "tasks", "gain"]].isna().all()
    assert old["methods"] == "" and old["units"] == 0
    expected = normalized_mutual_info_score([0] * 4 + [1] * 4, [0, 0, 0, 1, 0, 1, 1, 1])
    assert row["label_information"] == pytest.approx(expected)
    assert row["gain"] == pytest.approx(0.15) and row["start_gain"] == pytest.approx(0.2)
    assert row["units"] == 4 and row["methods"] == "M, M2"
    assert (row["stability"], row["seed_agreement"], row["dbcv"], row["known_groups_ami"]) == (0.9, 0.8, -0.2, 0.5)


def test_correlations_are_scipys_with_a_caveat_for_few() -> None:
    random = np.random.default_rng(1)
    table = pd.DataFrame({measure: random.integers(0, 5, 8).astype(float) for measure in MEASURES})
    table["gain"] = random.normal(size=8)
    table.loc[:3, "dbcv"] = np.nan
    table["tasks"] = 4.0
    found = quality_correlations(table).set_index("measure")
    assert found.loc["silhouette", "spearman"] == pytest.approx(spearmanr(table["silhouette"], table["gain"])[0])
    assert found.loc["silhouette", "caveat"] == "" and found.loc["silhouette", "clusterings"] == 8
    few = table.dropna()
    assert found.loc["dbcv", "spearman"] == pytest.approx(spearmanr(few["dbcv"], few["gain"])[0])
    assert found.loc["dbcv", "caveat"] == "only 4 clusterings: says next to nothing"
    assert np.isnan(found.loc["tasks", "spearman"])  # the same for all
    assert not found.loc["davies_bouldin", "higher_is_better"]
    assert quality_correlations(table.head(2))["spearman"].isna().all()
