"""The map on the Clusters page: which projection, what it is coloured by, and what is offered where one is missing."""

from __future__ import annotations

from collections.abc import Callable

import handmade
import pandas as pd
import pytest
from looking import charts, decoded, said
from streamlit.testing.v1 import AppTest

from metapt_explore.clusters import projections
from metapt_explore.jobs import queue
from metapt_explore.storage.workspace import Workspace

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
