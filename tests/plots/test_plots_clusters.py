"""The map, sizes and quality of clusters: what is drawn, and that data cannot act as markup."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn import CLUSTERS, points, titles, traces

from metapt_explore import plots


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
    shade, *drawn, lines = figure.data
    assert shade.type == "contour" and lines.mode == "lines" and sum(len(trace.x) for trace in drawn) == 50_000
    assert figure.layout.title.text.replace("<br>", " ").startswith(
        "50,000 of 50,003 texts, sampled at random; shade and lines are the density"
    )
    again = plots.cluster_map(many, pd.Series(["t"] * len(many)), CLUSTERS)
    assert list(again.data[1].x) == list(drawn[0].x)


def test_the_shade_beneath_a_sample_is_of_all_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots.text_map, "LARGEST_MAP", 10)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"row": range(2_000), "cluster": 0, "x": rng.normal(size=2_000), "y": rng.normal(size=2_000)})
    texts = pd.Series(["t"] * len(frame))
    sampled = plots.cluster_map(frame, texts, CLUSTERS)
    lines = sampled.data[-1]
    assert np.isnan(lines.x[-1]) and np.nanmax(np.hypot(lines.x, lines.y)) < 4, "they lie around the texts"
    monkeypatch.setattr(plots.text_map, "LARGEST_MAP", 2_000)
    whole = plots.cluster_map(frame, texts, CLUSTERS, look=plots.MapLook(density=True))
    assert len(sampled.data[1].x) == 10
    np.testing.assert_array_equal(sampled.data[0].z, whole.data[0].z)


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
    assert titles(figure) == ["2 clusterings", "rank correlation 0.50<br>over 3 clusterings"]
    first, second, third = traces(figure)
    assert list(first["x"]) == [0.1, 0.2] and list(first["y"]) == pytest.approx([1.0, -2.0])
    assert list(first["text"]) == ["&lt;b&gt;k&lt;/b&gt;", "k-8"]
    assert (second["name"], third["name"], list(third["x"])) == ("kmeans", "hdbscan", [-0.1])
    assert [trace["showlegend"] for trace in (first, second, third)] == [True, False, True]
    assert figure.layout.yaxis.title.text == "gain in accuracy (points)"
    assert figure.layout.xaxis2.matches is None  # measures have scales of their own
    assert figure.layout.xaxis2.title.text == "DBCV (higher is better)"
    assert "No clustering" in plots.quality_against_gain(table.assign(gain=None)).layout.title.text


def test_a_map_of_many_points_carries_no_text() -> None:
    many = plots.text_map.LARGEST_WITH_TEXT + 1
    frame = pd.DataFrame({"row": range(many), "cluster": 0, "x": 0.0, "y": 0.0})
    (trace,) = traces(plots.cluster_map(frame, pd.Series(["t"] * many), CLUSTERS))
    assert "text" not in trace and (trace["hoverinfo"], trace["hovertext"]) == ("text", "0: &lt;i&gt;phone&lt;/i&gt;")


def test_of_hundreds_of_clusters_the_largest_have_a_colour_and_the_others_are_one_grey_layer() -> None:
    sizes = [3 if cluster in range(100, 114) else 1 for cluster in range(512)]
    clusters = np.repeat(range(512), sizes)
    frame = pd.DataFrame({"row": range(len(clusters)), "cluster": clusters, "x": 0.0, "y": 0.0})
    told = [{"cluster": 3, "name": "3: <b>"}, {"cluster": 100, "name": "100: phone"}]
    figure = plots.cluster_map(frame, pd.Series(["t"] * len(frame)), told)
    grey, *largest = traces(figure)
    assert (grey["name"], grey["marker"]["color"], len(grey["x"])) == ("498 others", "#8C8C8C", 498)
    assert grey["text"][3] == "t<br>3: &lt;b&gt;", "the pointer says which of them it is"
    assert [len(trace["x"]) for trace in largest] == [3] * 14 and largest[0]["name"] == "100: phone"
    assert len({(trace["marker"]["color"], trace["marker"]["symbol"]) for trace in largest}) == 14
    assert figure.layout.showlegend and sum(trace["showlegend"] for trace in traces(figure)) <= 16


def test_of_hundreds_of_clusters_the_chosen_ones_are_told_apart() -> None:
    frame = pd.DataFrame({"row": range(512), "cluster": range(512), "x": 0.0, "y": 0.0})
    look = plots.MapLook(highlighted=[500, 10, 59])  # 10 and 59 would share colour and symbol by their numbers
    rest, *chosen = traces(plots.cluster_map(frame, pd.Series(["t"] * 512), [], look=look))
    assert (rest["name"], len(rest["x"])) == ("other clusters", 509)
    assert [trace["name"] for trace in chosen] == ["500", "10", "59"]
    assert len({(trace["marker"]["color"], trace["marker"]["symbol"]) for trace in chosen}) == 3
    everything = plots.cluster_map(frame, pd.Series(["t"] * 512), [], look=plots.MapLook(highlighted=range(512)))
    assert len(everything.data) == 50, "no browser draws hundreds of layers quickly"


def test_the_pointer_says_the_cluster_where_points_carry_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots.text_map, "LARGEST_WITH_TEXT", 10)
    frame = pd.DataFrame({"row": range(512), "cluster": range(-1, 511), "x": 0.0, "y": 0.0})
    told = [{"cluster": 30, "name": "30: <b>"}]
    _, grey, *_ = traces(plots.cluster_map(frame, pd.Series(["t"] * 512), told))
    assert "30: &lt;b&gt;" in grey["text"] and grey["hovertemplate"] == "%{text}<extra></extra>"
    numbers = plots.MapLook(colour=pd.Series(range(512), dtype=float), title="words")
    (shown,) = traces(plots.cluster_map(frame, pd.Series(["t"] * 512), told, look=numbers))
    assert shown["text"][31] == "30: &lt;b&gt;" and "words: %{marker.color" in shown["hovertemplate"]


def test_categories_and_numbers_are_colours_and_what_is_missing_is_grey() -> None:
    texts, frame = pd.Series(list("abcdef")), points(6)
    by_label = plots.cluster_map(
        frame, texts, CLUSTERS, look=plots.MapLook(colour=pd.Series(["x", "y", None, "x", "x", "y"]), title="label")
    )
    assert [(t["name"], len(t["x"])) for t in traces(by_label)] == [("none", 1), ("x", 3), ("y", 2)]
    assert traces(by_label)[0]["marker"]["color"] == "#8C8C8C"
    numbers = plots.MapLook(colour=pd.Series([1.0, 2.0, 3.0, None, 5.0, 6.0]), title="loss")
    missing, shown = traces(plots.cluster_map(frame, texts, CLUSTERS, look=numbers))
    assert missing["name"] == "no loss" and list(shown["marker"]["color"]) == [1.0, 2.0, 3.0, 5.0, 6.0]
    assert shown["text"][0] == "a<br>outliers<br>loss: 1"
    rare = pd.Series([f"label {row}" for row in range(40)] + ["common"] * 2)
    frame = pd.DataFrame({"row": range(42), "cluster": 0, "x": 0.0, "y": 0.0})
    kept = traces(plots.cluster_map(frame, pd.Series(["t"] * 42), [], look=plots.MapLook(colour=rare)))
    assert kept[0]["name"] == "27 others" and len(kept) == 15 and kept[1]["name"] == "common"


def test_highlighted_clusters_keep_their_colour_and_the_window_is_seen() -> None:
    look = plots.MapLook(highlighted=[1], window=(0.0, 1.0, 2.0, 3.0), density=True)
    figure = plots.cluster_map(points(6), pd.Series(list("abcdef")), CLUSTERS, marked=[2], look=look)
    density, rest, one, ring = traces(figure)
    assert (density["type"], rest["name"], one["name"], ring["name"]) == (
        "contour",
        "other clusters",
        "1: book",
        "matches (1)",
    )
    assert len(rest["x"]) == 4 and list(figure.layout.xaxis.range) == [0.0, 1.0]
    assert "density" not in set(plots.figure_table(figure)["trace"])


def test_density_is_highest_where_texts_are() -> None:
    frame = pd.DataFrame({"row": range(101), "cluster": 0, "x": [0.0] * 100 + [10.0], "y": [0.0] * 100 + [10.0]})
    contour = plots.cluster_map(frame, pd.Series(["t"] * 101), [], look=plots.MapLook(density=True)).data[0]
    across, down = divmod(contour.z.argmax(), contour.z.shape[1])
    assert abs(contour.x[down]) < 0.5 and abs(contour.y[across]) < 0.5


def test_sizes_of_many_clusters_are_a_curve() -> None:
    many = [{"cluster": c, "name": f"{c}: <b>", "rows": c + 1, "labels": {"good": 1, "bad": c, "unlabelled": 9}}
            for c in range(512)]  # fmt: skip
    figure = plots.cluster_sizes(many)
    (curve,) = traces(figure)
    assert list(curve["x"]) == list(range(1, 513)) and list(curve["y"]) == list(range(512, 0, -1))
    assert curve["text"][0] == "511: &lt;b&gt;<br>512 texts; 100% of the labels are bad"
    assert curve["marker"]["color"][-1] == 1.0, "one label of one: the unlabelled texts do not count"
    assert figure.layout.title.text == "512 clusters of 1 to 512 texts, median 257"
    assert figure.layout.yaxis.type == "log" and figure.layout.height < 500
    unknown = plots.cluster_sizes([{k: v for k, v in each.items() if k != "labels"} for each in many])
    assert "colorbar" not in traces(unknown)[0]["marker"]


def test_where_many_clusters_are_in_others_the_largest_are_shown() -> None:
    table = pd.DataFrame(1, index=range(50), columns=range(60))
    table.loc[49, 59] = 41
    heat = plots.contingency_map(table, {}, {})
    assert len(heat.data[0].z) == 30 == len(heat.data[0].z[0]) and heat.layout.title.text.replace("<br>", " ").endswith(
        "50 and 60 clusters"
    )
    assert heat.data[0].z[-1][-1] == pytest.approx(0.41), "shares are of the whole row"
