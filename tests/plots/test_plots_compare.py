"""How sure a difference is, where the variance comes from, what accuracy costs."""

from __future__ import annotations

import pandas as pd
import pytest
from drawn import results, traces

from metapt_explore import plots
from metapt_explore.statistics import compare, variance_sources


def test_a_forest_is_blue_where_nothing_is_uncertain() -> None:
    rows = [
        {"method": m, "task": t, "data_seed": s, "init_seed": s, "accuracy": a}
        for s, noise in enumerate([0.0, 0.01, 0.02, 0.01])
        for t in ("x", "y")
        for m, a in (("A", 0.8 + noise), ("B", 0.6 if t == "x" else 0.8 + 2 * noise))
    ]
    figure = plots.difference_forest(compare(pd.DataFrame(rows), "A", "B"))
    colors = {trace["y"][0]: trace["marker"]["color"] for trace in traces(figure)}
    assert colors["x"] == "#0072B2" and colors["y"] == "#8C8C8C" and set(colors) == {"x", "y", "mean over tasks"}


def test_what_a_method_costs_is_a_score_and_its_share_of_pretraining() -> None:
    rows = [
        {"method": "A", "task": task, "init_seed": seed, "data_seed": data, "accuracy": 0.5 + data / 10, "seconds": 3.0,
         "pretraining_seconds": 40.0 + 4 * seed}
        for task in ("x", "y")
        for seed in (0, 1)
        for data in (1, 2)
    ]  # fmt: skip
    alone = {**rows[0], "method": "B", "task": "y", "accuracy": 0.7}
    figure = plots.cost_against_accuracy(pd.DataFrame([*rows, alone]), ["A", "B"])
    _, point, other = traces(figure)
    # One pre-training of 40 or 44 s for four scores; only task y is common to both.
    assert point["x"] == [3.0 + 42 / 2] and point["y"] == [pytest.approx(65.0)] and other["y"] == [70.0]
    assert "without x" in figure.layout.title.text
    # Pairs have 60, 70, 60 and 70 %: their standard deviation, by hand.
    assert point["error_y"]["array"] == [pytest.approx(100 * (4 * 0.05**2 / 3) ** 0.5)]


@pytest.mark.parametrize("count", [5, 6])
def test_of_many_methods_those_that_no_other_beats_are_named(count: int) -> None:
    """Dearer and dearer; only the first two are worth it."""
    names = [f"method {number}" for number in range(count)]
    row = {"task": "x", "init_seed": 0, "data_seed": 1, "pretraining_seconds": 0.0}
    scored = [
        {**row, "method": name, "seconds": 1.0 + place, "accuracy": 0.8 if place == 1 else 0.5}
        for place, name in enumerate(names)
    ]
    front, *points = traces(plots.cost_against_accuracy(pd.DataFrame(scored), names))
    assert front["x"] == [1.0, 2.0] and front["y"] == pytest.approx([50.0, 80.0])
    assert ["text" in point["mode"] for point in points] == [count == 5 or place < 2 for place in range(count)]
    # By row passes the order turns round; one that costs none stands left of all.
    passes = {name: float(100 * (count - place - 1)) for place, name in enumerate(names)}
    front, *points = traces(plots.cost_against_accuracy(pd.DataFrame(scored), names, passes))
    assert points[-1]["x"] == [pytest.approx(100 / 3)] and "(free)" in points[-1]["text"][0]
    assert front["y"] == pytest.approx([50.0, 80.0])


def test_parts_of_the_variance_are_drawn_once() -> None:
    rows = [
        {"method": "A", "task": "x", "data_seed": d, "init_seed": i, "accuracy": 0.5 + 0.1 * d + 0.02 * i}
        for d in (0, 1)
        for i in (0, 1)
    ]
    sources = variance_sources(pd.DataFrame(rows), "A").assign(method="A")
    pooled = sources[sources["task"] == "all tasks"]
    found = {trace["name"]: trace["x"][0] for trace in traces(plots.variance_bars(pooled))}
    assert "total" not in found and found["few-shot sample"] == pytest.approx(50.0)
    total = float(pooled.set_index("source").loc["total", "variance"])
    assert sum(found.values()) == pytest.approx(10_000 * total)


def test_the_numbers_of_panels_and_intervals() -> None:
    two = pd.concat([results(), results().assign(task="other")])
    table = plots.figure_table(plots.seed_spread(two))
    assert set(table["panel"]) == set(two["task"]) and (table["panel"] == "other").sum() == len(table) / 2
    rows = [
        {"method": m, "task": "x", "data_seed": s, "init_seed": s, "accuracy": a + s / 100}
        for s in range(4)
        for m, a in (("A", 0.6), ("B", 0.5 + s / 100))
    ]
    found = compare(pd.DataFrame(rows), "A", "B")
    forest = plots.figure_table(plots.difference_forest(found)).iloc[-1]
    assert (forest["low"], forest["high"]) == (pytest.approx(100 * found.low), pytest.approx(100 * found.high))
