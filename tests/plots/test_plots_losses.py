"""Losses of pre-training, and what templates give by themselves."""

from __future__ import annotations

import pandas as pd
import pytest
from drawn import meta_lines, titles, traces

from metapt_explore import plots


def test_meta_loss_has_a_panel_for_each_task_with_the_worst_last_query_first() -> None:
    figure = plots.meta_loss(meta_lines(3), {0: "0: <b>a</b>", 1: "1: b"})
    assert titles(figure) == ["task 2", "1: b", "0: &lt;b&gt;a&lt;/b&gt;"]
    assert len(figure.data) == 9
    query = traces(figure, legendgroup="query")
    assert [list(trace["y"]) for trace in query] == [[9.0, 0.2], [9.0, 0.1], [9.0, 0.0]]
    assert list(query[0]["x"]) == [0, 1]
    assert sum(trace.showlegend for trace in figure.data) == 3


def test_of_many_tasks_the_worst_are_drawn_first_and_any_can_be_chosen() -> None:
    figure = plots.meta_loss(meta_lines(64), {})
    assert titles(figure) == ["mean of all 64 tasks", "task 63", "task 62", "task 61", "task 60", "task 59"]
    assert figure.layout.title.text == "5 of 64 tasks"
    (mean, *_) = traces(figure, legendgroup="query")
    assert list(mean["y"]) == pytest.approx([9.0, 6.3 / 2])
    chosen = plots.meta_loss(meta_lines(64), {7: "seven"}, [7, 2, 99])
    assert titles(chosen) == ["seven", "task 2"] and chosen.layout.title.text == "2 of 64 tasks"


def test_a_task_that_a_step_draws_twice_has_one_point_a_step() -> None:
    """Two tasks at meta-batch 4 drew a vertical zig-zag."""
    again = meta_lines(2).assign(query=lambda rows: rows["query"] + 1)
    figure = plots.meta_loss(pd.concat([meta_lines(2), again]), {})
    query = traces(figure, legendgroup="query")
    assert [list(trace["x"]) for trace in query] == [[0, 1], [0, 1]]
    assert [list(trace["y"]) for trace in query] == [pytest.approx([9.5, 0.6]), pytest.approx([9.5, 0.5])]


def test_pooled_loss_is_one_panel_in_order_of_steps() -> None:
    figure = plots.meta_loss(pd.DataFrame({"step": [1, 0], "task": [-1, -1], "loss": [0.4, 0.7]}), {})
    assert len(figure.data) == 1
    assert list(figure.data[0].y) == [0.7, 0.4]
    assert figure.layout.yaxis.title.text == "loss (nats)"


def test_probe_dots_are_means_with_the_range_over_seeds_best_on_top() -> None:
    record = {"template": "{text}\n<b>A", "words": {"x": ["bad"], "y": ["good"]}, "reason": None, "rank": 1}
    record |= {"accuracy": 0.5, "accuracies": {"1": 0.4, "2": 0.6}}
    record |= {"calibrated_accuracy": 0.7, "calibrated_accuracies": {"1": 0.6, "2": 0.8}}
    second, unreadable = {**record, "rank": 2}, {**record, "rank": None, "reason": "no such word"}
    figure = plots.probe_dots([record, second, unreadable])
    plain_dots, calibrated = traces(figure, mode="markers")
    name = "{text} ⏎ &lt;b&gt;A · bad / good"
    assert list(calibrated["y"]) == [f"1. {name}", f"2. {name}"]
    assert list(calibrated["x"]) == [70.0, 70.0] and list(plain_dots["x"]) == [50.0, 50.0]
    assert list(calibrated["error_x"]["array"]) == pytest.approx([10, 10])
    assert list(plain_dots["error_x"]["arrayminus"]) == pytest.approx([10, 10])
    assert figure.layout.yaxis.autorange == "reversed"
    assert "No candidate" in plots.probe_dots([unreadable]).layout.title.text


def test_losses_of_many_episodes_are_drawn_as_running_means() -> None:
    steps = list(range(20))
    metrics = pd.DataFrame({"step": steps, "task": 0, "support_before": 1.0, "support_after": 1.0, "query": steps})
    found = traces(plots.meta_loss(metrics, {}))
    raw, mean = found[2], found[5]
    assert raw["mode"] == "markers" and mean["mode"] == "lines"
    assert mean["y"][:2] == pytest.approx([1.5, 2.0]) and mean["y"][10] == pytest.approx(10.0)
