"""Heat maps of agreement and help: what is in a cell, what is marked, and that 0 has no colour."""

from __future__ import annotations

import numpy as np
import pandas as pd

from metapt_explore import plots

TASKS = [
    {"name": "0: <b>phones</b>", "kind": "auxiliary", "reliability": 0.8},
    {"name": "1: books", "kind": "auxiliary", "reliability": 0.02},
    {"name": "trec", "kind": "downstream", "reliability": None},
]
PAIRS = pd.DataFrame(
    [
        ("0: <b>phones</b>", "1: books", -0.1, 0.02, np.nan, np.nan),
        ("0: <b>phones</b>", "trec", 0.3, 0.2, 0.5, 0.2),
        ("1: books", "trec", 0.05, 0.1, np.nan, np.nan),
    ],
    columns=["first", "second", "cosine", "standard_error", "corrected", "corrected_standard_error"],
)


def test_agreement_has_auxiliary_tasks_down_and_all_tasks_across() -> None:
    figure = plots.agreement_map(PAIRS, TASKS, "cosine")
    (cells,) = figure.data
    assert [list(row) for row in cells.z] == [[0.8, -0.1, 0.3], [-0.1, 0.02, 0.05]]
    assert [list(row) for row in cells.text] == [["+0.80", "−0.10*", "+0.30"], ["−0.10*", "+0.02", "+0.05"]]
    assert (cells.zmin, cells.zmid, cells.zmax) == (-1, 0, 1)
    assert figure.layout.xaxis.ticktext == ("0: &lt;b&gt;phones&lt;/b&gt;", "1: books", "trec")
    assert figure.layout.yaxis.ticktext == ("0: &lt;b&gt;phones&lt;/b&gt;", "1: books")
    assert "&lt;b&gt;" in cells.customdata[0][2] and "<b>" not in cells.customdata[0][2]
    assert figure.layout.shapes[0].x0 == 1.5  # between auxiliary and downstream tasks


def test_what_is_nothing_but_noise_is_left_empty() -> None:
    (cells,) = plots.agreement_map(PAIRS, TASKS).data
    assert [list(row) for row in cells.z] == [[None, None, 0.5], [None, None, None]]
    assert [list(row) for row in cells.text] == [["", "", "+0.50*"], ["", "", ""]]
    assert not plots.agreement_map(PAIRS.iloc[:0], TASKS).data


def test_help_is_in_points_and_only_what_survives_correction_is_marked() -> None:
    columns = ["cluster", "task", "help", "low", "high", "wins", "ties", "losses", "units", "verdict"]
    table = pd.DataFrame(
        [
            (0, "trec", 0.04, 0.02, 0.06, 6, 0, 0, 6, "helps"),
            (0, "all tasks", -0.01, -0.03, 0.01, 2, 0, 4, 6, "cannot tell"),
            (3, "trec", -0.05, -0.07, -0.03, 0, 0, 6, 6, "hurts"),
        ],
        columns=columns,
    )
    figure = plots.help_map(table, {0: "0: phones"})
    (cells,) = figure.data
    assert [list(row) for row in cells.z] == [[4.0, -1.0], [-5.0, None]]
    assert [list(row) for row in cells.text] == [["+4.0*", "−1.0"], ["−5.0*", ""]]
    assert (cells.zmin, cells.zmax) == (-5, 5) and cells.colorscale[1] == (0.5, "#F2F2F2")
    assert figure.layout.yaxis.ticktext == ("0: phones", "3")
    assert cells.customdata[1][1] == "no score yet" and "6 worse of 6; hurts" in cells.customdata[1][0]
    tiny = table.iloc[:1].assign(help=0.001)
    assert plots.help_map(tiny, {}).data[0].zmax == 1.0  # a tenth of a point stays pale
    assert not plots.help_map(table.iloc[:0], {}).data


def test_a_prompt_whose_start_is_unknown_is_not_drawn_as_one_that_never_moved() -> None:
    columns = ["prompt", "method", "vector", "norm_ratio", "drift"]
    rows = [("PPT, seed 0", "PPT", 0, 1.2, 0.5), ("MetaPT, seed 0", "MetaPT", 0, 1.1, None)]
    (points,) = plots.prompt_health(pd.DataFrame(rows, columns=columns)).data
    assert points.name == "PPT" and list(points.x) == [0.5] and list(points.y) == [1.2]
    assert not plots.prompt_health(pd.DataFrame(rows[1:], columns=columns)).data


def test_a_method_has_its_colour_of_the_study_though_others_are_missing() -> None:
    columns = ["prompt", "method", "vector", "norm_ratio", "drift"]
    table = pd.DataFrame([("control, seed 0", "control", 0, 1.2, 0.5)], columns=columns)
    (alone,), (among,) = (plots.prompt_health(table, methods).data for methods in (None, ["PT", "other", "control"]))
    assert alone.marker.color == plots.method_colors(["control"])["control"] != among.marker.color
    assert among.marker.color == plots.method_colors(["PT", "other", "control"])["control"]
