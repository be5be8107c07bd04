"""Studies without clusterings, and without prompts: they run, are reported and looked at on every page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import tiny
from looking import PAGES, charts, said, tab
from streamlit.testing.v1 import AppTest

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.reporting.report import make_report
from metapt_explore.results.record import record_of
from metapt_explore.stages.registry import shares
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.extend import with_method
from metapt_explore.study.overview import pipeline
from metapt_explore.study.study import Study

Open = Callable[..., AppTest]


def look_at_all(folder: Path, show: Open) -> None:
    for page in PAGES:
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
    for asked in (study.agreement, partial(Study(config, tmp_path / "nothing").run, until="agreement")):
        with pytest.raises(UserError, match="groups no texts"):
            asked()
    assert not list((tmp_path / "nothing" / "artifacts").glob("*"))
    buttons = {button.key: button.disabled for button in show(tmp_path, "pretraining").button}
    assert buttons["ask_agreement"] and not buttons["ask_all"]
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
    # The mean over tasks of both, a line for each data seed.
    at = tab(show(tmp_path, "compare"), "compare", "Seeds")
    assert "baselines only" in said(at, "info")
    lines = [trace for chart in charts(at) for trace in chart["data"] if "data seed" in str(trace.get("hovertemplate"))]
    assert len(lines) == 2 and all("initialisation" not in trace["hovertemplate"] for trace in lines)
    assert "baselines only" in said(show(tmp_path, "lens"), "info")
    assert "2 data seeds: this proves nothing" in said(show(tmp_path, "fewshot"), "warning")
    assert "make_report" in {button.key for button in show(tmp_path, "export").button}
    with pytest.raises(UserError, match="'tfidf' is a baseline"):
        config.method("tfidf")
    # A prompt that is added later keeps them, in sight too.
    workspace.save_study(with_method(config, {"name": "PT", "kind": "pt"}))
    assert "6 of 8 scores" in said(show(tmp_path, "start"), "caption")
    assert {"majority", "zero_shot", "tfidf"} == set(show(tmp_path, "fewshot").dataframe[1].value["method"])


def test_a_study_of_nothing(world: Path) -> None:
    with pytest.raises(UserError, match="`methods` and `baselines` are both empty"):
        parse(StudyConfig, tiny.study_tree(world, methods=[]), "test")


def test_no_labels_are_looked_for_where_nothing_is_pretrained(world: Path, tmp_path: Path) -> None:
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], clusterings=[])
    tree["labelling"] = {"by": "zero_shot"}
    config = parse(StudyConfig, tree, "test")
    Study(config, tmp_path).run()
    assert not {entry["kind"] for entry in Workspace(tmp_path).index("tiny")} & {"labels", "embeddings", "tasks"}
    planned = shares(Study(config, tmp_path))
    assert not [key for key in planned if key.startswith(("labels", "embeddings", "clusters"))]


def test_lists_whose_entries_are_commented_out(world: Path) -> None:
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}])
    config = parse(StudyConfig, {**tree, "clusterings": None, "baselines": None}, "test")
    assert config.clusterings == [] and config.baselines == []
