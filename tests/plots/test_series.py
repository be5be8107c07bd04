"""The numbers under both kinds of figure: each is computed once, and a gap is a gap."""

from __future__ import annotations

import pandas as pd
import pytest
from drawn import curves

from metapt_explore.plots import series


def scores() -> pd.DataFrame:
    """Two methods on two tasks with two pairs of seeds; a baseline without initialisation seed."""
    rows = [
        {"task": task, "method": method, "init_seed": seed, "data_seed": 10 + seed, "accuracy": base + 0.1 * seed}
        for task, base in (("a", 0.5), ("b", 0.7))
        for method in ("PT", "PPT")
        for seed in (0, 1)
    ]
    rows += [
        {"task": task, "method": "tfidf", "init_seed": None, "data_seed": 10, "accuracy": 0.4} for task in ("a", "b")
    ]
    return pd.DataFrame(rows)


def test_scores_of_tasks_and_of_whole_pairs() -> None:
    first, second, mean = series.seed_scores(scores(), ["PT", "PPT", "tfidf", "absent"], over_tasks=True)
    assert [panel.title for panel in (first, second, mean)] == ["a", "b", "mean over tasks"]
    assert [scored.method for scored in first.methods] == ["PT", "PPT", "tfidf"]
    assert first.methods[0].scores == pytest.approx([50, 60]) and first.methods[0].pairs == [(0, 10), (1, 11)]
    assert first.methods[0].mean == pytest.approx(55) and first.methods[0].deviation == pytest.approx(50**0.5)
    assert first.methods[2].pairs == [(None, 10)] and first.methods[2].deviation is None
    assert mean.methods[0].scores == pytest.approx([60, 70])


def test_a_pair_without_all_tasks_has_no_mean() -> None:
    table = scores()
    table = table[~((table["method"] == "PPT") & (table["task"] == "b") & (table["init_seed"] == 1))]
    every = series.pair_means(table[table["method"] != "tfidf"], ["PT", "PPT"])
    assert every.pairs == [(0, 10), (1, 11)] and every.rows[1] == [pytest.approx(70), None]
    assert every.of(1) == pytest.approx([60]) and every.deviations[1] is None and every.tasks == 2
    whole = series.pair_means(table[table["method"] != "tfidf"], ["PT", "PPT"], complete=True)
    assert whole.pairs == [(0, 10)] and whole.means == pytest.approx([60, 60])


def test_curves_hold_the_chosen_rate_only() -> None:
    panels = series.tuning_curves(curves(), ["PT", "MetaPT"])
    assert [panel.task for panel in panels] == ["trec", "<b>mr</b>"]
    curve = panels[0].curves[0]
    assert (curve.method, curve.steps, curve.seeds) == ("PT", [0, 1], [2, 2])
    assert curve.mean == pytest.approx([50, 55]) and curve.error == pytest.approx([0, 5])
    assert curve.low == pytest.approx([50, 50]) and curve.high == pytest.approx([50, 60])


def test_a_difference_is_clear_where_its_interval_does_not_reach_0() -> None:
    assert series.Difference("a", 1.0, 0.1, 2.0).clear and series.Difference("a", -1.0, -2.0, -0.1).clear
    assert not series.Difference("a", 1.0, -0.1, 2.0).clear and not series.Difference("a", 1.0, None, None).clear
