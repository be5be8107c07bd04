"""Predicted cost of clusterings: laws against arithmetic, and what a plan says of many texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny

from metapt_explore.config import ClusteringConfig, StudyConfig, parse
from metapt_explore.cost.calibrate_clusterings import calibrate_clustering, likely_texts, likely_vectors
from metapt_explore.cost.clusterings import Law, clustering_cost, law_of
from metapt_explore.study import clustering_costs as costs
from metapt_explore.study.cells import cells_of
from metapt_explore.study.clustering_costs import clustering_costs, format_clustering
from metapt_explore.study.study import Study


def clustering(algorithm: str, **settings: Any) -> ClusteringConfig:
    return ClusteringConfig.model_validate({"name": "mine", "algorithm": algorithm, **settings})


def test_a_law_by_hand() -> None:
    law = Law(2.0, 2.0, 1.0, assigned=1e-3, assigned_exponent=1.0)
    assert law.fit_seconds(20_000, 16) == 2.0 * 4 * 2
    assert law.assign_seconds(1_000, 20_000) == 1_000 * 1e-3 * 2
    cost = clustering_cost(clustering("hdbscan"), 1_000_000, law=law, around=0.0)
    assert cost.seconds == pytest.approx(1.0 + 2.0 * 25 + 950_000 * 1e-3 * 5)
    assert cost.whole_seconds == pytest.approx(1.0 + 2.0 * 10_000)
    assert cost.fitted == 50_000 and cost.calibrated


def test_controls_cost_little_and_have_no_wall() -> None:
    cost = clustering_cost(clustering("one_pool"), 1_000_000)
    assert law_of(clustering("one_pool"), 10) is None and cost.whole_seconds is None and cost.seconds < 120


def test_a_calibration_keeps_the_exponents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metapt_explore.cost.calibrate_clusterings.FIRST", 200)
    vectors = likely_vectors(800, 12)
    for config in (clustering("kmeans", dimensions=5), clustering("hdbscan", dimensions=5)):
        law, rough = calibrate_clustering(config, vectors, 1_000_000), law_of(config, 1_000_000)
        assert law is not None and rough is not None
        assert law.exponent == rough.exponent and law.fit > 0 and law.assigned > 0
    assert calibrate_clustering(clustering("one_pool"), vectors, 10) is None


def test_topics_are_calibrated_on_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metapt_explore.cost.calibrate_topics.FIRST", 60)
    config, vectors = clustering("lda", n_clusters=4), likely_vectors(10, 12)
    rough = law_of(config, 1_000_000)
    assert rough is not None and calibrate_clustering(config, vectors, 1_000_000) == rough  # nothing to count
    assert calibrate_clustering(config, vectors, 1_000_000, ["1 2 3"] * 100) == rough  # no word
    law = calibrate_clustering(config, vectors, 1_000_000, likely_texts(300))
    assert law is not None and law.exponent == rough.exponent
    assert law.fit != rough.fit and min(law.fit, law.assigned) > 0 and law.fixed >= 0
    assert law.assigned != rough.assigned and law.assigned_exponent == 0
    # The constant is of 8 clusters, whatever was measured: of 4 it gives the seconds back.
    measured = law.fit_seconds(10_000, 4) - law.fixed
    assert measured == pytest.approx(law.fit * 0.5**law.per_cluster)


def test_topics_take_the_studys_own_texts(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(parse(StudyConfig, tiny.study_tree(world), "test"), tmp_path)
    monkeypatch.setattr(costs, "DRAWN", 50)
    own = study.texts().table("texts")["text"].tolist()
    some = costs._some_texts(study, study.texts())
    assert len(some) == 50 and set(some) <= set(own) and some != own[:50]  # from all of them
    assert costs._some_texts(study, None) == likely_texts(50)  # not read, and no large file
    monkeypatch.setattr(costs, "is_large", lambda settings: True)
    first = costs._some_texts(study, None)
    assert len(first) == 50 and first == [text for text in first if isinstance(text, str)] != likely_texts(50)


def test_small_studies_are_not_calibrated(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(parse(StudyConfig, tiny.study_tree(world), "test"), tmp_path)
    few = clustering_costs(study, 160)
    assert set(few) == {entry.name for entry in study.config.clusterings}
    assert not any(cost.calibrated for cost in few.values())
    monkeypatch.setattr(costs, "DRAWN", 500)
    monkeypatch.setattr("metapt_explore.cost.calibrate_clusterings.FIRST", 200)
    many = clustering_costs(study, 1_000_000)
    assert many["kmeans"].calibrated and not many["random"].calibrated
    assert format_clustering("kmeans", many["kmeans"]).startswith(
        "Clustering 'kmeans': kmeans on 1,000,000 texts: about"
    )


def test_cells_without_a_model_have_costs_of_their_own(world: Path, tmp_path: Path) -> None:
    tree = tiny.study_tree(world)
    tree["clusterings"] += [{"name": "dense", "algorithm": "hdbscan"}]
    cells: dict[int, dict[str, Any]] = {}
    for limit in (2_000, 90_000):
        config = parse(StudyConfig, {**tree, "texts": {**tree["texts"], "limit": limit}}, "test")
        cells[limit] = {cell.key: cell for cell in cells_of(Study(config, tmp_path))}
    for key, many in cells[90_000].items():
        if many.uses != "nothing":
            continue
        few = cells[2_000][key]
        assert few.seconds and few.memory_mib and many.seconds >= few.seconds and many.memory_mib >= few.memory_mib
    # Each algorithm has its law: a fit of density grows faster than one of centres, a control fits nothing.
    seconds = [cells[90_000][f"clusters/{name}"].seconds for name in ("random", "kmeans", "dense")]
    assert sorted(set(seconds)) == seconds
    assert cells[90_000]["clusters/dense"].memory_mib > cells[2_000]["clusters/dense"].memory_mib
    assert cells[90_000]["embeddings"].memory_mib is not None
