"""The smallest difference that a study finds: against tables, and by simulating studies that have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from metapt_explore.config import EvaluationConfig, load_study, parse
from metapt_explore.config.task_terms import TaskTerms
from metapt_explore.reporting.plan_power import detectable_sentence
from metapt_explore.statistics.designs import mean_over_pairs
from metapt_explore.statistics.detectable import (
    RECORDED,
    recorded_spread,
    simulated_sums,
    simulated_values,
    smallest_difference,
)
from metapt_explore.statistics.shared_seeds import Layout
from metapt_explore.statistics.significance import paired_power

LAYOUTS = {
    "paired": [(i, i) for i in range(8)],
    "one initialisation": [(0, j) for j in range(8)],
    "crossed": [(i, j) for i in range(5) for j in range(5)],
    "10 initialisations on 5 samples": [(i, i % 5) for i in range(10)],
    "not finished": [(i, j) for i in range(5) for j in range(6) if (i + j) % 3],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_four_of_five_studies_find_it(name: str) -> None:
    pairs, studies = LAYOUTS[name], 400
    difference = smallest_difference(pairs, 0.02)
    assert difference is not None
    index = pd.MultiIndex.from_tuples(pairs, names=["init_seed", "data_seed"])
    rng = np.random.default_rng(3)
    init, data = (np.array([pair[place] for pair in pairs]) for place in (0, 1))
    shares = np.sqrt([1 / 3] * 3) if name not in ("paired", "one initialisation") else np.array([0.0, 0.0, 1.0])
    found = 0
    for _ in range(studies):
        effects = rng.normal(size=20)[init], rng.normal(size=20)[data], rng.normal(size=len(pairs))
        values = difference + 0.02 * sum(share * effect for share, effect in zip(shares, effects, strict=True))
        p = mean_over_pairs(pd.Series(values, index=index)).p
        found += p is not None and p < 0.05
    assert found / studies == pytest.approx(0.8, abs=3.3 * np.sqrt(0.8 * 0.2 / studies))


def test_pairs_of_their_own_are_the_noncentral_t() -> None:
    # Cohen's d of a paired t test with ten pairs, 80 % at 5 %: 0.996 (G*Power).
    found = smallest_difference([(i, i) for i in range(10)], 1.0)
    assert found == pytest.approx(0.996, abs=0.001) and paired_power(10, found or 0, 1.0) == pytest.approx(0.8)
    assert smallest_difference([(0, 1)], 1.0) is None


@pytest.mark.parametrize("levels", [(3, 4), (12, 5)])
@pytest.mark.parametrize("shares", [(1 / 3, 1 / 3, 1 / 3), (0.7, 0.1, 0.2)])
def test_sums_are_drawn_as_those_of_drawn_pairs(levels: tuple[int, int], shares: tuple[float, float, float]) -> None:
    init, data = np.divmod(np.arange(levels[0] * levels[1]), levels[1])
    layout = Layout(tuple(init.tolist()), tuple(data.tolist()))
    (means, parts), (drawn_means, drawn) = simulated_sums(layout, shares), simulated_values(layout, shares)
    assert means.std() == pytest.approx(drawn_means.std(), rel=0.03)
    for part in ("by_init", "by_data", "single"):
        of_sums, of_pairs = getattr(parts, part), getattr(drawn, part)
        # Kolmogorov and Smirnov's distance of two samples of 20,000 exceeds 0.02 once in a thousand.
        assert ks_2samp(of_sums, of_pairs).statistic < 0.02
    together = [np.corrcoef([each.by_init, each.by_data, each.single]) for each in (parts, drawn)]
    assert together[0] == pytest.approx(together[1], abs=0.05)


def test_a_hundred_seeds_crossed_are_planned_as_those_of_drawn_pairs() -> None:
    """With many seeds the mean is nearly normal and its variance is seen well: 2.8 standard errors are found."""
    found = smallest_difference([(i, j) for i in range(100) for j in range(100)], 1.0)
    error = np.sqrt((1 / 3) * (1 / 100 + 1 / 100 + 1 / 10_000))
    assert found == pytest.approx(2.80 * error, rel=0.04)


def test_more_of_the_rarer_seed_finds_less() -> None:
    small, large = ([(i, j) for i in range(n) for j in range(10)] for n in (4, 8))
    assert (smallest_difference(small, 1.0) or 0) > (smallest_difference(large, 1.0) or 9)


def test_the_spread_is_that_of_the_table_by_hand() -> None:
    table = pd.read_csv(RECORDED, comment="#")
    rows = table[(table["kinds"] == "metapt-ppt") & (table["shots"] == 16)]
    weights = (rows["pairs"] - 1).to_numpy()
    within = (rows["task_variance"] * weights).sum() / weights.sum()
    covariance = (rows["covariance"] * weights).sum() / weights.sum()
    found = recorded_spread(("ppt", "metapt"), tasks=4, shots=12)
    assert found.alike and found.studies == tuple(dict.fromkeys(rows["study"])) and found.shots == (16,)
    assert found.deviation == pytest.approx(np.sqrt(covariance + (within - covariance) / 4))
    other = recorded_spread(("ppt", "full"), tasks=4, shots=16)
    assert not other.alike and other.deviation > 0


def test_a_plan_says_what_could_be_found() -> None:
    said = detectable_sentence(load_study("tour"))
    assert "between MetaPT and PPT is found in 80 % of studies" in said and "cannot tell" in said
    crossed = load_study(Path(__file__).parents[2] / "studies" / "crossed.yaml")
    assert "With 100 pairs of seeds on 7 tasks" in detectable_sentence(crossed)
    assert "between MetaPT and PPT" in detectable_sentence(crossed)  # over its clusterings and orders
    assert "points of accuracy" in said and "; 16 examples a class)" in said and "share no rows" in said


@pytest.mark.parametrize(
    "terms",
    [
        {"metric": "macro_f1"},
        {"shots": "all"},  # each data seed has all rows of the task, or most of them
        {"tasks": ["trec", {"task": "satire", "shots": "all", "dev_share": 0.5}]},
        {"tasks": ["trec", {"task": "satire", "shots": 4}]},
    ],
    ids=["macro F1", "all rows", "all rows of one task", "other shots"],
)
def test_where_recorded_studies_do_not_tell_nothing_is_said(terms: dict[str, Any]) -> None:
    def said(**changes: Any) -> str:
        evaluation = parse(EvaluationConfig, {"tasks": ["trec", "satire"], **changes}, "evaluation")
        return detectable_sentence(load_study("tour").model_copy(update={"evaluation": evaluation}))

    assert said() and not said(**terms)


def test_shots_that_all_tasks_have_of_their_own_count() -> None:
    tour = load_study("tour")
    own = [TaskTerms(task=task, shots=8) for task in tour.evaluation.tasks]
    named, plain = (
        tour.model_copy(update={"evaluation": tour.evaluation.model_copy(update=update)})
        for update in ({"task_terms": own, "shots": 64}, {"task_terms": [], "shots": 8})
    )
    assert detectable_sentence(named) == detectable_sentence(plain)
