"""The map on the Clusters page: which projection, what it is coloured by, and what is offered where one is missing."""

from __future__ import annotations

from collections.abc import Callable

import handmade
import numpy as np
import pandas as pd
import pytest
from looking import charts, decoded, said
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest

from metapt_explore.clusters import projections
from metapt_explore.jobs import queue
from metapt_explore.storage.stage_file import write_stage
from metapt_explore.storage.workspace import Workspace

KEY = "clusters-0000000000000000"
Open = Callable[..., AppTest]


def places(at: AppTest) -> list[float]:
    """All x of the map, in the order of drawing."""
    return [x for trace in charts(at)[0]["data"] for x in decoded(trace["x"])]


def test_another_map_is_offered_computed_by_a_job_and_drawn(
    show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)
    at = show(demo.folder, "clusters")
    before = places(at)
    at.selectbox(key="map").select("t-SNE").run()
    assert not at.exception and "t-SNE map is not computed yet" in said(at, "info") and places(at) == before
    at.button(key="compute_tsne").click().run()
    assert dict(queue.requests(demo))[handmade.NAME]["until"] == "tsne"
    assert "a job of this study runs or waits" in said(at, "info") and not at.exception
    queue.cancel(demo, handmade.NAME)
    positions = pd.DataFrame({"row": range(7), "x": [float(10 * row) for row in range(7)], "y": 0.0})
    handmade.Writer(demo).artifact("tsne", 0, {"rows": 7}, {"positions": positions})
    at = show(demo.folder, "clusters")
    at.selectbox(key="map").select("t-SNE").run()
    assert not at.exception and not at.info and sorted(places(at)) == [10.0 * row for row in range(7)]
    assert charts(at)[0]["layout"]["xaxis"]["title"]["text"] == "t-SNE 1"


def test_umap_that_is_not_installed_is_said_to_be(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "find_spec", lambda name: None)
    at = show(demo.folder, "clusters")
    at.selectbox(key="map").select("UMAP").run()
    assert not at.exception and "pip install 'metapt-explore[maps]'" in said(at, "info")
    assert "compute_umap" not in [button.key for button in at.button]


def names(at: AppTest) -> list[str]:
    return [trace["name"] for trace in charts(at)[0]["data"]]


def test_colours_names_and_the_part_that_is_looked_at(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "clusters")
    assert {note["text"] for note in charts(at)[0]["layout"]["annotations"]} == {"0: phone", "1: book"}
    at.selectbox(key=f"colour_{KEY}").select("label")
    at.selectbox(key=f"names_{KEY}_False").select("none")
    at.selectbox(key=f"zoom_{KEY}_pca").select("1: book")
    at.checkbox(key=f"density_{KEY}").check().run()
    assert not at.exception and names(at) == ["density", "none", "0", "1"]
    layout = charts(at)[0]["layout"]
    assert not layout.get("annotations") and 2.9 < layout["xaxis"]["range"][0] < 3.05
    at.multiselect(key=f"highlight_{KEY}").set_value([0])
    at.selectbox(key=f"colour_{KEY}").select("text length").run()
    assert not at.exception and names(at)[1:] == ["other clusters", "words"]


def test_losses_are_asked_for_and_drawn(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)
    at = show(demo.folder, "clusters")
    assert "loss: PT" not in at.selectbox(key=f"colour_{KEY}").options
    at.selectbox(key=f"colour_{KEY}").set_value("loss: MetaPT").run()
    assert "not computed yet" in said(at, "info")
    at.button(key="compute_losses").click().run()
    assert dict(queue.requests(demo))[handmade.NAME]["until"] == "hardest_texts" and not at.exception
    losses = pd.DataFrame({"task": 0, "row": [1, 1, 2], "class": "a", "predicted": "a", "loss": [0.5, 1.5, 3.0]})
    handmade.Writer(demo).artifact("hardest_texts", 0, {}, {"losses": losses}, method="MetaPT", init_seed=0)
    at.run()
    assert not at.exception and names(at) == ["no loss", "loss"]
    assert decoded(charts(at)[0]["data"][1]["marker"]["color"]) == [1.0, 3.0]


def test_texts_are_chosen_by_keyboard_and_become_a_cluster(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "clusters")
    at.multiselect(key=f"in_label_{KEY}").set_value(["1"])
    at.text_input(key=f"rows_{KEY}").set_value("1-3, 6, 99").run()
    assert "3 of 7 texts match" in said(at, "caption") and "There is no row 99" in said(at, "warning")
    at.text_input(key=f"rows_{KEY}").set_value("1 bis 3").run()
    assert "'bis' is neither a row nor a range" in said(at, "error") and not at.exception
    at.text_input(key=f"rows_{KEY}").set_value("1-3, 6").run()
    assert at.dataframe[0].value["row"].tolist() == [1, 3, 6]
    at.text_input(key=f"new_name_{KEY}").set_value("good ones").run()
    at.button(key=f"gather_{KEY}").click().run()
    assert not at.exception and not at.error
    about = next(frame.value for frame in at.dataframe if "keywords" in frame.value.columns)
    assert about["texts"].tolist() == [2, 2, 3] and about["cluster"].tolist()[2] == "2: good ones"
    at.button(key="undo").click().run()
    at.button(key="undo").click().run()
    assert not at.exception and "not saved" not in said(at, "warning")


def test_neighbours_of_a_text_are_those_of_the_embeddings(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "clusters")
    at.number_input(key=f"near_{KEY}").set_value(1).run()
    assert len(at.error) == 1 and "run the study to compute them" in said(at, "error") and not at.exception
    folder = demo.artifact(handmade.Writer(demo).artifact("embeddings", 0, {"rows": 7, "width": 4})).folder
    clusters = demo.artifact(KEY)
    write_stage(clusters.folder, {**clusters.stage, "parents": {"embeddings": folder.name}})
    vectors = np.eye(7, 4, dtype=np.float32) + np.array([0, 0, 0, 0.1], dtype=np.float32)
    vectors[5] = 2 * vectors[1]
    save_file({"embeddings": vectors}, folder / "embeddings.safetensors")
    at.run()
    table = next(frame.value for frame in at.dataframe if "similarity" in frame.value.columns)
    assert not at.exception and not at.error
    assert table["row"].tolist()[0] == 5 and table["similarity"].tolist()[0] == 1.0 and len(table) == 6
    assert names(at)[-1] == "matches (7)"


def test_a_long_list_of_clusters_is_searched(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from metapt_explore.dashboard.parts import cluster_facts

    monkeypatch.setattr(cluster_facts, "MANY", 1)
    at = show(demo.folder, "clusters")
    at.text_input(key="find_clusters").set_value("SCREEN").run()
    about = next(frame.value for frame in at.dataframe if "keywords" in frame.value.columns)
    assert about["cluster"].tolist() == ["0: phone"] and "1 of 2 clusters" in said(at, "caption")
