"""Memberships and moved outliers on the Clusters page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import handmade
import pytest
import tiny
from looking import metrics, said
from streamlit.testing.v1 import AppTest

from metapt_explore.config import StudyConfig, parse
from metapt_explore.dashboard.parts import cluster_memberships
from metapt_explore.jobs import queue
from metapt_explore.statistics.numbers import number
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

Open = Callable[..., AppTest]


def test_they_are_offered_and_asked_for(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)
    at = show(demo.folder, "clusters", handmade.NAME)
    at.button(key="ask_memberships").click().run()
    assert not at.exception and dict(queue.requests(demo))[handmade.NAME]["until"] == "memberships"
    assert at.button(key="ask_memberships").disabled


def test_uncertain_texts_and_the_clusters_of_one_text(
    world: Path, tmp_path: Path, show: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    clusterings = [
        {"name": "dense", "algorithm": "hdbscan", "min_cluster_size": 8, "min_samples": 2, "outliers": "own_task"},
        {"name": "topics", "algorithm": "known_groups"},
    ]
    methods = [{"name": "PT", "kind": "pt"}]
    study = Study(parse(StudyConfig, tiny.study_tree(world, clusterings=clusterings, methods=methods), "t"), tmp_path)
    study.clusters("topics")
    summary, found = study.clusters("dense").summary, study.memberships("dense")
    at = show(tmp_path, "clusters")
    assert not at.exception and not said(at, "error")
    table = next(box.value for box in at.dataframe if "its probability" in box.value)
    uncertain = found.astype(float).max(axis=1)
    assert metrics(at)["Uncertain texts"] == str(int((uncertain < 0.5).sum()))
    assert table["row"].iloc[0] == int(uncertain.idxmin()) and table["probability"].is_monotonic_increasing
    moved = summary["moved"]
    assert moved["moved"] == moved["outliers"] > 0 and summary["outliers"] == 0
    wanted = f"{moved['moved']} of {moved['moved']} outliers (of 160 texts) were put into a cluster of their own."
    assert any(wanted in str(box.value) for box in at.caption)
    at.number_input(key=f"member_{study.clusters('dense').id}").set_value(3).run()
    members = next(box.value for box in at.dataframe if list(box.value.columns) == ["cluster", "probability"])
    assert members["probability"].iloc[0] == pytest.approx(float(found.loc[3].max()), abs=1e-3)
    assert "together" not in said(at, "caption")
    monkeypatch.setattr(cluster_memberships, "CLUSTERS_SHOWN", 1)  # of hundreds of clusters not all are listed
    at.run()
    probabilities = found.loc[3].astype(float)
    rest, hidden = probabilities.sum() - probabilities.max(), len(probabilities) - 1
    assert f"All {hidden} others together: {number(rest, 3)}." in said(at, "caption")
    at.selectbox(key="clustering").select("topics").run()
    assert not at.exception and any("This is a control" in str(box.value) for box in at.caption)
