"""Stability beyond the walls: refits are made as the clustering was, and the summary says how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
from sklearn.cluster import KMeans, MiniBatchKMeans

from metapt_explore.clusters.refits import format_refits, refit_config, refit_facts
from metapt_explore.config import ClusteringConfig, StudyConfig, parse
from metapt_explore.config.clustering import AgglomerativeClustering, HdbscanClustering, KMeansClustering
from metapt_explore.study.study import Study

#: Texts of the tiny study; its sub-samples have 128.
TEXTS = 160


def stability_of(world: Path, folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    methods = [{"name": "PT", "kind": "pt"}]
    tree = tiny.study_tree(world, clusterings=[{"name": "mine", "dimensions": 8, **entry}], methods=methods)
    summary: dict[str, Any] = Study(parse(StudyConfig, tree, "test"), folder).stability("mine", runs=2).summary
    return summary


def fitted_sizes(monkeypatch: pytest.MonkeyPatch, algorithm: type[Any]) -> list[int]:
    """Rows of each fit of an algorithm from now on."""
    sizes: list[int] = []
    fit = algorithm.fit

    def counted(self: Any, rows: Any, *args: Any, **settings: Any) -> Any:
        sizes.append(len(rows))
        return fit(self, rows, *args, **settings)

    monkeypatch.setattr(algorithm, "fit", counted)
    return sizes


def test_a_sampled_hdbscan_is_refitted_on_samples_as_large(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hdbscan

    monkeypatch.setattr(HdbscanClustering, "fits_up_to", 130)  # all texts are too many, a sub-sample would not be
    monkeypatch.setattr(HdbscanClustering, "sample_rows", 100)
    sizes = fitted_sizes(monkeypatch, hdbscan.HDBSCAN)
    found = stability_of(world, tmp_path, {"algorithm": "hdbscan", "min_cluster_size": 5, "min_samples": 2})
    assert sizes == [100] * 5  # itself, two sub-samples, two other samples of all texts
    assert found["refits"] == {"by": "sample", "rows": 100, "of": TEXTS, "algorithm": "hdbscan", "part": 128}
    assert "fitted on 100 texts drawn anew, the others assigned" in found["sentence"]
    # HDBSCAN draws nothing, its sample is drawn: other samples of all texts are compared, too.
    assert found["over_seeds"]["runs"] == 3


def test_other_samples_are_drawn_for_each_refit(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metapt_explore.clusters.grouping import Inputs

    samples: list[tuple[int, ...]] = []
    drawn = Inputs.sample.func

    def noted(self: Any) -> Any:
        rows = drawn(self)
        samples.append(tuple(rows))
        return rows

    monkeypatch.setattr(Inputs.sample, "func", noted)
    entry = {"algorithm": "agglomerative", "n_clusters": 4, "fit_rows": 60}
    found = stability_of(world, tmp_path, entry)
    assert [len(rows) for rows in samples] == [60] * 5 and len(set(samples)) == 5
    assert found["refits"]["rows"] == 60


def test_mini_batches_are_refitted_in_mini_batches(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KMeansClustering, "fits_up_to", 130)
    batches, whole = fitted_sizes(monkeypatch, MiniBatchKMeans), fitted_sizes(monkeypatch, KMeans)
    found = stability_of(world, tmp_path, {"algorithm": "kmeans", "n_clusters": 4})
    assert sorted(batches) == [128, 128, TEXTS, TEXTS, TEXTS] and not whole
    assert found["refits"]["by"] == "mini_batches" and "in mini-batches" in found["sentence"]


def test_within_the_walls_nothing_changes(world: Path, tmp_path: Path) -> None:
    found = stability_of(world, tmp_path, {"algorithm": "kmeans", "n_clusters": 4})
    assert "refits" not in found and "Each refit" not in found["sentence"]
    config = ClusteringConfig(name="k", algorithm="kmeans")
    assert refit_config(config, 200_000) is config and refit_facts(config, 200_000) == {}
    assert refit_facts(ClusteringConfig(name="pool", algorithm="one_pool"), 10**6) == {}


@pytest.mark.parametrize("algorithm", [kind for kind in ClusteringConfig.kinds if "like" not in
                                       ClusteringConfig.kinds[kind].model_fields])  # fmt: skip
@pytest.mark.parametrize("rows", [1_000, 30_001, 100_001, 200_001, 240_000, 1_000_000])
def test_every_algorithm_is_refitted_on_as_many_rows(algorithm: str, rows: int) -> None:
    """Whatever the wall: a refit of all rows, and of four fifths of them, is of the clustering's own kind."""
    config = ClusteringConfig.model_validate({"name": "mine", "algorithm": algorithm})
    again = refit_config(config, rows)
    part = rows * 4 // 5
    if config.in_mini_batches(rows):
        assert again.algorithm == "minibatch_kmeans" and again.fitted_rows(part) == part
        return
    fitted = config.fitted_rows(rows)
    assert again.algorithm == algorithm and not again.in_mini_batches(part)
    assert again.fitted_rows(rows) == fitted and again.fitted_rows(part) == min(fitted, part)


def test_a_sample_larger_than_a_part_is_said() -> None:
    config = AgglomerativeClustering(name="tree", algorithm="agglomerative", fit_rows=150)
    assert "150 texts drawn anew (all 128 of a sub-sample)" in format_refits(refit_facts(config, TEXTS), 128)
    assert format_refits(None, 128) == ""
