"""Scores, and what all figures share: colours, units, panels, the numbers behind them."""

from __future__ import annotations

import json

import pandas as pd
import plotly.graph_objects as go
import pytest
from drawn import CLUSTERS, curves, decoded_floats, meta_lines, points, results, titles, traces

from metapt_explore import plots
from metapt_explore.plots.style import facets, plain


def test_a_legend_takes_room_of_its_own() -> None:
    """Anchored outside the plot and measured by it, it pushes the plot away where it needs more lines."""
    panels = plots.meta_loss(meta_lines(3), {})
    assert panels.layout.legend.y < 0 and panels.layout.legend.yanchor == "top"
    one = plots.cluster_sizes(CLUSTERS)
    assert one.layout.legend.y > 1 and one.layout.legend.yanchor == "bottom"
    assert {figure.layout.legend.yref for figure in (panels, one)} == {"paper"}


def test_start_curves_draw_mean_and_range_over_seeds() -> None:
    figure = plots.tuning_curves(curves())
    assert titles(figure) == ["trec", "&lt;b&gt;mr&lt;/b&gt;"]
    assert len(figure.data) == 8  # a band and a line for each of two methods on two tasks
    line = traces(figure, mode="lines+markers", name="PT")[0]
    assert list(line["x"]) == [0, 1]
    assert line["y"] == pytest.approx([50.0, 55.0])
    band = traces(figure, fill="toself", name="PT")[0]
    assert list(band["x"]) == [0, 1, 1, 0]
    assert band["y"] == pytest.approx([50.0, 60.0, 50.0, 50.0])
    assert sum(trace.showlegend for trace in figure.data) == 2


def test_seed_spread_draws_every_seed_the_mean_and_pairs() -> None:
    figure = plots.seed_spread(results())
    pairs = traces(figure, name="same seeds")[0]
    assert pairs["x"] == ["PT", "MetaPT", None, "PT", "MetaPT", None]
    assert pairs["y"] == pytest.approx([50.0, 80.0, None, 70.0, None, None])
    seeds = traces(figure, name="PT")[0]
    assert seeds["y"] == pytest.approx([50.0, 70.0])
    means = traces(figure, name="mean")
    assert [mean["y"][0] for mean in means] == pytest.approx([60.0, 80.0])
    # Sample standard deviation of 50 and 70 is 14.14; one seed has none.
    assert "standard deviation 14.1 points" in means[0]["hovertemplate"]
    assert "deviation" not in means[1]["hovertemplate"]
    assert figure.layout.yaxis.title.text == "test accuracy (%)"


def test_a_method_has_the_same_colour_in_every_figure_even_while_others_are_missing() -> None:
    methods = ["control", "PT", "MetaPT", "other"]
    colors = plots.method_colors(methods)
    assert len(set(colors.values())) == 4
    assert colors["MetaPT"] == "#009E73" == plots.method_colors(["MetaPT"])["MetaPT"]
    table = results().replace({"method": {"MetaPT": "other"}})
    figure = plots.seed_spread(table, methods)
    assert traces(figure, name="other")[0]["marker"]["color"] == colors["other"]
    line = traces(plots.tuning_curves(curves(), methods), name="PT", mode="lines+markers")[0]
    assert line["line"]["color"] == colors["PT"]
    many = ["PT", "PPT", "MetaPT", *(f"recipe {number}" for number in range(18))]
    assert len(set(plots.method_colors(many).values())) == 21


@pytest.mark.parametrize(
    "figure",
    [
        plots.cluster_map(points(0), pd.Series([], dtype=str), []),
        plots.cluster_sizes([]),
        plots.meta_loss(pd.DataFrame(), {}),
        plots.tuning_curves(pd.DataFrame()),
        plots.seed_spread(pd.DataFrame()),
    ],
)
def test_nothing_to_draw_is_said(figure: go.Figure) -> None:
    assert len(figure.data) == 0
    assert figure.layout.title.text


@pytest.mark.parametrize(
    "figure",
    [
        plots.cluster_map(points(6), pd.Series(list("abcdef")), CLUSTERS),
        plots.cluster_sizes(CLUSTERS),
        plots.meta_loss(meta_lines(3), {}),
        plots.tuning_curves(curves()),
        plots.seed_spread(results()),
    ],
)
def test_figures_fit_light_and_dark_pages_and_name_units(figure: go.Figure) -> None:
    drawn = json.loads(figure.to_json())
    assert drawn["layout"]["paper_bgcolor"] == drawn["layout"]["plot_bgcolor"] == "rgba(0, 0, 0, 0)"
    written = json.dumps(drawn).lower()
    for color in ('"#000000"', '"#ffffff"', '"black"', '"white"', '"#000"', '"#fff"'):
        assert color not in written
    axes = [value for key, value in drawn["layout"].items() if key.startswith(("xaxis", "yaxis"))]
    said = {axis["title"]["text"] for axis in axes if "title" in axis}
    assert all("(" in title or title in ("method", "cluster") for title in said) and len(said) == 2


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 12, 40])
def test_facets_hold_any_number_of_panels(count: int) -> None:
    assert len(titles(facets(["t"] * count, same_y=True))) == count


def test_plain_text_keeps_quotes_and_escapes_tags() -> None:
    assert plain('<a href="x">\n y & z') == '&lt;a href="x"&gt; y &amp; z'


def test_the_numbers_of_a_figure_can_be_taken_away() -> None:
    figure = plots.cluster_map(points(3), pd.Series(["a <b>text</b>", "b", "c"]), CLUSTERS)
    table = plots.figure_table(figure)
    assert sorted(table["x"]) == sorted(decoded_floats(points(3)["x"])) and len(table) == 3
    assert "a <b>text</b>" in set(table["text"])
    spread = plots.figure_table(plots.seed_spread(results()))
    assert "same seeds" not in set(spread["trace"]), "lines that guide the eye are no data"
    assert spread["y"].max() == pytest.approx(100 * results()["accuracy"].max())
    contingency = pd.DataFrame([[2, 1], [0, 3]], index=[0, 1], columns=[0, 1])
    heat = plots.figure_table(plots.contingency_map(contingency, {0: "<i>a</i>"}, {}))
    assert heat[["y", "x", "z"]].values.tolist() == [
        ["<i>a</i>", "0", 2 / 3], ["<i>a</i>", "1", 1 / 3], ["1", "0", 0.0], ["1", "1", 1.0],
    ]  # fmt: skip
    assert plots.figure_table(plots.contingency_map(pd.DataFrame(), {}, {})).empty
