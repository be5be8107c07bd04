"""Labels saved: against plain loops, by hand, and on curves of which the answer is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated import COLUMNS, table

from metapt_explore.errors import UserError
from metapt_explore.seeds import derived_seed
from metapt_explore.statistics import Precision, compare, label_efficiency, labels_needed
from metapt_explore.statistics.designs import seed_design
from metapt_explore.statistics.label_efficiency import mean_shared_rows
from metapt_explore.statistics.labels_needed import least_examples, told_together
from metapt_explore.statistics.resampling import bootstrap_weights

MEASURED = (1, 2, 4, 8, 16, 32)
FEW = Precision(resamples=500)


def rising(
    rng: np.random.Generator,
    pairs: int = 10,
    factor: float = 2.0,
    noise: float = 0.01,
    tasks: tuple[str, ...] = ("mr",),
) -> dict[int, pd.DataFrame]:
    """PT gains 6 points with each doubling; MetaPT scores as PT would with `factor` times the examples."""
    seeds = {method: rng.normal(0, noise, pairs) for method in ("PT", "MetaPT")}
    return {
        shots: pd.DataFrame(
            [
                (method, task, 100 + seed, seed, 0.4 + 0.06 * math.log2(worth * shots) + seeds[method][seed] + extra)
                for method, worth in (("PT", 1.0), ("MetaPT", factor))
                for seed in range(pairs)
                for task in tasks
                for extra in [float(rng.normal(0, noise))]
            ],
            columns=COLUMNS,
        )
        for shots in MEASURED
    }


def by_loops(tables: dict[int, pd.DataFrame], method: str, baseline: str, weights: np.ndarray) -> list[list[float]]:
    """Needed examples of every draw, one number at a time, with lists only."""
    means = {
        shots: rows.groupby(["method", "init_seed", "data_seed"])["accuracy"].mean() for shots, rows in tables.items()
    }
    found = []
    for drawn in weights:
        line = [float(np.average(means[shots][baseline].to_numpy(), weights=drawn)) for shots in tables]
        row = []
        for shots in tables:
            score = float(np.average(means[shots][method].to_numpy(), weights=drawn))
            needed = math.inf
            for place, k in enumerate(tables):
                if line[place] >= score:
                    needed = float(k)
                    if place:
                        before = list(tables)[place - 1]
                        part = (score - line[place - 1]) / (line[place] - line[place - 1])
                        needed = 2 ** (math.log2(before) + part * (math.log2(k) - math.log2(before)))
                    break
            row.append(needed)
        found.append(row)
    return found


def test_the_interval_is_that_of_plain_loops() -> None:
    tables = rising(np.random.default_rng(0), noise=0.03, tasks=("mr", "subj"))
    found = labels_needed(tables, "MetaPT", "PT", precision=FEW)
    index = pd.MultiIndex.from_tuples([(s, 100 + s) for s in range(10)], names=["init_seed", "data_seed"])
    rng = np.random.default_rng(derived_seed(0, "labels needed", "MetaPT", "PT", "accuracy"))
    weights = bootstrap_weights(seed_design(index), 500, rng)
    drawn = np.sort(np.array(by_loops(tables, "MetaPT", "PT", weights)), axis=0)
    whole = by_loops(tables, "MetaPT", "PT", np.ones((1, 10)))[0]
    # With ten pairs the t interval is 2.262 / 1.96 times as wide, and the deviation over n a root of 10 / 9 too small.
    tail = stats.norm.cdf(-2.2621571627982 * math.sqrt(10 / 9))
    for place, each in enumerate(found):
        assert each.needed == pytest.approx(whole[place], abs=1e-5)
        assert each.low == pytest.approx(drawn[math.floor(tail * 499), place], abs=1e-5)
        assert each.high == pytest.approx(drawn[math.ceil((1 - tail) * 499), place], abs=1e-5)
        assert each.pairs == 10 and each.measured == (1, 32)


def test_twice_the_examples_are_found() -> None:
    found = {each.shots: each for each in labels_needed(rising(np.random.default_rng(1)), "MetaPT", "PT")}
    for shots in (1, 2, 4, 8):
        each = found[shots]
        assert each.needed == pytest.approx(2 * shots, rel=0.25) and each.saving == "saves labels"
        assert each.low is not None and each.high is not None and each.low < 2 * shots < each.high
    last = found[32]
    assert math.isinf(last.needed) and last.saving == "saves labels"
    assert "PT needs more than 32 (95 % interval: always more than 32)" in last.sentence


@pytest.mark.parametrize("pairs", [5, 10])
def test_intervals_hold_the_truth(pairs: int) -> None:
    """The truth is that PT needs twice as many; `benchmarks/labels_saved.py` measures with more studies."""
    held = 0
    for seed in range(60):
        tables = rising(np.random.default_rng(100 + seed), pairs, noise=0.03)
        each = next(e for e in labels_needed(tables, "MetaPT", "PT", precision=FEW) if e.shots == 4)
        held += bool(each.low is not None and each.high is not None and each.low <= 8 <= each.high)
    assert 53 <= held <= 60


def test_a_worse_method_saves_none() -> None:
    found = labels_needed(rising(np.random.default_rng(2), factor=0.25), "MetaPT", "PT", precision=FEW)
    assert [each.saving for each in found] == ["saves none"] * len(MEASURED)
    assert found[0].written(found[0].needed) == "1 or fewer" and found[0].interval == "always 1 or fewer"
    assert told_together(found).count("saves none") == len(MEASURED)


def test_methods_that_are_level_cannot_be_told() -> None:
    found = labels_needed(rising(np.random.default_rng(3), factor=1.0, noise=0.03), "MetaPT", "PT", precision=FEW)
    assert {each.saving for each in found[1:-1]} == {"cannot be told"}
    assert "whether MetaPT saves labels cannot be told." in found[2].sentence
    assert told_together(found[1:2]) == "Whether MetaPT saves labels against PT cannot be told at 2 examples a class."


def test_few_seeds_and_shared_samples_decide_nothing() -> None:
    few = labels_needed(rising(np.random.default_rng(4), pairs=4), "MetaPT", "PT", precision=FEW)
    assert {each.saving for each in few} == {"cannot be told"}
    assert "it takes 5 independent seeds, and there are 4" in few[0].sentence and few[0].interval
    one = labels_needed(rising(np.random.default_rng(4), pairs=1), "MetaPT", "PT", precision=FEW)
    assert one[0].low is None and not one[0].interval and one[0].saving == "cannot be told"
    shared = {shots: rows.assign(shared_rows=0.5) for shots, rows in rising(np.random.default_rng(5)).items()}
    told = labels_needed(shared, "MetaPT", "PT", precision=FEW)
    assert "share 50 % of their rows" in told[0].sentence


def test_pairs_that_all_say_the_same_have_no_interval() -> None:
    tables = rising(np.random.default_rng(6), noise=0.0)
    each = labels_needed(tables, "MetaPT", "PT", precision=FEW)[1]
    assert each.needed == pytest.approx(4, abs=1e-4) and each.low is None
    assert each.sentence.endswith("cannot be told: all pairs of seeds say the same.")


def test_a_baseline_without_initialisation_stands_against_all() -> None:
    tables = rising(np.random.default_rng(7))
    plain = {
        shots: pd.concat([rows, rows[rows["method"] == "PT"].assign(method="TF-IDF", init_seed=None)])
        for shots, rows in tables.items()
    }
    one, other = (labels_needed(plain, "MetaPT", name, precision=FEW) for name in ("PT", "TF-IDF"))
    assert [each.needed for each in one] == [each.needed for each in other]


def test_only_pairs_that_are_whole_everywhere_count() -> None:
    tables = rising(np.random.default_rng(8))
    gone = (tables[4]["init_seed"] == 3) & (tables[4]["method"] == "PT")
    found = labels_needed({**tables, 4: tables[4][~gone]}, "MetaPT", "PT", precision=FEW)
    rest = {shots: rows[rows["init_seed"] != 3] for shots, rows in tables.items()}
    expected = labels_needed(rest, "MetaPT", "PT", precision=FEW)
    assert [(e.pairs, e.needed, e.low, e.high) for e in found] == [(e.pairs, e.needed, e.low, e.high) for e in expected]
    assert found[0].pairs == 9
    without = {shots: rows[(rows["method"] == "PT") | (rows["init_seed"] > 99)] for shots, rows in tables.items()}
    with pytest.raises(UserError, match="no method 'MetaPT'"):
        labels_needed(without, "MetaPT", "PT")


def test_a_line_that_falls_and_one_that_is_flat() -> None:
    line = np.array([[0.5, 0.4, 0.6], [0.5, 0.5, 0.5]])
    found = least_examples([1, 2, 8], line, np.array([[0.5, 0.55, 0.7]] * 2))
    assert found[0].tolist() == pytest.approx([1.0, 2 * 4**0.75, math.inf])
    assert found[1].tolist() == [1.0, math.inf, math.inf]


def test_intervals_are_those_of_a_t_test_and_differences_those_of_compare() -> None:
    tables = rising(np.random.default_rng(9), pairs=6, noise=0.03, tasks=("mr", "subj"))
    found = label_efficiency(tables, "PT").set_index(["method", "shots"])
    for shots, rows in tables.items():
        means = rows[rows["method"] == "MetaPT"].groupby("init_seed")["accuracy"].mean()
        low, high = stats.t.interval(0.95, 5, means.mean(), means.sem())
        row = found.loc[("MetaPT", shots)]
        assert (row["mean"], row["low"], row["high"]) == pytest.approx((means.mean(), max(low, 0), min(high, 1)))
        answer: Any = compare(rows, "MetaPT", "PT", precision=Precision(resamples=100))
        ends = row["difference"], row["difference_low"], row["difference_high"]
        assert ends == pytest.approx((answer.difference, answer.low, answer.high))
    assert found.loc["PT", "difference"].isna().all()


def test_samples_that_share_rows_widen_the_intervals() -> None:
    tables = rising(np.random.default_rng(10), noise=0.03)
    alone = label_efficiency(tables, "PT")
    some = {shots: rows.assign(shared_rows=0.2) for shots, rows in tables.items()}
    wider = label_efficiency(some, "PT")
    reach, further = ((t["difference_high"] - t["difference"]).dropna().to_numpy() for t in (alone, wider))
    # Variance of the mean of ten: 1 / 10, and 0.2 / 0.8 more (Nadeau and Bengio).
    np.testing.assert_allclose(further / reach, math.sqrt((0.1 + 0.25) / 0.1))
    half = table({"A": {"mr": {(0, 1): 0.5}, "subj": {(0, 1): 0.5}}})
    assert mean_shared_rows(half.assign(shared_rows=[0.4, None])) == 0.2 and mean_shared_rows(half) == 0.0
