"""Studies without clusterings, and without prompts: they run, are reported and looked at on every page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from looking import said
from streamlit.testing.v1 import AppTest

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.reporting.report import make_report
from metapt_explore.runs.grow import with_method
from metapt_explore.runs.overview import pipeline
from metapt_explore.runs.record import record_of
from metapt_explore.runs.study import Study
from metapt_explore.runs.workspace import Workspace

Open = Callable[..., AppTest]


def look_at_all(folder: Path, show: Open) -> None:
    for page in ("start", "texts", "clusters", "pretraining", "fewshot", "compare", "lens"):
        at = show(folder, page)
        assert not at.exception and not said(at, "error"), page


def test_a_study_that_groups_no_texts(world: Path, tmp_path: Path, show: Open) -> None:
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}])
    del tree["clusterings"]
    config = parse(StudyConfig, tree, "test")
    study = Study(config, tmp_path)
    results = study.run()
    # 2 methods x 2 tasks x 2 data seeds.
    assert len(results) == 8 and results["accuracy"].notna().all()
    with pytest.raises(UserError, match="groups no texts"):
        study.agreement()
    # What is pooled is what a study that has clusterings pools.
    grouped = parse(StudyConfig, {**tree, "clusterings": [{"name": "topics", "algorithm": "known_groups"}]}, "test")
    other = Study(grouped, tmp_path / "grouped")
    assert study.prompt("PPT").id == other.prompt("PPT").id
    workspace = Workspace(tmp_path)
    assert [step.name for step in pipeline(workspace, config)] == ["Texts", "Prompts", "Scores", "Answer"]
    assert {step.status for step in pipeline(workspace, config)} == {"done"}
    make_report(record_of(workspace, "tiny")).write(tmp_path / "report")
    report = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "PPT" in report and "Clusters and auxiliary tasks" not in report
    look_at_all(tmp_path, show)
    assert "groups no texts" in said(show(tmp_path, "clusters"), "info")


def test_metapt_still_needs_a_clustering(world: Path) -> None:
    with pytest.raises(UserError, match="no clustering 'kmeans'"):
        parse(StudyConfig, tiny.study_tree(world, clusterings=[]), "test")


def test_a_study_of_baselines_alone(world: Path, tmp_path: Path, show: Open) -> None:
    tree = tiny.study_tree(world, methods=[], clusterings=[], baselines=["majority", "zero_shot", "tfidf"])
    config = parse(StudyConfig, tree, "test")
    results = Study(config, tmp_path).run()
    assert results["method"].value_counts().to_dict() == {"majority": 4, "zero_shot": 4, "tfidf": 4}
    workspace = Workspace(tmp_path)
    assert {step.name: step.status for step in pipeline(workspace, config)} == dict.fromkeys(
        ("Texts", "Scores", "Answer"), "done"
    )
    make_report(record_of(workspace, "tiny")).write(tmp_path / "report")
    report = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "| tfidf |" in report and "A better start?" not in report and "pre-trained methods" not in report
    look_at_all(tmp_path, show)
    at = show(tmp_path, "fewshot")
    assert {"majority", "zero_shot", "tfidf"} == set(at.dataframe[0].value["method"])
    # A prompt that is added later keeps them.
    workspace.save_study(with_method(config, {"name": "PT", "kind": "pt"}))
    assert "6 of 8 scores" in said(show(tmp_path, "start"), "caption")


def test_a_study_of_nothing(world: Path) -> None:
    with pytest.raises(UserError, match="`methods` and `baselines` are both empty"):
        parse(StudyConfig, tiny.study_tree(world, methods=[]), "test")
