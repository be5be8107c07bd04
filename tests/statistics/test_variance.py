"""Variance sources by hand, against simulated truth, and where they cannot be told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated import COLUMNS, simulated, table

from metapt_explore.config import load_study
from metapt_explore.errors import UserError
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.statistics import variance_sources


def shares(found: pd.DataFrame, task: str, column: str = "variance") -> dict[str, float]:
    rows = found[found["task"] == task]
    return dict(zip(rows["source"], rows[column], strict=True))


def test_two_ways_by_hand() -> None:
    # As in test_designs: MS of initialisations 26, of data seeds 6, of the rest 2; here in hundredths.
    grid = [[2, 2], [3, 5], [7, 11]]
    cells = {(i, j): grid[i][j] / 100 for i in range(3) for j in range(2)}
    found = variance_sources(table({"A": {"mr": cells}}), "A")
    by_hand = {"pre-training": 12e-4, "few-shot sample": 4 / 3 * 1e-4, "interaction and rest": 2e-4}
    total = sum(by_hand.values())
    got = shares(found, "mr")
    assert got == pytest.approx({**by_hand, "total": total})
    assert shares(found, "mr", "share")["pre-training"] == pytest.approx(12e-4 / total)
    assert shares(found, "all tasks") == pytest.approx(got)
    assert list(found.loc[found["task"] == "mr", "levels"].dropna()) == [2, 3]


def test_a_negative_estimate_is_zero_and_said() -> None:
    cells = {(0, 0): 0.0, (0, 1): 0.02, (1, 0): 0.03, (1, 1): 0.01, (2, 0): 0.06, (2, 1): 0.06}
    found = variance_sources(table({"A": {"mr": cells}}), "A").set_index(["task", "source"])
    row = found.loc[("mr", "few-shot sample")]
    assert row["variance"] == 0 and row["share"] == 0 and "negative, set to 0" in row["note"]
    assert found.loc[("mr", "interaction and rest"), "variance"] == pytest.approx(2e-4)


def test_estimates_centre_on_the_truth() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        results = simulated(rng, "crossed", 10, 12, sd_init=0.02, sd_data=0.03, sd_rest=0.01, tasks=("mr",))
        found.append(shares(variance_sources(results, "A"), "mr"))
    mean = pd.DataFrame(found).mean()
    assert mean["few-shot sample"] == pytest.approx(9e-4, rel=0.2)
    assert mean["pre-training"] == pytest.approx(4e-4, rel=0.25)
    assert mean["interaction and rest"] == pytest.approx(1e-4, rel=0.1)


def test_clustering_and_order_are_sources_where_they_vary() -> None:
    rng = np.random.default_rng(1)
    effects = {name: rng.normal(0, sd, 8) for name, sd in (("d", 0.03), ("i", 0.01), ("c", 0.04))}
    of_sample = rng.normal(0, 0.02, (8, 2))  # each few-shot sample has orders of its own
    rows = [
        (
            "A",
            "mr",
            d,
            i,
            0.5 + effects["d"][d] + effects["i"][i] + effects["c"][c] + of_sample[d, o] + rng.normal(0, 0.002),
            c,
            o,
        )
        for d in range(8)
        for i in range(6)
        for c in range(8)
        for o in range(2)
    ]
    results = pd.DataFrame(rows, columns=[*COLUMNS, "clustering_seed", "order_seed"])
    got = shares(variance_sources(results, "A"), "mr", "deviation")
    assert got["clustering"] == pytest.approx(effects["c"].std(ddof=1), rel=0.01)
    assert got["pre-training"] == pytest.approx(effects["i"][:6].std(ddof=1), rel=0.05)
    # Of the mean over two orders their half is luck: by hand, from the two-way table of samples and orders.
    both = effects["d"][:, None] + of_sample
    met = both - both.mean(1, keepdims=True) - both.mean(0) + both.mean()
    sample = both.mean(1).var(ddof=1) - (met**2).sum() / 7 / 2
    assert got["few-shot sample"] == pytest.approx(sample**0.5, rel=0.01)
    # An order is another one in every few-shot sample; what is left in a cell is none of the seeds'.
    assert got["order"] == pytest.approx(of_sample.var(axis=1, ddof=1).mean() ** 0.5, rel=0.01)
    assert got["interaction and rest"] == pytest.approx(0.002, rel=0.1)


def test_an_interaction_is_not_taken_for_a_source() -> None:
    # Three factors; data and init interact, neither has a part of its own.
    rng = np.random.default_rng(2)
    both = rng.normal(0, 0.03, (12, 12))
    both = both - both.mean(0) - both.mean(1)[:, None] + both.mean()
    rows = [("A", "mr", d, i, 0.5 + both[d, i], c) for d in range(12) for i in range(12) for c in range(3)]
    results = pd.DataFrame(rows, columns=[*COLUMNS, "clustering_seed"])
    got = shares(variance_sources(results, "A"), "mr", "share")
    assert got["interaction and rest"] == pytest.approx(1) and got["pre-training"] == 0


def test_paired_seeds_cannot_be_told_apart() -> None:
    results = simulated(np.random.default_rng(3), "paired", 8, 8)
    found = variance_sources(results, "A").set_index(["task", "source"])
    for task in ("mr", "all tasks"):
        row = found.loc[(task, "pre-training")]
        assert row["share"] is None and row["variance"] is None and "change together" in row["note"]
    scores = results[(results["method"] == "A") & (results["task"] == "mr")]["accuracy"]
    assert found.loc[("mr", "total"), "variance"] == pytest.approx(scores.var(ddof=1))


@pytest.mark.parametrize(
    ("inits", "datas", "source", "words"),
    [
        (1, 6, "pre-training", "only one init_seed"),
        (1, 6, "few-shot sample", "not told from the rest"),
        (6, 1, "few-shot sample", "only one data_seed"),
    ],
)
def test_one_level_cannot_be_split(inits: int, datas: int, source: str, words: str) -> None:
    results = simulated(np.random.default_rng(4), "crossed", inits, datas)
    row = variance_sources(results, "A").set_index(["task", "source"]).loc[("mr", source)]
    assert row["share"] is None and words in row["note"]


def test_a_method_without_initialisation_has_one_source() -> None:
    results = table({"TF-IDF": {"mr": {(None, data): 0.5 + 0.01 * data for data in range(5)}}})
    found = variance_sources(results, "TF-IDF")
    assert "pre-training" not in set(found["source"])
    assert found.iloc[0]["share"] is None and "only seed" in found.iloc[0]["note"]


def test_an_unfinished_grid_is_cut_to_a_complete_one() -> None:
    results = simulated(np.random.default_rng(5), "crossed", 5, 6, tasks=("mr",))
    whole = results[results["init_seed"] < 4]
    # The last initialisation has two of six data seeds.
    begun = results[(results["init_seed"] < 4) | (results["data_seed"] < 102)]
    found = variance_sources(begun, "A")
    assert shares(found, "mr") == pytest.approx(shares(variance_sources(whole, "A"), "mr"))
    assert "2 scores left out" in found.iloc[0]["note"]


def test_two_scores_of_one_cell_are_refused() -> None:
    results = simulated(np.random.default_rng(6), "crossed", 3, 3)
    with pytest.raises(UserError, match="two scores"):
        variance_sources(pd.concat([results, results.iloc[:1]]), "A")
    with pytest.raises(UserError, match="no method"):
        variance_sources(results, "Z")


def test_a_metric_that_a_method_has_not_is_refused() -> None:
    rows = [("PT", "mr", data, 0, float("nan")) for data in range(3)]
    table = pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "calibrated_accuracy"])
    with pytest.raises(UserError, match="has no `calibrated_accuracy`"):
        variance_sources(table, "PT", "calibrated_accuracy")


def test_the_crossed_study_can_be_split_into_all_four_sources() -> None:
    """Scores as `studies/crossed.yaml` will have them, with parts that are known."""
    study = load_study(Path(__file__).parents[2] / "studies" / "crossed.yaml")
    rng = np.random.default_rng(0)
    parts = {name: rng.normal(0, 0.02, 10) for name in ("init", "data", "order", "clustering")}
    rows = []
    for method in study.methods:
        if method.kind != "metapt":
            continue
        order, clustering = (int(part[1:]) for part in method.name.split("-")[1:])
        for init, data in study.evaluation.pairs:
            place = study.evaluation.data_seeds.index(data)
            score = 0.7 + parts["init"][init] + parts["data"][place] + parts["order"][order]
            rows.append((method.name, "mr", data, init, score + parts["clustering"][clustering]))
    scores = pd.DataFrame(rows, columns=["method", "task", "data_seed", "init_seed", "accuracy"])
    joined = over_seeds(scores, study.model_dump(mode="json"))
    label = next(name for name in joined.stands_for if name.startswith("MetaPT"))
    sources = variance_sources(joined.results, label).set_index(["task", "source"])["variance"]
    assert sources["mr", "pre-training"] == pytest.approx(parts["init"].var(ddof=1))
    assert sources["mr", "few-shot sample"] == pytest.approx(parts["data"].var(ddof=1))
    assert sources["mr", "clustering"] == pytest.approx(parts["clustering"][:2].var(ddof=1))
    assert sources["mr", "order"] == pytest.approx(parts["order"][:2].var(ddof=1))
    assert sources["mr", "interaction and rest"] == pytest.approx(0, abs=1e-9)
