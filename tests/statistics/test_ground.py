"""Verdicts that have no ground: shared samples, guesses, equal pairs, scores that are missing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from simulated import simulated, table

from metapt_explore.statistics import Comparison, Precision, compare
from metapt_explore.statistics.ground import TaskGround, chance_sentences, guess_of, one_seed_each
from metapt_explore.statistics.verdict import MAX_SHARED_ROWS

SEEDS = tuple(range(100, 112))


def ground(share: float, seeds: tuple[int, ...] = SEEDS) -> TaskGround:
    """Any two samples have this share of their rows in common."""
    pairs = tuple((a, b, share) for a in seeds for b in seeds if a < b) if share else ()
    return TaskGround(data_seeds=seeds, shared=pairs)


def compared(results: pd.DataFrame, grounds: dict[str, TaskGround], metric: str = "accuracy") -> Comparison:
    return compare(results, "A", "B", metric=metric, precision=Precision(resamples=200), grounds=grounds)


@pytest.mark.parametrize("design", ["paired", "crossed"])
def test_five_seeds_of_the_same_rows_are_one_sample(design: str) -> None:
    results = simulated(np.random.default_rng(0), design, 5, 5, gain=0.1)
    seeds = SEEDS[:5]
    before = compare(results, "A", "B", precision=Precision(resamples=200))
    found = compared(results, {"mr": ground(1.0, seeds), "subj": ground(1.0, seeds)})
    assert (before.independent, found.independent, found.data_seeds) == (5, 1, 1)
    assert found.verdict == "cannot tell" and "Settled" not in found.to_settle
    assert found.pairs == 5 and found.difference == pytest.approx(before.difference)
    assert any("100, 101, 102, 103 and 104 have the same training rows" in said for said in found.caveats)
    assert "One data seed" in " ".join(found.caveats)


def test_scores_of_one_sample_are_averaged_by_hand() -> None:
    cells = {(0, 1): 0.6, (0, 2): 0.8, (0, 3): 0.7, (1, 1): 0.5, (1, 2): 0.5, (1, 3): 0.9}
    results = table({"A": {"t": cells}, "B": {"t": dict.fromkeys(cells, 0.5)}})
    found = compared(results, {"t": TaskGround(data_seeds=(1, 2, 3), shared=((1, 2, 1.0),))})
    # Seeds 1 and 2 count once: initialisation 0 has 0.2 and 0.2, initialisation 1 has 0.0 and 0.4.
    assert (found.pairs, found.data_seeds) == (4, 2) and found.difference == pytest.approx(0.2)
    assert [task.pairs for task in found.per_task] == [4]


def test_a_sample_is_the_same_only_where_it_is_on_every_task() -> None:
    twice = TaskGround(data_seeds=(1, 2, 3), shared=((1, 2, 1.0), (1, 3, 1.0), (2, 3, 1.0)))
    once = TaskGround(data_seeds=(1, 2, 3), shared=((2, 3, 1.0),))
    assert one_seed_each({"a": twice, "b": once}, ["a", "b"]) == {3: 2}
    assert one_seed_each({"a": twice}, ["a"]) == {2: 1, 3: 1}
    assert one_seed_each({}, ["a"]) == {}


@pytest.mark.parametrize(("share", "told"), [(0.0, False), (0.1, False), (0.2, False), (0.21, True), (0.8, True)])
def test_samples_that_share_more_than_a_fifth_decide_nothing(share: float, told: bool) -> None:
    results = simulated(np.random.default_rng(1), gain=0.3)
    found = compared(results, {"mr": ground(share), "subj": ground(share)})
    assert found.shared_rows == pytest.approx(share) and (share > MAX_SHARED_ROWS) == told
    assert found.verdict == ("cannot tell" if told else "helped")
    assert (f"share {100 * share:.0f} % of their rows." in found.sentence) == told
    assert ("more labelled rows to draw from" in found.to_settle) == told
    plain = compare(results, "A", "B", precision=Precision(resamples=200))
    assert plain.standard_error is not None and found.standard_error is not None
    # 12 paired seeds: 1 / 12 becomes 1 / 12 + share / (1 − share).
    assert found.standard_error == pytest.approx(plain.standard_error * np.sqrt(1 + 12 * share / (1 - share)))
    json.dumps(found.as_dict(), allow_nan=False)


def test_sharing_is_a_mean_over_tasks_and_starts_know_none_of_it() -> None:
    results = simulated(np.random.default_rng(2), gain=0.3)
    results["start_accuracy"] = results["accuracy"]
    grounds = {"mr": ground(0.3), "subj": ground(0.0)}
    assert compared(results, grounds).shared_rows == pytest.approx(0.15)
    assert compared(results, grounds, "start_accuracy").shared_rows == 0


def test_shared_rows_keep_false_alarms_at_the_level() -> None:
    """Effects of rows, half of which all samples have; `benchmarks/false_alarms.py` measures 33 % without, 5 with."""
    rng, alarms = np.random.default_rng(3), [0, 0]
    for _ in range(150):
        shared = rng.normal(size=4).sum()
        gains = 0.01 * (shared + rng.normal(size=(6, 4)).sum(axis=1))
        cells = {(seed, SEEDS[seed]): 0.5 + gain for seed, gain in enumerate(gains)}
        results = table({"A": {"t": cells}, "B": {"t": dict.fromkeys(cells, 0.5)}})
        for place, grounds in enumerate(({}, {"t": ground(0.5, SEEDS[:6])})):
            p = compare(results, "A", "B", precision=Precision(resamples=100), grounds=grounds).p
            alarms[place] += p is not None and p < 0.05
    assert alarms[0] > 30 and alarms[1] <= 17


# ------------------------------------------------------------------------------------------ guesses

FAIR = TaskGround(chance=0.5, test_rows=400)


def test_the_chance_level_by_hand() -> None:
    # √(0.5 · 0.5 / 400) = 0.025; two tasks: √(2 · 0.025²) / 2 = 0.01768.
    assert FAIR.highest_guess == pytest.approx(0.5 + 1.645 * 0.025)
    found = guess_of({"a": FAIR, "b": FAIR}, ["a", "b"], "accuracy")
    assert found is not None and found.level == 0.5
    assert found.highest == pytest.approx(0.5 + 1.645 * 0.0176777)
    assert guess_of({"a": FAIR}, ["a", "b"], "accuracy") is None and guess_of({"a": FAIR}, ["a"], "macro_f1") is None


@pytest.mark.parametrize("seeds", [2, 12])
def test_two_guesses_are_nothing_learned(seeds: int) -> None:
    rng = np.random.default_rng(4)
    results = simulated(rng, inits=seeds, datas=seeds)
    results["accuracy"] = rng.binomial(400, 0.5, len(results)) / 400
    found = compared(results, {"mr": FAIR, "subj": FAIR})
    assert found.verdict == "nothing learned" and found.chance == 0.5
    assert found.sentence.startswith("Nothing learned: A (") and "50.0 %" in found.sentence
    assert "settle" in found.to_settle and "Settled" not in found.to_settle
    assert [task.at_chance for task in found.per_task] == [True, True]


def test_a_method_above_chance_is_compared_and_a_task_at_chance_is_named() -> None:
    rng = np.random.default_rng(5)
    results = simulated(rng, gain=0.1, sd_init=0.005, sd_data=0.005, sd_rest=0.005)
    guessed = results["task"] == "subj"
    results.loc[guessed, "accuracy"] = rng.binomial(400, 0.5, int(guessed.sum())) / 400
    grounds = {"mr": FAIR, "subj": FAIR}
    found = compared(results, grounds)
    assert found.verdict == "helped" and [task.at_chance for task in found.per_task] == [False, True]
    assert any("Neither method is above guessing on subj" in said for said in found.caveats)
    (said,) = chance_sentences(results, grounds)
    assert said.startswith("No method learned anything of 'subj'")
    # Where nothing is known nothing is said.
    plain = compare(results, "A", "B", precision=Precision(resamples=200))
    assert plain.chance is None and [task.at_chance for task in plain.per_task] == [None, None]
    assert chance_sentences(results, {}) == []


def test_shuffled_labels_are_nothing_learned_nearly_always() -> None:
    rng, learned = np.random.default_rng(6), 0
    for _ in range(100):
        results = simulated(rng, inits=6, datas=6)
        results["accuracy"] = rng.binomial(400, 0.5, len(results)) / 400
        learned += compare(
            results, "A", "B", precision=Precision(resamples=100), grounds={"mr": FAIR, "subj": FAIR}
        ).verdict != ("nothing learned")
    assert learned <= 5


# ------------------------------------------------------------------------------ equal pairs, missing scores


def constant(gains: list[float], base: float = 0.6) -> pd.DataFrame:
    cells = {(i, 100 + i): base for i in range(len(gains))}
    ahead = {pair: base + gain for pair, gain in zip(cells, gains, strict=True)}
    return table({"A": {"t": ahead}, "B": {"t": cells}})


@pytest.mark.parametrize("gains", [[0.02] * 2, [0.02] * 12, [0.0] * 12])
def test_equal_pairs_give_no_certainty(gains: list[float]) -> None:
    found = compare(constant(gains), "A", "B", precision=Precision(resamples=200))
    assert found.verdict == "cannot tell" and found.p is None and found.low is None
    assert found.bootstrap.low is None and "no spread" in found.sentence and "p " not in found.sentence.split("(")[-1]
    assert "compute the same thing" in found.to_settle
    json.dumps(found.as_dict(), allow_nan=False)


def test_pairs_within_one_test_row_of_one_another_are_equal() -> None:
    results = constant([0.02] * 11 + [0.0225])
    assert compare(results, "A", "B", precision=Precision(resamples=200)).verdict == "helped"
    assert compared(results, {"t": TaskGround(0.5, 400)}).verdict == "cannot tell"
    assert compared(results, {"t": TaskGround(0.5, 4000)}).verdict == "helped"


def test_a_few_pairs_among_ties_do_not_help() -> None:
    # Four of ten pairs ahead by the same, six level: t says p = 0.037, the sign test 0.125.
    found = compare(constant([0.05] * 4 + [0.0] * 6), "A", "B", precision=Precision(resamples=200))
    assert found.p is not None and found.p < 0.05 and (found.wins, found.ties) == (4, 6)
    assert found.verdict == "cannot tell" and "differ under 4 independent seeds only" in found.sentence
    assert compare(constant([0.05] * 8 + [0.0] * 2), "A", "B", precision=Precision(resamples=200)).verdict == "helped"


def test_two_unequal_pairs_decide_nothing() -> None:
    found = compare(constant([0.020, 0.021]), "A", "B", precision=Precision(resamples=200))
    assert found.verdict == "cannot tell" and "decide nothing" in found.sentence


def test_a_verdict_over_a_part_of_the_scores_says_so() -> None:
    results = simulated(np.random.default_rng(7), gain=0.1)
    assert "Not all scores" not in compare(results, "A", "B", precision=Precision(resamples=200)).sentence
    lost = results[~((results["method"] == "A") & (results["task"] == "mr") & (results["init_seed"] < 4))]
    found = compare(lost, "A", "B", precision=Precision(resamples=200))
    assert found.pairs == 8 and "Not all scores are there; only what both methods have is compared" in found.sentence
    assert "4 of 12 pairs of seeds are left out of the mean over tasks: 'A' has no score on 'mr'." in found.sentence
    whole_task = results[~((results["method"] == "A") & (results["task"] == "mr"))]
    assert (
        "Task 'mr' is left out: only 'B' has it."
        in compare(whole_task, "A", "B", precision=Precision(resamples=200)).sentence
    )
