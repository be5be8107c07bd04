"""Confusion, calibration, slices and row-by-row comparison, on tables that are counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metapt_explore.statistics.calibration import calibration, calibration_error, calibration_of
from metapt_explore.statistics.errors import by_slice, compare_rows, confusion, wilson


def decisions(rows: list[tuple[int, int, int, int]], seed: int | None = 0) -> pd.DataFrame:
    """Out of (data seed, row, label, predicted); the predicted class has probability 0.8."""
    table = pd.DataFrame(rows, columns=["data_seed", "row", "label", "predicted"])
    for index in (0, 1):
        table[f"score_{index}"] = np.log(np.where(table["predicted"] == index, 0.8, 0.2)).astype(np.float16)
    return table.assign(init_seed=pd.array([pd.NA if seed is None else seed] * len(table), dtype="Int64"))


LABELS = {5: 0, 6: 0, 7: 1, 8: 1}


def of_predicted(predicted: dict[int, list[int]]) -> pd.DataFrame:
    """Out of the predicted classes of rows 5 to 8, by data seed."""
    return decisions(
        [(seed, row, label, said[row - 5]) for seed, said in predicted.items() for row, label in LABELS.items()]
    )


FIRST = of_predicted({1: [0, 1, 1, 1], 2: [0, 0, 1, 0]})
SECOND = of_predicted({1: [1, 1, 1, 0], 2: [1, 1, 0, 1]})
COLUMNS = ["data_seed", "row", "label", "predicted"]


def test_confusion_counts_decisions() -> None:
    table = confusion(FIRST, ["bad", "good"])
    assert table.to_numpy().tolist() == [[3, 1], [1, 3]] and list(table.columns) == ["bad", "good"]
    other = confusion(FIRST.assign(predicted=[-1, *FIRST["predicted"][1:]]), ["bad", "good"])
    assert other.to_numpy().tolist() == [[2, 1, 1], [1, 3, 0]] and other.columns[-1] == "(other word)"


def test_calibration_by_hand() -> None:
    table = calibration(FIRST)
    assert table["decisions"].tolist() == [8] and table["accuracy"].tolist() == [0.75]
    assert table["confidence"].iloc[0] == pytest.approx(0.8, abs=1e-3)
    assert calibration_error(FIRST) == pytest.approx(0.05, abs=1e-3)


def test_calibration_of_two_bins() -> None:
    table = decisions([(1, 0, 0, 0), (1, 1, 0, 1), (1, 2, 1, 1), (1, 3, 1, 1)])
    table["score_1"] = np.log([0.2, 0.95, 0.95, 0.95]).astype(np.float16)
    found = calibration(table)
    assert found["decisions"].tolist() == [1, 3] and found["accuracy"].tolist() == pytest.approx([1, 2 / 3])
    assert calibration_error(table) == pytest.approx((0.2 + 3 * (0.95 - 2 / 3)) / 4, abs=1e-3)


def test_two_methods_row_by_row() -> None:
    found = compare_rows(FIRST, SECOND)
    # Right: the first 3 of 4 and 3 of 4, the second 1 of 4 and 1 of 4.
    assert found.seeds == 2 and found.difference == pytest.approx(0.5)
    assert (found.first_only, found.second_only) == (5 / 8, 1 / 8)
    assert found.rows.loc[5].tolist() == [0, 1.0, 0.0, 1.0] and found.rows.index[0] == 5
    assert [(t.data_seed, t.first_only, t.second_only, t.p) for t in found.tests] == [(1, 2, 0, 0.5), (2, 3, 1, 0.625)]
    assert found.low <= found.difference <= found.high


def test_the_interval_is_over_rows_not_decisions() -> None:
    """A hundred seeds that say the same of four rows are four rows."""
    again = [decisions(FIRST[COLUMNS].to_numpy().tolist(), seed) for seed in range(50)]
    once = pd.concat([decisions(SECOND[COLUMNS].to_numpy().tolist(), s) for s in range(50)])
    many, few = compare_rows(pd.concat(again), once), compare_rows(FIRST, SECOND)
    assert many.seeds == 100 and (many.low, many.high) == pytest.approx((few.low, few.high))


def test_a_baseline_without_initialisation_meets_every_seed() -> None:
    plain = decisions(SECOND[COLUMNS].to_numpy().tolist(), None)
    methods = pd.concat([FIRST, FIRST.assign(init_seed=pd.array([1] * len(FIRST), dtype="Int64"))])
    found = compare_rows(methods, plain)
    assert found.seeds == 4 and found.difference == pytest.approx(0.5)
    assert {(t.init_seed, t.data_seed) for t in found.tests} == {(0, 1), (0, 2), (1, 1), (1, 2)}
    assert compare_rows(plain, methods).difference == pytest.approx(-0.5)
    assert compare_rows(plain, plain).seeds == 2


def test_nothing_in_common_is_said() -> None:
    with pytest.raises(ValueError, match="no pair of seeds"):
        compare_rows(FIRST, FIRST.assign(data_seed=9))


def test_slices_are_over_rows() -> None:
    parts = pd.Series({5: "short", 6: "short", 7: "long"})
    found = by_slice(FIRST, parts).set_index("slice")
    assert found.loc["short", "accuracy"] == 0.75 and found.loc["short", "rows"] == 2
    assert found.loc["long", ["accuracy", "high"]].tolist() == [1.0, 1.0]
    assert found.loc["long", "low"] < 0.6  # one row that every seed has right proves little


def test_wilson_by_hand_and_slices_of_one_seed() -> None:
    # (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n) for 8 of 10.
    assert wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    one = FIRST[FIRST["data_seed"] == 1]
    found = by_slice(one, pd.Series({row: "all" for row in LABELS})).iloc[0]
    assert (found["low"], found["high"]) == pytest.approx(wilson(0.75, 4))


def test_slices_stand_in_the_order_of_their_categories() -> None:
    parts = pd.Series(pd.Categorical(["z", "a", "z", "a"], ["z", "b", "a"], ordered=True), list(LABELS))
    assert by_slice(FIRST, parts)["slice"].tolist() == ["z", "a"]


def test_the_floor_is_what_perfect_probabilities_show() -> None:
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.5, 1, 300)
    tables = []
    for seed in range(30):
        label = np.where(rng.random(300) < sure, 0, 1)
        tables.append(pd.DataFrame({"data_seed": seed, "label": label, "predicted": 0, "of_predicted": np.log(sure)}))
    perfect = calibration_of(pd.concat(tables))
    assert perfect.seeds == 30 and perfect.error == pytest.approx(perfect.floor, abs=0.005) and perfect.floor > 0.03
    too_sure = calibration_of(pd.concat(tables).assign(of_predicted=0.0))
    assert too_sure.floor == 0 and too_sure.error == pytest.approx(1 - too_sure.accuracy)
    nothing = calibration_of(tables[0].assign(predicted=-1))
    assert nothing.seeds == 0 and np.isnan(nothing.error)


def test_decisions_without_a_score_say_nothing_of_calibration() -> None:
    known = pd.DataFrame({"data_seed": 1, "label": 0, "predicted": [0, 1, 0], "score_0": [-0.1, -2.0, -0.3]})
    known = known.assign(score_1=[-2.0, -0.2, -1.0])
    diverged = known.assign(score_0=np.nan, score_1=np.nan)
    assert calibration_of(pd.concat([known, diverged])) == calibration_of(known)
    assert np.isnan(calibration_error(diverged)) and calibration_of(diverged).seeds == 0
