"""Hundreds of clusters: the list beside the map finds them, says their colour, and lights them up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from looking import charts, said
from streamlit.testing.v1 import AppTest

from metapt_explore.dashboard.parts import cluster_list, cluster_reading
from metapt_explore.plots import text_map
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]
FOLDER = "clusters-0000000000000000"
COUNT = 60


def many(workspace: Workspace) -> None:
    """Puts each text of the demo twelve times into it, and each into one of sixty clusters."""
    texts = workspace.artifact("texts-0000000000000000").folder / "texts.parquet"
    table = pd.concat([pd.read_parquet(texts)] * 12, ignore_index=True).assign(source_row=range(84))
    table.to_parquet(texts, index=False)
    folder = workspace.artifact(FOLDER).folder
    points = pd.DataFrame({"row": range(84), "cluster": np.arange(84) % COUNT, "membership": 0.5})
    points.assign(x=np.arange(84.0), y=0.0).to_parquet(folder / "clusters.parquet", index=False)
    summary = read_json(folder / "summary.json")
    summary["clusters"] = [
        {"cluster": c, "name": f"{c}: <b>word{c}</b>", "rows": 2 if c < 24 else 1, "keywords": [f"key{c}"],
         "labels": {"positive": 1}, "membership": 0.5}
        for c in range(COUNT)
    ]  # fmt: skip
    write_json(folder / "summary.json", summary)


def test_the_list_says_colours_and_a_search_finds_clusters(show: Open, demo: Workspace) -> None:
    many(demo)
    at = show(demo.folder, "clusters", "demo")
    assert not at.exception and not said(at, "error")
    (drawn,) = [chart for chart in charts(at) if any(t["type"] == "scattergl" for t in chart["data"])]
    names = [trace["name"] for trace in drawn["data"]]
    assert names[0] == "46 others" and len(names) == 15
    listed = next(table.value for table in at.dataframe if " " in table.value)
    assert listed["cluster"].to_list()[:2] == ["0: <b>word0</b>", "1: <b>word1</b>"] and len(listed) == COUNT
    assert listed[" "].to_list()[:15] == ["●"] * 7 + ["◆"] * 7 + ["·"]
    assert any("The tab Clusters beside the map" in caption.value for caption in at.caption)
    at.text_input(key=f"list_find_{FOLDER}").set_value("KEY41").run()
    listed = next(table.value for table in at.dataframe if " " in table.value)
    assert listed["cluster"].to_list() == ["41: <b>word41</b>"]


def test_ticked_clusters_light_up_beside_those_that_were_lit(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"cluster_list": {"selection": {"rows": [1]}}, "highlight_c": [7, 8]}
    monkeypatch.setattr(cluster_list.st, "session_state", state)
    cluster_list.light_up("c", [8, 41])  # 8 is in the list and no longer ticked
    assert state["highlight_c"] == [7, 41]


def test_lit_clusters_have_their_sign_in_the_list() -> None:
    clusters = [{"cluster": c, "name": str(c), "rows": 1, "keywords": []} for c in range(COUNT)]
    table = cluster_list.list_table(clusters, [50, 3])
    assert table.loc[[50, 3, 0], "sign"].to_list() == ["●", "●", "·"]
    assert table.loc[50, "color"] != table.loc[3, "color"] != table.loc[0, "color"]


def test_a_lasso_on_a_sampled_map_takes_texts_that_are_not_drawn(
    show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(demo)
    shape = {"selection": {"points": [], "lasso": [], "box": [{"x": [30.5, 9.5], "y": [-1, 1]}]}}
    monkeypatch.setattr(cluster_reading.drawing, "draw", lambda *args, **options: shape)
    monkeypatch.setattr(text_map, "LARGEST_MAP", 20)
    monkeypatch.setattr(cluster_reading, "LARGEST_MAP", 20)
    at = show(demo.folder, "clusters", "demo")
    assert any("21 texts selected on the map" in caption.value for caption in at.caption)


def test_the_caption_of_sizes_says_what_is_drawn(show: Open, demo: Workspace) -> None:
    few = [caption.value for caption in show(demo.folder, "clusters", "demo").caption]
    assert any(words.startswith("The length of a bar") and words.endswith("little to tell apart.") for words in few)
    many(demo)
    captions = [caption.value for caption in show(demo.folder, "clusters", "demo").caption]
    assert any(words.startswith("A point is a cluster, the largest on the left") for words in captions)
    assert not any("length of a bar" in words for words in captions)
