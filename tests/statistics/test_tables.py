"""Curves, label efficiency and summary tables against hand-computed values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated import simulated, table

from metapt_explore.errors import UserError
from metapt_explore.statistics import label_efficiency, overall_table, start_curve, task_matrix

CURVE = ["method", "task", "data_seed", "init_seed", "step", "test_accuracy"]


def curves() -> pd.DataFrame:
    """A starts 10 points ahead of B and ends level; seeds bring 0, 1, 2, 3 points."""
    rows = []
    for method, start in (("A", 0.6), ("B", 0.5)):
        for seed in range(4):
            for task, extra in (("mr", 0.0), ("subj", 0.1)):
                for step, score in ((0, start), (5, 0.7)):
                    wobble = 0.01 * seed * (1 if method == "A" else 0.5)
                    rows.append((method, task, 100 + seed, seed, step, score + extra + wobble))
                    # Another rate, which dev did not choose, has no test score.
                    rows.append((method, task, 100 + seed, seed, step, None))
    return pd.DataFrame(rows, columns=CURVE)


def test_start_curve_by_hand() -> None:
    found = start_curve(curves(), baseline="B").set_index(["method", "step"])
    assert found.loc[("A", 0), "mean"] == pytest.approx(0.6 + 0.05 + 0.015)
    assert found.loc[("B", 5), "mean"] == pytest.approx(0.7 + 0.05 + 0.0075)
    assert found.loc[("A", 0), "difference"] == pytest.approx(0.1 + 0.0075)
    interval = stats.ttest_1samp(0.1 + 0.005 * np.arange(4), 0).confidence_interval(0.95)
    assert found.loc[("A", 0), "difference_low"] == pytest.approx(interval.low)
    assert found.loc[("A", 5), "difference"] == pytest.approx(0.0075)
    assert pd.isna(found.loc[("B", 0), "difference"]) and (found["pairs"] == 4).all()


def test_start_curve_takes_pairs_with_every_task() -> None:
    table = curves()
    gone = (table["method"] == "A") & (table["task"] == "mr") & (table["init_seed"] == 3)
    found = start_curve(table[~gone], baseline="B").set_index(["method", "step"])
    assert found.loc[("A", 5), "pairs"] == 3 and found.loc[("A", 5), "mean"] == pytest.approx(0.76)
    assert list(start_curve(curves(), methods=["B"])["method"].unique()) == ["B"]


def test_a_rate_that_dropped_out_keeps_its_last_score_in_the_curve() -> None:
    table = curves()
    gone = (table["method"] == "A") & (table["task"] == "mr") & (table["init_seed"] == 3) & (table["step"] == 5)
    found = start_curve(table[~gone]).set_index(["method", "step"])
    kept = table[(table["step"] == 0) & (table["task"] == "mr") & (table["init_seed"] == 3) & (table["method"] == "A")]
    before = start_curve(table).set_index(["method", "step"]).loc[("A", 5), "mean"]
    lost = table.loc[gone, "test_accuracy"].dropna().iloc[0] - kept["test_accuracy"].dropna().iloc[0]
    tasks = table["task"].nunique()
    assert found.loc[("A", 5), "pairs"] == 4
    assert found.loc[("A", 5), "mean"] == pytest.approx(before - lost / (4 * tasks))


def test_intervals_of_shares_stay_shares() -> None:
    rows = [("A", "mr", seed, seed, 0, score) for seed, score in enumerate((1.0, 0.2, 0.9))]
    found = start_curve(pd.DataFrame(rows, columns=CURVE))
    assert found.loc[0, "low"] >= 0 and found.loc[0, "high"] == 1


def test_curves_name_what_is_wrong() -> None:
    with pytest.raises(UserError, match="no column 'step'"):
        start_curve(curves().drop(columns="step"))
    with pytest.raises(UserError, match="no scores of method 'C'"):
        start_curve(curves(), baseline="C")


def one_seed(scores: dict[str, float]) -> pd.DataFrame:
    return table({method: {"mr": {(0, 13): score}} for method, score in scores.items()})


def test_label_efficiency_by_hand() -> None:
    found = label_efficiency(
        {
            16: one_seed({"A": 0.80, "B": 0.70}),
            1: one_seed({"A": 0.55, "B": 0.52}),
            4: one_seed({"A": 0.65, "B": 0.60}),
        },
        "B",
    )
    own = found[found["method"] == "A"].set_index("shots")
    # 0.55 lies 3/8 of the way from K = 1 to K = 4 over log K, 0.65 half-way from 4 to 16.
    assert own.loc[1, "baseline_shots"] == pytest.approx(4 ** (3 / 8), abs=1e-5)
    assert own.loc[4, "baseline_shots"] == pytest.approx(8)
    assert own.loc[16, "baseline_shots"] is None and own.loc[16, "note"] == "not up to 16"
    assert list(found[found["method"] == "B"]["baseline_shots"]) == pytest.approx([1, 4, 16])
    assert list(own.index) == [1, 4, 16]


def test_label_efficiency_of_a_worse_method() -> None:
    found = label_efficiency({4: one_seed({"A": 0.5, "B": 0.6}), 8: one_seed({"A": 0.6, "B": 0.7})}, "B")
    first = found[found["method"] == "A"].iloc[0]
    assert first["baseline_shots"] == 4 and first["note"] == "4 or fewer"


def test_label_efficiency_counts_tasks_that_all_tables_have() -> None:
    both = table({"A": {"mr": {(0, 1): 0.6}, "subj": {(0, 1): 0.9}}})
    found = label_efficiency({4: both, 8: one_seed({"A": 0.7})}, "A")
    assert list(found["mean"]) == pytest.approx([0.6, 0.7])
    with pytest.raises(UserError, match="share no task"):
        label_efficiency({4: table({"A": {"subj": {(0, 1): 0.9}}}), 8: one_seed({"A": 0.7})}, "A")
    with pytest.raises(UserError, match="baseline 'PT'"):
        label_efficiency({4: both}, "PT")
    with pytest.raises(UserError, match="at least one"):
        label_efficiency({}, "PT")


def test_overall_table_by_hand() -> None:
    results = table(
        {
            "A": {"mr": {(0, 1): 0.6, (1, 2): 0.8}, "subj": {(0, 1): 0.5, (1, 2): 0.9}},
            "B": {"mr": {(0, 1): 0.6, (1, 2): 0.7}, "subj": {(0, 1): 0.6, (1, 2): 0.6}},
            "TF-IDF": {"mr": {(None, 1): 0.4, (None, 2): 0.5}, "subj": {(None, 1): 0.3, (None, 2): 0.4}},
            "half": {"mr": {(0, 1): 0.9}},
        }
    )
    results["start_accuracy"] = results["accuracy"] - 0.1
    found = overall_table(results, baseline="B").set_index("method")
    row = found.loc["A"]
    assert row["mean"] == pytest.approx(0.7) and row["start"] == pytest.approx(0.6)
    assert row["std"] == pytest.approx(np.std([0.55, 0.85], ddof=1))
    assert row["within_task_std"] == pytest.approx((0.2 + 0.4) / np.sqrt(2) / 2)
    assert (row["worst"], row["worst_init_seed"], row["worst_data_seed"]) == (pytest.approx(0.55), 0, 1)
    assert (row["wins"], row["ties"], row["losses"]) == (1, 0, 1)
    assert pd.isna(found.loc["B", "wins"]) and pd.isna(found.loc["TF-IDF", "worst_init_seed"])
    assert (found.loc["TF-IDF", "losses"], found.loc["TF-IDF", "worst_data_seed"]) == (2, 1)
    assert (found.loc["half", "pairs"], found.loc["half", "incomplete"]) == (0, 1) and pd.isna(
        found.loc["half", "mean"]
    )
    with pytest.raises(UserError, match="no method 'C'"):
        overall_table(results, baseline="C")


def test_task_matrix_by_hand() -> None:
    results = table(
        {"A": {"mr": {(0, 1): 0.6, (1, 2): 0.8}, "subj": {(0, 1): 0.5}}, "B": {"mr": {(0, 1): 0.61, (1, 2): 0.61}}}
    )
    found = task_matrix(results)
    assert found.loc["A"].to_list() == ["70.0 ± 14.1", "50.0"]
    assert found.loc["B"].to_list() == ["61.0 ± 0.0", ""]


def test_no_table_changes_its_input() -> None:
    results = simulated(np.random.default_rng(0))
    before = results.copy()
    overall_table(results, "B")
    task_matrix(results)
    pd.testing.assert_frame_equal(results, before)
