"""Methods under several clustering seeds and orders of examples: asked together, and sources of variance."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny

from metapt_explore.config import StudyConfig, parse
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.reporting.report import answers, make_report
from metapt_explore.runs.record import record_of
from metapt_explore.runs.study import Study

SWEPT: dict[str, Any] = {
    "clusterings": [
        {"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8, "seed": [0, 1]},
        {"name": "random", "algorithm": "random_groups", "like": "kmeans"},
    ],
    "methods": [
        {"name": "PPT", "kind": "ppt", "tuning": {"order_seed": [0, 1]}},
        {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans", "tuning": {"order_seed": [0, 1]}},
        {"name": "control", "kind": "metapt", "clustering": "random", "tuning": {"order_seed": [0, 1]}},
    ],
}


def study_of(**changes: Any) -> dict[str, Any]:
    return parse(StudyConfig, tiny.study_tree(Path("/nowhere"), **{**SWEPT, **changes}), "test").model_dump(mode="json")


def scores(study: dict[str, Any]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    names = [method["name"] for method in study["methods"]]
    rows = [(m, t, d, i, rng.uniform(0.4, 0.9)) for m, t, d, i in product(names, ("x", "y"), (1, 2), (0, 1))]
    return pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "accuracy"])


def test_variants_are_one_method() -> None:
    study = study_of()
    assert len(study["methods"]) == 2 + 4 + 4
    results = scores(study)
    found = over_seeds(results, study)
    meta = ["MetaPT-o0-s0", "MetaPT-o0-s1", "MetaPT-o1-s0", "MetaPT-o1-s1"]
    assert found.stands_for["MetaPT"] == meta and found.stands_for["PPT"] == ["PPT-o0", "PPT-o1"]
    assert [method["name"] for method in found.study["methods"]] == ["PPT", "MetaPT", "control"]
    own = found.results[found.results["method"] == "MetaPT"]
    seeds = own.groupby(["clustering_seed", "order_seed"])["accuracy"].mean()
    for name in meta:
        order, seed = int(name[8]), int(name[11])
        assert seeds[seed, order] == pytest.approx(results.loc[results["method"] == name, "accuracy"].mean())
    # Pooled pre-training has no clustering whose seed could vary.
    pooled = found.results[found.results["method"] == "PPT"]
    assert pooled["clustering_seed"].isna().all() and set(pooled["order_seed"]) == {0, 1}


def test_what_is_no_seed_stays_apart() -> None:
    study = study_of(
        clusterings=[
            {"name": "a", "algorithm": "kmeans", "n_clusters": [2, 4], "seed": [3, 4]},
            {"name": "b", "algorithm": "known_groups"},
            {"name": "one", "algorithm": "random_groups", "like": "b"},
            {"name": "two", "algorithm": "random_groups", "like": "b"},
        ],
        methods=[
            {"name": "A", "kind": "metapt", "clustering": "a"},
            {"name": "one", "kind": "metapt", "clustering": "one"},
            {"name": "two", "kind": "metapt", "clustering": "two"},
            {"name": "again", "kind": "metapt", "clustering": "a-2-s3", "inner_steps": 2},
        ],
    )
    found = over_seeds(scores(study), study)
    assert found.stands_for == {"A-2": ["A-2-s3", "A-2-s4"], "A-4": ["A-4-s3", "A-4-s4"]}
    assert [method["name"] for method in found.study["methods"]] == ["A-2", "A-4", "one", "two", "again"]
    plain = study_of(clusterings=SWEPT["clusterings"][:1], methods=[{"name": "PT", "kind": "pt"}])
    results = scores(plain)
    assert over_seeds(results, plain).results is results


@pytest.fixture(scope="module")
def swept(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    evaluation = {"tasks": [str(world / "mood.yaml")], "init_seeds": [0, 1]}
    tree = tiny.study_tree(world, **{**SWEPT, "methods": SWEPT["methods"][:2]}, evaluation=evaluation)
    study = Study(parse(StudyConfig, tree, "test"), tmp_path_factory.mktemp("swept"))
    study.run()
    return study


def test_a_report_asks_over_all_seeds_and_splits_the_variance(swept: Study) -> None:
    record = record_of(swept.workspace, "tiny")
    asked, found = answers(record)
    assert [(q.method, q.baseline, q.primary) for q in asked] == [("MetaPT", "PPT", True)]
    means = record.results.groupby(record.results["method"].str[:3])["accuracy"].mean()
    assert found[0].difference == pytest.approx(means["Met"] - means["PPT"])
    text = make_report(record).markdown()
    assert "**MetaPT** stands for MetaPT-o0-s0, MetaPT-o0-s1, MetaPT-o1-s0, MetaPT-o1-s1" in text
    assert "| method | few-shot sample | pre-training | clustering | order |" in text


def test_an_order_is_the_same_under_every_pre_training(swept: Study) -> None:
    """Orders that are asked for differ, and none of them hangs on the initialisation seed."""
    one, other = (swept.fewshot(f"PPT-o{order}", "mood", 0) for order in (0, 1))
    assert one.stage["parents"] == other.stage["parents"] and one.id != other.id
    losses = [artifact.metrics["train_loss"].tolist() for artifact in (one, other)]
    assert losses[0] != losses[1]
    # The split has few rows: an order is a permutation of the same ones.
    assert one.table("curves")["dev_loss"][0] == other.table("curves")["dev_loss"][0]
