"""The map, sizes and quality of clusters: what is drawn, and that data cannot act as markup."""

from __future__ import annotations

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


def test_a_map_of_many_points_carries_no_text() -> None:
    many = plots.clusters.LARGEST_WITH_TEXT + 1
    frame = pd.DataFrame({"row": range(many), "cluster": 0, "x": 0.0, "y": 0.0})
    (trace,) = traces(plots.cluster_map(frame, pd.Series(["t"] * many), CLUSTERS))
    assert "text" not in trace and trace["hoverinfo"] == "name"
