"""A study of which a part failed: every page opens, and says what failed, why, and what is not there for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from looking import PAGES, said
from streamlit.testing.v1 import AppTest
from tiny import study_tree

from metapt_explore.config import StudyConfig
from metapt_explore.jobs.state import missing_parts
from metapt_explore.reporting.report import make_report
from metapt_explore.results.record import record_of
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import working_on
from metapt_explore.study.study import Study

Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def incomplete(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """HDBSCAN finds no cluster; everything else is computed."""
    workspace = Workspace(tmp_path_factory.mktemp("incomplete") / "workspace")
    clusterings = [
        {"name": "dense", "algorithm": "hdbscan", "min_cluster_size": 100, "dimensions": 8},
        {"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8},
    ]
    methods = [
        {"name": "PT", "kind": "pt"},
        {"name": "Dense", "kind": "metapt", "clustering": "dense"},
        {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
    ]
    config = StudyConfig.model_validate(study_tree(world, clusterings=clusterings, methods=methods))
    with working_on(workspace, "tiny") as progress:
        Study(config, workspace, progress).run()
    return workspace


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(show: Open, incomplete: Workspace, page: str) -> None:
    at = show(incomplete.folder, page, "tiny")
    assert not at.exception
    if page == "start":
        told = said(at, "error", "warning")
        assert "Not computed without it: Dense on mood, Dense on question." in told
        assert "Resume tries them again" in told


def test_the_report_names_what_is_missing(incomplete: Workspace) -> None:
    record = record_of(incomplete, "tiny")
    assert set(record.results["method"]) == {"PT", "MetaPT"}
    text = make_report(record, missing_parts(incomplete, "tiny")).markdown().replace("\\", "")
    assert "What is missing" in text
    assert "hdbscan found no cluster among 160 texts" in text
    assert "Not computed without it: Dense on mood, Dense on question." in text
