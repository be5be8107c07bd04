"""Comparisons: units, verdicts, words, and how often they are wrong."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated import COLUMNS, simulated, table

from metapt_explore.errors import UserError
from metapt_explore.statistics import Precision, compare
from metapt_explore.statistics.sentences import points
from metapt_explore.statistics.units import paired_scores, score_table

RNG = np.random.default_rng


def test_the_primary_test_is_a_t_test_of_means_over_tasks() -> None:
    results = simulated(RNG(0), gain=0.03)
    wide = results.pivot_table(index=["init_seed", "data_seed"], columns=["method", "task"], values="accuracy")
    differences = (wide["A"] - wide["B"]).mean(axis=1)
    found = compare(results, "A", "B", precision=Precision(resamples=500))
    expected = stats.ttest_1samp(differences, 0)
    assert found.difference == pytest.approx(differences.mean())
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert (found.design, found.pairs, found.tasks) == ("paired", 12, ("mr", "subj"))
    assert found.method_mean - found.baseline_mean == pytest.approx(found.difference)
    assert found.wins + found.ties + found.losses == 12 and found.wins == (differences > 0).sum()
    by_task = (wide["A"] - wide["B"])["subj"]
    assert found.per_task[1].p == pytest.approx(stats.ttest_1samp(by_task, 0).pvalue)
    raw = [task.p for task in found.per_task if task.p is not None]
    corrected = [task.p_holm for task in found.per_task if task.p_holm is not None]
    assert min(corrected) == pytest.approx(min(1, 2 * min(raw))) and max(corrected) >= max(raw)


def test_swapping_method_and_baseline_turns_everything_round() -> None:
    results = simulated(RNG(3), "crossed", 6, 8, gain=0.04)
    there, back = (
        compare(results, "A", "B", precision=Precision(resamples=500)),
        compare(results, "B", "A", precision=Precision(resamples=500)),
    )
    assert there.difference == pytest.approx(-back.difference) and there.p == pytest.approx(back.p)
    assert (there.wins, there.losses) == (back.losses, back.wins)
    assert there.spread[0].ratio is not None and back.spread[0].ratio is not None
    assert there.spread[0].ratio == pytest.approx(1 / back.spread[0].ratio)
    # The order of rows is no information.
    again = compare(results.sample(frac=1, random_state=1), "A", "B", precision=Precision(resamples=500))
    assert again.p == pytest.approx(there.p) and again.bootstrap.low == pytest.approx(there.bootstrap.low)


def test_the_same_input_gives_the_same_output_as_json() -> None:
    results = simulated(RNG(1), gain=0.01)
    first, second = (
        json.dumps(compare(results, "A", "B", precision=Precision(resamples=500)).as_dict(), allow_nan=False)
        for _ in "ab"
    )
    assert first == second
    plain = json.loads(first)
    assert plain["per_task"][0]["task"] == "mr" and plain["spread"][0]["task"] is None


def test_pairs_without_every_task_are_left_out_and_counted() -> None:
    results = simulated(RNG(2), gain=0.02)
    results = results.drop(results[(results["method"] == "B") & (results["task"] == "mr")].index[:2])
    results.loc[(results["method"] == "A") & (results["task"] == "subj") & (results["init_seed"] == 5), "accuracy"] = (
        None
    )
    results = results[~((results["method"] == "A") & (results["init_seed"] == 11))]
    extra = pd.DataFrame([("B", "trec", 100, 0, 0.5)], columns=COLUMNS)
    found = compare(pd.concat([results, extra]), "A", "B", precision=Precision(resamples=500))
    assert found.pairs == 8 and found.tasks == ("mr", "subj")
    assert found.left_out == (
        "Task 'trec' is left out: only 'B' has it.",
        "1 of 12 pairs of seeds are left out: 'A' has no score of them.",
        "1 of 12 pairs of seeds are left out of the mean over tasks: 'A' has no score on 'subj'.",
        "2 of 12 pairs of seeds are left out of the mean over tasks: 'B' has no score on 'mr'.",
    )
    # A task by itself uses every pair that has it.
    assert [task.pairs for task in found.per_task] == [9, 10]


def test_a_baseline_without_initialisation_stands_against_every_one() -> None:
    method = {(init, data): 0.6 + 0.01 * init + 0.02 * data for init in range(3) for data in range(4)}
    results = table({"A": {"mr": method}, "TF-IDF": {"mr": {(None, data): 0.5 for data in range(4)}}})
    scores = paired_scores(results, "A", "TF-IDF")
    assert len(scores.baseline) == 12 and (scores.baseline["mr"] == 0.5).all() and scores.broadcast == "baseline"
    found = compare(results, "A", "TF-IDF", precision=Precision(resamples=500))
    assert found.design == "crossed" and any("TF-IDF has no initialisation seed" in said for said in found.caveats)
    assert compare(results, "TF-IDF", "A", precision=Precision(resamples=500)).difference == pytest.approx(
        -found.difference
    )
    assert found.spread[0].baseline_worst.init_seed is None
    assert (found.spread[0].method_worst.init_seed, found.spread[0].method_worst.data_seed) == (0, 0)


def test_start_accuracy_counts_each_initialisation_once() -> None:
    results = simulated(RNG(4), "crossed", 8, 5)
    results["start_accuracy"] = 0.5 + 0.01 * results["init_seed"] * (results["method"] == "A") ** 1
    found = compare(results, "A", "B", metric="start_accuracy", precision=Precision(resamples=500))
    assert (found.pairs, found.init_seeds, found.data_seeds, found.independent, found.df) == (40, 8, 0, 8, 7)
    assert found.p == pytest.approx(stats.ttest_1samp(0.01 * np.arange(8), 0).pvalue)
    assert found.verdict == "helped" and "accuracy before tuning" in found.sentence


@pytest.mark.parametrize("design", ["paired", "crossed"])
def test_few_seeds_decide_nothing_however_large_the_difference(design: str) -> None:
    results = simulated(RNG(5), design, 3, 3, gain=0.3, sd_init=0.001, sd_data=0.001, sd_rest=0.001)
    found = compare(results, "A", "B", precision=Precision(resamples=500))
    assert found.p is not None and found.p < 0.001 and found.verdict == "cannot tell"
    assert "decide nothing" in found.sentence and "at least 5" in found.to_settle


def test_one_initialisation_says_nothing_about_the_method() -> None:
    results = simulated(RNG(6), "crossed", 1, 12, gain=0.1)
    found = compare(results, "A", "B", precision=Precision(resamples=500))
    assert (found.verdict, found.design, found.independent) == ("cannot tell", "data seeds", 1)
    assert any("not about the method" in said for said in found.caveats)
    alone = compare(results[results["data_seed"] == 100], "A", "B", precision=Precision(resamples=500))
    assert alone.p is None and alone.bootstrap.low is None and alone.verdict == "cannot tell"
    json.dumps(alone.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("gain", "noise", "margin", "verdict"),
    [
        (0.05, 0.005, 0.01, "helped"),
        (-0.05, 0.005, 0.01, "hurt"),
        (0.0, 0.002, 0.01, "no difference"),
        (0.004, 0.001, 0.01, "no difference"),
        (0.0, 0.05, 0.01, "cannot tell"),
        (0.004, 0.001, 0.001, "helped"),
    ],
)
def test_verdicts(gain: float, noise: float, margin: float, verdict: str) -> None:
    results = simulated(RNG(8), gain=gain, sd_init=noise, sd_data=noise, sd_rest=noise)
    found = compare(results, "A", "B", margin=margin, precision=Precision(resamples=500))
    assert found.verdict == verdict
    assert found.sentence.lower().startswith(verdict)
    if verdict == "no difference":
        assert found.low is not None and found.high is not None and -margin < found.low and found.high < margin
        surely = found.low > 0 or found.high < 0
        assert ("smaller one than matters" in found.sentence) == surely


def test_the_words_hold_the_figures() -> None:
    differences = [0.02, 0.04, 0.03, 0.01, 0.05, 0.03]
    cells = {
        "A": {"mr": {(i, i): 0.6 + gain for i, gain in enumerate(differences)}},
        "B": {"mr": {(i, i): 0.6 for i in range(6)}},
    }
    found = compare(table(cells), "A", "B", precision=Precision(resamples=500))
    assert found.sentence == (
        "Helped: A is 3 points ahead of B in accuracy over 1 task (95 % interval +1.5 to +4.5, p = 0.003; ahead in 6 "
        "of 6 pairs of seeds, level in 0, behind in 0)."
    )
    assert "Settled at this level, on few seeds" in found.to_settle
    assert found.caveats[0].startswith("Only 6 pairs of seeds")
    # d = 0.03 / 0.01414 = 2.12; five pairs have 80 % power, four have not.
    assert found.seeds_needed.observed == 5 and found.seeds_needed.deviation == pytest.approx(np.sqrt(2e-4))
    # B is constant, so that no ratio of deviations can be had.
    assert found.spread[1].ratio is None and found.spread[1].baseline_deviation == 0


def test_what_would_settle_it_counts_what_is_there() -> None:
    results = simulated(RNG(9), gain=0.004, sd_init=0.02, sd_data=0.02)
    found = compare(results, "A", "B", precision=Precision(resamples=500))
    assert found.verdict == "cannot tell" and found.seeds_needed.one_point is not None
    assert f"about {found.seeds_needed.one_point} pairs ({found.seeds_needed.one_point - 12} more)" in found.to_settle


def test_points_in_words() -> None:
    assert [points(share) for share in (0.01, -0.01, 0.023, 0.0, 0.0004)] == [
        "1 point",
        "−1 point",
        "2.3 points",
        "0 points",
        "0.04 points",
    ]


def test_crossed_seeds_are_not_taken_for_independent() -> None:
    results = simulated(RNG(10), "crossed", 6, 10, sd_data=0.05)
    found = compare(results, "A", "B", precision=Precision(resamples=500))
    wide = results.pivot_table(index=["init_seed", "data_seed"], columns=["method", "task"], values="accuracy")
    naive = stats.ttest_1samp((wide["A"] - wide["B"]).mean(axis=1), 0).confidence_interval(0.95)
    assert found.low is not None and found.high is not None
    assert found.high - found.low > 1.5 * (naive.high - naive.low)
    assert found.bootstrap.kind == "pigeonhole"
    assert any("not independent" in said for said in found.caveats)


def test_spread_by_hand() -> None:
    steady, shaky = [0.60, 0.62, 0.61, 0.63, 0.59, 0.60], [0.50, 0.70, 0.55, 0.72, 0.48, 0.60]
    cells = {
        "A": {"mr": {(i, 20 + i): score for i, score in enumerate(steady)}},
        "B": {"mr": {(i, 20 + i): score for i, score in enumerate(shaky)}},
    }
    found = compare(table(cells), "A", "B").spread
    expected = np.std(steady, ddof=1) / np.std(shaky, ddof=1)
    assert found[0].ratio == pytest.approx(expected) and found[1].ratio == pytest.approx(expected)
    assert found[1].low is not None and found[1].high is not None and found[1].low < expected < found[1].high < 1
    assert (found[1].method_worst.score, found[1].method_worst.init_seed, found[1].method_worst.data_seed) == (
        0.59,
        4,
        24,
    )
    assert found[1].baseline_worst.data_seed == 24


def test_spread_over_tasks_is_a_mean_of_log_ratios() -> None:
    results = simulated(RNG(11), tasks=("mr", "subj", "trec"))
    found = compare(results, "A", "B", precision=Precision(resamples=500)).spread
    ratios = [task.ratio for task in found[1:] if task.ratio is not None]
    assert found[0].ratio == pytest.approx(np.exp(np.mean(np.log(ratios)))) and len(ratios) == 3


def test_intervals_of_the_spread_cover_one_where_there_is_no_difference() -> None:
    rng, covered = RNG(12), 0
    for _ in range(60):
        found = compare(simulated(rng, inits=20, datas=20), "A", "B", precision=Precision(resamples=300)).spread[0]
        covered += found.low is not None and found.high is not None and found.low <= 1 <= found.high
    # A percentile bootstrap is a little narrow; far off would be a mistake.
    assert covered >= stats.binom.ppf(0.001, 60, 0.88)


@pytest.mark.parametrize(("design", "inits", "datas"), [("paired", 12, 12), ("crossed", 6, 6)])
def test_shuffled_labels_never_look_like_help(design: str, inits: int, datas: int) -> None:
    """Scores of both methods are those of guessing: 400 test rows, two classes."""
    rng, verdicts = RNG(13), []
    for _ in range(100):
        results = simulated(rng, design, inits, datas)
        results["accuracy"] = rng.binomial(400, 0.5, len(results)) / 400
        verdicts.append(compare(results, "A", "B", precision=Precision(resamples=100)).verdict)
    assert sum(verdict in ("no difference", "cannot tell") for verdict in verdicts) >= 90
    assert verdicts.count("helped") <= stats.binom.ppf(0.999, 100, 0.025)


def test_wrong_input_is_named() -> None:
    results = simulated(RNG(14))
    with pytest.raises(UserError, match="Did you mean 'accuracy'"):
        compare(results, "A", "B", metric="acuracy")
    with pytest.raises(UserError, match="no method 'C'"):
        compare(results, "A", "C")
    with pytest.raises(UserError, match="with itself"):
        compare(results, "A", "A")
    with pytest.raises(UserError, match="not percent"):
        compare(results.assign(accuracy=100 * results["accuracy"]), "A", "B")
    with pytest.raises(UserError, match="stands twice"):
        compare(pd.concat([results, results.iloc[:1]]), "A", "B")
    with pytest.raises(UserError, match="lower where it is better"):
        compare(results.assign(test_loss=0.5), "A", "B", metric="test_loss")
    with pytest.raises(UserError, match="some rows and none in others"):
        compare(results.assign(init_seed=results["init_seed"].replace({0: None})), "A", "B")
    apart = results.assign(data_seed=results["data_seed"] + 50 * (results["method"] == "A"))
    with pytest.raises(UserError, match="share no pair"):
        compare(apart, "A", "B")
    with pytest.raises(UserError, match="confidence"):
        compare(results, "A", "B", precision=Precision(confidence=95))
    with pytest.raises(UserError, match="margin"):
        compare(results, "A", "B", margin=0)


def test_other_seeds_are_averaged_within_a_pair() -> None:
    results = pd.concat([simulated(RNG(seed), gain=0.02).assign(clustering_seed=seed) for seed in (1, 2)])
    assert len(score_table(results, "A")) == 12
    whole = results.groupby(["method", "task", "data_seed", "init_seed"], as_index=False)["accuracy"].mean()
    assert compare(results, "A", "B", precision=Precision(resamples=100)).p == pytest.approx(
        compare(whole, "A", "B", precision=Precision(resamples=100)).p
    )
