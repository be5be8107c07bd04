"""Figures from small hand-made records: what is drawn, where, and that data cannot act as markup."""

from __future__ import annotations

import json

import pandas as pd
import plotly.graph_objects as go
import pytest

from metapt_explore import plots
from metapt_explore.plots.style import facets, plain
from metapt_explore.statistics import compare, variance_sources


def traces(figure: go.Figure, **wanted: object) -> list[dict]:
    """Traces as plain values, those that have the wanted attributes."""
    found = [trace.to_plotly_json() for trace in figure.data]
    return [trace for trace in found if all(trace.get(key) == value for key, value in wanted.items())]


def titles(figure: go.Figure) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


CLUSTERS = [
    {"cluster": 0, "name": "0: <i>phone</i>", "rows": 2, "keywords": [], "labels": {"positive": 2}, "strength": 1},
    {"cluster": 1, "name": "1: book", "rows": 3, "keywords": [],
     "labels": {"negative": 1, "unlabelled": 2}, "strength": 1},
]  # fmt: skip


def points(count: int) -> pd.DataFrame:
    """Rows 0, 1, 2 …, every third an outlier, the others in clusters 0 and 1."""
    rows = range(count)
    return pd.DataFrame(
        {
            "row": rows,
            "cluster": [row % 3 - 1 for row in rows],
            "x": [float(row) for row in rows],
            "y": [2.0 * row for row in rows],
        }
    )


def test_map_has_a_webgl_trace_for_each_cluster_with_outliers_grey_and_below() -> None:
    figure = plots.cluster_map(points(6), pd.Series(list("abcdef")), CLUSTERS)
    names = [trace["name"] for trace in traces(figure, type="scattergl")]
    assert names == ["outliers", "0: &lt;i&gt;phone&lt;/i&gt;", "1: book"]
    grey, first, second = traces(figure)
    assert grey["marker"]["color"] == "#8C8C8C"
    assert list(first["x"]) == [1.0, 4.0] and list(first["y"]) == [2.0, 8.0]
    assert first["text"] == ["b", "e"]
    assert first["marker"]["color"] != second["marker"]["color"]
    assert figure.layout.title.text == "6 texts"


def test_map_hover_is_cut_at_120_characters_and_escaped() -> None:
    texts = pd.Series(["<script>alert(1)</script> & more", "x" * 119 + "yz", None])
    figure = plots.cluster_map(points(3), texts, CLUSTERS)
    outlier, first, second = traces(figure)
    assert outlier["text"] == ["&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"]
    assert first["text"][0].replace("<br>", "") == "x" * 119 + "y…"
    assert second["text"] == [""]


def test_map_finds_texts_by_row_not_by_position() -> None:
    shuffled = points(6).iloc[::-1]
    figure = plots.cluster_map(shuffled, pd.Series(list("abcdef")), CLUSTERS)
    _, first, _ = traces(figure)
    assert dict(zip(first["x"], first["text"], strict=True)) == {1.0: "b", 4.0: "e"}


def test_map_samples_above_50000_points_and_says_so() -> None:
    many = points(50_003)
    figure = plots.cluster_map(many, pd.Series(["t"] * len(many)), CLUSTERS)
    assert sum(len(trace["x"]) for trace in traces(figure)) == 50_000
    assert figure.layout.title.text == "50,000 of 50,003 texts, sampled at random"
    again = plots.cluster_map(many, pd.Series(["t"] * len(many)), CLUSTERS)
    assert list(again.data[0].x) == list(figure.data[0].x)


def test_many_clusters_differ_in_colour_or_symbol() -> None:
    rows = range(30)
    frame = pd.DataFrame({"row": rows, "cluster": rows, "x": 0.0, "y": 0.0})
    figure = plots.cluster_map(frame, pd.Series(["t"] * 30), [])
    looks = {(trace["marker"]["color"], trace["marker"]["symbol"]) for trace in traces(figure)}
    assert len(looks) == 30


def test_sizes_stack_labels_with_unlabelled_last_and_grey() -> None:
    figure = plots.cluster_sizes(CLUSTERS)
    bars = traces(figure, type="bar")
    assert [bar["name"] for bar in bars] == ["negative", "positive", "unlabelled"]
    assert [list(bar["x"]) for bar in bars] == [[0, 1], [2, 0], [0, 2]]
    assert figure.layout.barmode == "stack"
    assert bars[2]["marker"]["color"] == "#8C8C8C"
    assert bars[0]["y"][0] == "0: &lt;i&gt;phone&lt;/i&gt;"


def meta_lines(tasks: int, steps: int = 2) -> pd.DataFrame:
    """Task t has query loss t / 10 at the last step, and 9 before."""
    return pd.DataFrame(
        [
            {"step": step, "task": task, "support_before": 0.8, "support_after": 0.5,
             "query": task / 10 if step == steps - 1 else 9.0}
            for step in range(steps)
            for task in range(tasks)
        ]
    )  # fmt: skip


def test_meta_loss_has_a_panel_for_each_task_with_the_worst_last_query_first() -> None:
    figure = plots.meta_loss(meta_lines(3), {0: "0: <b>a</b>", 1: "1: b"})
    assert titles(figure) == ["task 2", "1: b", "0: &lt;b&gt;a&lt;/b&gt;"]
    assert len(figure.data) == 9
    query = traces(figure, legendgroup="query")
    assert [list(trace["y"]) for trace in query] == [[9.0, 0.2], [9.0, 0.1], [9.0, 0.0]]
    assert list(query[0]["x"]) == [0, 1]
    assert sum(trace.showlegend for trace in figure.data) == 3


def test_meta_loss_draws_at_most_twelve_tasks_and_says_so() -> None:
    figure = plots.meta_loss(meta_lines(15), {})
    assert len(figure.data) == 36
    assert titles(figure)[0] == "task 14" and "task 2" not in titles(figure)
    assert figure.layout.title.text == "12 of 15 tasks, highest query loss first"


def test_pooled_loss_is_one_panel_in_order_of_steps() -> None:
    figure = plots.meta_loss(pd.DataFrame({"step": [1, 0], "task": [-1, -1], "loss": [0.4, 0.7]}), {})
    assert len(figure.data) == 1
    assert list(figure.data[0].y) == [0.7, 0.4]
    assert figure.layout.yaxis.title.text == "loss (nats)"


def curves() -> pd.DataFrame:
    """Two seeds of two methods on two tasks; rates that dev did not choose have no test score."""
    rows = []
    for task in ("trec", "<b>mr</b>"):
        for method, gain in (("PT", 0.0), ("MetaPT", 0.2)):
            for seed, luck in ((13, 0.0), (21, 0.1)):
                for step in (0, 1):
                    cell = {"task": task, "method": method, "data_seed": seed, "init_seed": 0, "step": step}
                    score = 0.5 + gain + luck * step
                    rows.append({**cell, "learning_rate": 0.1, "test_accuracy": score})
                    rows.append({**cell, "learning_rate": 0.9, "test_accuracy": None})
    return pd.DataFrame(rows).astype({"test_accuracy": float})


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


def results() -> pd.DataFrame:
    """Seed 13 and 21 of two methods; MetaPT lacks seed 21."""
    cells = [("PT", 13, 0.5), ("PT", 21, 0.7), ("MetaPT", 13, 0.8)]
    return pd.DataFrame(
        [{"task": "trec", "method": m, "data_seed": s, "init_seed": 0, "accuracy": a} for m, s, a in cells]
    )


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


def test_quality_against_gain_has_a_panel_for_each_measure_that_is_there() -> None:
    table = pd.DataFrame(
        {
            "clustering": ["<b>k</b>", "k-8", "h", "unused"],
            "algorithm": ["kmeans", "kmeans", "hdbscan", "kmeans"],
            "silhouette": [0.1, 0.2, None, 0.4],
            "dbcv": [-0.5, -0.6, -0.1, None],
            "stability": [None] * 4,
            "gain": [0.01, -0.02, 0.03, None],
        }
    )
    rho = pd.DataFrame({"measure": ["silhouette", "dbcv"], "spearman": [None, 0.5], "clusterings": [2, 3]})
    figure = plots.quality_against_gain(table, ("silhouette", "dbcv", "stability"), rho)
    assert titles(figure) == ["2 clusterings", "rank correlation 0.50 over 3 clusterings"]
    first, second, third = traces(figure)
    assert list(first["x"]) == [0.1, 0.2] and list(first["y"]) == pytest.approx([1.0, -2.0])
    assert list(first["text"]) == ["&lt;b&gt;k&lt;/b&gt;", "k-8"]
    assert (second["name"], third["name"], list(third["x"])) == ("kmeans", "hdbscan", [-0.1])
    assert [trace["showlegend"] for trace in (first, second, third)] == [True, False, True]
    assert figure.layout.yaxis.title.text == "gain in accuracy (points)"
    assert figure.layout.xaxis2.matches is None  # measures have scales of their own
    assert figure.layout.xaxis2.title.text == "DBCV (higher is better)"
    assert "No clustering" in plots.quality_against_gain(table.assign(gain=None)).layout.title.text


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


def decoded_floats(values: pd.Series) -> list[float]:
    """As a map holds them."""
    return values.astype("float32").tolist()


def test_a_map_of_many_points_carries_no_text() -> None:
    many = plots.clusters.LARGEST_WITH_TEXT + 1
    frame = pd.DataFrame({"row": range(many), "cluster": 0, "x": 0.0, "y": 0.0})
    (trace,) = traces(plots.cluster_map(frame, pd.Series(["t"] * many), CLUSTERS))
    assert "text" not in trace and trace["hoverinfo"] == "name"


def test_losses_of_many_episodes_are_drawn_as_running_means() -> None:
    steps = list(range(20))
    metrics = pd.DataFrame({"step": steps, "task": 0, "support_before": 1.0, "support_after": 1.0, "query": steps})
    found = traces(plots.meta_loss(metrics, {}))
    raw, mean = found[2], found[5]
    assert raw["mode"] == "markers" and mean["mode"] == "lines"
    assert mean["y"][:2] == pytest.approx([1.5, 2.0]) and mean["y"][10] == pytest.approx(10.0)


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
    point, other = traces(figure)
    # One pre-training of 40 or 44 s for four scores; only task y is common to both.
    assert point["x"] == [3.0 + 42 / 2] and point["y"] == [pytest.approx(65.0)] and other["y"] == [70.0]
    assert "without x" in figure.layout.title.text
    # Pairs have 60, 70, 60 and 70 %: their standard deviation, by hand.
    assert point["error_y"]["array"] == [pytest.approx(100 * (4 * 0.05**2 / 3) ** 0.5)]


@pytest.mark.parametrize(("methods", "beside"), [(5, True), (6, False)])
def test_names_of_many_methods_stand_in_a_legend(methods: int, beside: bool) -> None:
    names = [f"method {number}" for number in range(methods)]
    row = {"task": "x", "init_seed": 0, "data_seed": 1, "accuracy": 0.5, "seconds": 3.0, "pretraining_seconds": 0.0}
    figure = plots.cost_against_accuracy(pd.DataFrame([{**row, "method": name} for name in names]), names)
    for trace, name in zip(traces(figure), names, strict=True):
        assert (trace["name"], "text" in trace["mode"], trace["showlegend"]) == (name, beside, not beside)


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
