"""Methods under several clustering seeds and orders of examples: asked together, and sources of variance."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny

from metapt_explore.clusters.quality_table import on_one_clustering
from metapt_explore.config import StudyConfig, parse
from metapt_explore.fewshot import tuning
from metapt_explore.fewshot.tuning import tune
from metapt_explore.fewshot.tuning_steps import epoch_rows
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.reporting.questions import questions_of
from metapt_explore.reporting.report import answers, make_report
from metapt_explore.results.record import record_of
from metapt_explore.study.study import Study

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


def test_starts_and_spread_are_asked_of_what_can_be_compared(swept: Study) -> None:
    record = record_of(swept.workspace, "tiny")
    text = make_report(record).markdown()
    starts = text.split("## A better start?")[1].split("\n## ")[0]
    assert "in accuracy before tuning" in starts and "MetaPT" in starts
    # MetaPT is a mean over four draws, PPT over two: a ratio of their spreads would say what averaging does.
    steadier = text.split("## Steadier?")[1].split("\n## ")[0]
    assert "MetaPT / PPT" not in steadier and "a mean varies less" in steadier
    assert "The same draws of clusterings serve all pairs of seeds (kmeans-s0, kmeans-s1)" in text


def test_an_order_is_the_same_under_every_pre_training(swept: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders that are asked for differ, and none of them hangs on the initialisation seed."""
    orders = []
    monkeypatch.setattr(tuning, "tune", lambda *a, **k: orders.append(a[2].order_seeds) or tune(*a, **k))
    for method, seed in product(("PPT-o0", "PPT-o1", "PT"), (0, 1)):
        of = {"name": "PT", "kind": "pt"} if method == "PT" else next(m for m in SWEPT["methods"] if m["name"] == "PPT")
        config = parse(StudyConfig, {**swept.config.model_dump(mode="json"), "methods": [of]}, "test")
        study = Study(config, swept.workspace.folder.parent / f"orders of {method}")
        study.fewshot(method, "mood", seed)
    assert orders[0] == orders[1] != orders[2] == orders[3]
    assert orders[4] != orders[5] and not {*orders[:4]} & {*orders[4:]}
    rows = [epoch_rows(8, 4, 1, seed=1, order_seeds=order) for order in orders]
    assert rows[0] == rows[1] != rows[2] == rows[3]


@pytest.mark.parametrize(
    ("clusterings", "methods", "stands_for"),
    [
        (  # what a pooled method tells apart is drawn several times
            SWEPT["clusterings"],
            [{"name": "PPT topics", "kind": "ppt", "topics": {"clustering": "kmeans"}}],
            {"PPT topics": ["PPT topics-s0", "PPT topics-s1"]},
        ),
        (  # random groups with a seed of their own, of several clusterings
            [SWEPT["clusterings"][0], {**SWEPT["clusterings"][1], "seed": 5}],
            [{"name": "control", "kind": "metapt", "clustering": "random"}],
            {"control": ["control-s0", "control-s1"]},
        ),
        (  # an order that comes with the initialisation is not one of those that are drawn apart
            SWEPT["clusterings"],
            [{"name": "PT", "kind": "pt"}, {"name": "PT", "kind": "pt", "tuning": {"order_seed": [0, 1]}}],
            {"PT-o0 and 1 more": ["PT-o0", "PT-o1"]},
        ),
        (  # two groups that would be called the same
            SWEPT["clusterings"],
            [
                {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
                {"name": "MetaPT", "kind": "metapt", "clustering": "random", "tuning": {"order_seed": [0, 1]}},
            ],
            {
                "MetaPT": ["MetaPT-s0", "MetaPT-s1"],
                "MetaPT-o0-s0 and 3 more": ["MetaPT-o0-s0", "MetaPT-o0-s1", "MetaPT-o1-s0", "MetaPT-o1-s1"],
            },
        ),
    ],
)
def test_draws_of_all_kinds(
    clusterings: list[dict[str, Any]], methods: list[dict[str, Any]], stands_for: dict[str, list[str]]
) -> None:
    study = study_of(clusterings=clusterings, methods=methods)
    found = over_seeds(scores(study), study)
    assert found.stands_for == stands_for
    for label, names in stands_for.items():
        own = found.results[found.results["method"] == label]
        seeds = [column for column in ("clustering_seed", "order_seed") if column in own and own[column].notna().any()]
        assert len(own.drop_duplicates(seeds)) == len(names)


def test_an_order_is_no_other_term() -> None:
    """One order of the examples, asked for: the question and what a clustering gained are those of without."""
    order = {"tuning": {"order_seed": 3}}
    meta = {"name": "MetaPT", "kind": "metapt", "clustering": "topics", **order}
    study = study_of(
        clusterings=[{"name": "topics", "algorithm": "known_groups"}], methods=[{"name": "PPT", "kind": "ppt"}, meta]
    )
    (question,) = questions_of(study, ["PPT", "MetaPT"])
    assert question.text == "Does MetaPT beat pooled pre-training?"
    assert on_one_clustering(study["methods"]) == ({"MetaPT": "topics"}, "PPT")
    part = {"name": "MetaPT without 0", "kind": "metapt", "clustering": "topics", "without": [0]}
    assert on_one_clustering([*study["methods"], part]) == ({"MetaPT": "topics"}, "PPT")
