"""Pages of studies with soft clusters, tasks of several clusterings, and stability that was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import handmade
import pytest
import tiny
from looking import charts, metrics
from streamlit.testing.v1 import AppTest
from waiting import LIMIT

from metapt_explore.config import StudyConfig, parse
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

Open = Callable[..., AppTest]
APP = Path(__file__).parents[2] / "app.py"


def test_tasks_of_several_clusterings_and_stability(world: Path, tmp_path: Path, show: Open) -> None:
    methods = [{"name": "both", "kind": "metapt", "clustering": ["topics", "kmeans"]}]
    changes = {"methods": methods, "auxiliary_tasks": {"softness": 0.01}, "pretraining": {"steps": 2}}
    study = Study(parse(StudyConfig, tiny.study_tree(world, **changes), "test"), tmp_path)
    study.prompt("both")
    study.stability("topics", runs=2)
    at = show(tmp_path, "clusters")
    at.selectbox(key="clustering").select("topics").run()
    assert not at.exception and metrics(at)["Stability"] == "1.00" and "Agreement over seeds" not in metrics(at)
    assert "DBCV" in metrics(at) and any("4 of 4 clusters come back" in str(box.value) for box in at.caption)
    at = show(tmp_path, "pretraining")
    assert not at.exception and "topics 0: " in json.dumps(charts(at))


def test_clusters_of_an_older_workspace_have_no_density(demo: Workspace, show: Open) -> None:
    at = show(demo.folder, "clusters", handmade.NAME)
    assert not at.exception and metrics(at)["Silhouette"] == "0.43"
    assert not {"DBCV", "Stability"} & set(metrics(at))


def test_what_is_chosen_can_stand_in_the_address(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that was bookmarked, or sent to a colleague, opens as it was."""
    config = demo.study_config(handmade.NAME)
    other = config.clusterings[0].model_copy(update={"name": "other"})
    demo.save_study(config.model_copy(update={"clusterings": [*config.clusterings, other]}))
    monkeypatch.setenv("METAPT_WORKSPACE", str(demo.folder))
    at = AppTest.from_file(str(APP), default_timeout=LIMIT)
    at.query_params["study"], at.query_params["clustering"] = handmade.NAME, "other"
    at.switch_page("metapt_explore/dashboard/views/clusters.py")
    at.run()
    assert not at.exception and at.selectbox(key="clustering").value == "other"
    at = AppTest.from_file(str(APP), default_timeout=LIMIT)
    at.query_params["study"], at.query_params["method"] = handmade.NAME, "PPT"
    at.switch_page("metapt_explore/dashboard/views/pretraining.py")
    assert at.run().selectbox(key="method").value == "PPT"
