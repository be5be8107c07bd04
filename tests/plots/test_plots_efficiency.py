"""Curves over labelled examples: scores and differences, with intervals where there are some."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from drawn import traces

from metapt_explore import plots
from metapt_explore.plots.series import efficiency_lines
from metapt_explore.statistics import label_efficiency


def table(pairs: int = 3) -> pd.DataFrame:
    """MetaPT is four points ahead of PT in the mean, at both numbers."""
    rows = [
        {"method": m, "task": "mr", "data_seed": s, "init_seed": s, "shots": k, "accuracy": base + gain + 0.01 * s}
        for k, base in ((1, 0.5), (16, 0.7))
        for m, sign in (("PT", 0), ("<b>MetaPT</b>", 1))
        for s in range(pairs)
        for gain in [sign * (0.04 + 0.01 * (s - 1))]
    ]
    results = pd.DataFrame(rows)
    return label_efficiency({k: of_shots for k, of_shots in results.groupby("shots")}, "PT")  # type: ignore[misc]


METHODS = ["PT", "<b>MetaPT</b>"]


def test_scores_and_intervals_stand_at_their_numbers() -> None:
    figure = plots.efficiency_curve(table(), METHODS)
    plain, meta = traces(figure)
    assert plain["y"] == pytest.approx([51.0, 71.0]) and meta["y"] == pytest.approx([55.0, 75.0])
    assert meta["name"] == "&lt;b&gt;MetaPT&lt;/b&gt;"
    # Aside of one another, and between them the place.
    assert all(a < k < b for a, k, b in zip(plain["x"], (1, 16), meta["x"], strict=True))
    assert list(figure.layout.xaxis.tickvals) == [1, 16] and figure.layout.xaxis.type == "log"
    # t with two degrees of freedom times a point over the root of three.
    assert plain["error_y"]["array"] == pytest.approx([4.302653 / math.sqrt(3)] * 2)
    assert plain["customdata"][0][2] == ", 95 % interval 48.5 to 53.5"
    written = plots.figure_table(figure)
    assert written["x"].tolist() == [1, 16, 1, 16]
    assert written["low"].tolist()[:2] == pytest.approx([51 - 4.302653 / math.sqrt(3), 71 - 4.302653 / math.sqrt(3)])


def test_differences_are_of_the_others_only() -> None:
    figure = plots.efficiency_difference(table(), METHODS, "PT")
    (only,) = traces(figure)
    assert (
        only["y"] == pytest.approx([4.0, 4.0])
        and only["line"]["color"] == traces(plots.efficiency_curve(table(), METHODS))[1]["line"]["color"]
    )
    assert "ahead of PT" in figure.layout.yaxis.title.text


def test_one_pair_has_points_and_no_interval() -> None:
    (plain, _) = traces(plots.efficiency_curve(table(1), METHODS))
    assert all(math.isnan(end) for end in plain["error_y"]["array"]) and plain["customdata"][0][2] == ""
    assert efficiency_lines(table(1), METHODS)[0].low == [None, None]


def test_one_number_of_examples_is_no_curve() -> None:
    one = table()
    one = one[one["shots"] == 1]
    assert "more_shots" in plots.efficiency_curve(one, METHODS).layout.title.text
    assert not plots.efficiency_difference(one, METHODS, "PT").data
